/**
 * The strict JSON reader: agreement with JSON.parse on what is legal, exact positions on what is
 * not.
 */
import t from 'tap';
import { parseJson } from '../../../src/config/json-text.js';
import { decodeUtf8 } from '../../../src/config/text-position.js';
import { PointsmanError } from '../../../src/core/errors.js';

function failureOf(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof PointsmanError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'accepted';
}

t.test('legal texts give what JSON.parse gives', (t) => {
  const texts = [
    '{}',
    '[]',
    ' \t\r\n[ 1 , -0.5e-3 , 2E+2, 0 ] ',
    '{"a":{"b":[true,false,null,"x"]},"":0}',
    String.raw`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \u2028"`,
    '"é😀  "',
    '[[[[[]]]],{"constructor":1,"toString":{}}]',
    '12345678901234567890',
    '-0',
    '"\u007f"',
  ];
  for (const text of texts) t.strictSame(parseJson(text), JSON.parse(text), text);
  t.end();
});

t.test('every prefix of a legal text is refused with a position inside it', (t) => {
  const text = '{"a": [1, "x\\u00e9", {"b": true}], "c": null}';
  for (let length = 0; length < text.length; length += 1) {
    const failure = failureOf(text.slice(0, length));
    const column = Number(/^MALFORMED_REQUEST .* at line 1, column (\d+)$/.exec(failure)?.[1]);
    t.ok(column >= 1 && column <= length + 1, `${String(length)}: ${failure}`);
  }
  t.end();
});

t.test('texts that JSON.parse refuses are refused', (t) => {
  const texts = [
    "{'a':1}",
    '{a:1}',
    '[1,]',
    '{"a":1,}',
    '01',
    '1.',
    '.5',
    '+1',
    'NaN',
    'tru',
    '"\n"',
  ];
  for (const text of [...texts, String.raw`"\x41"`, String.raw`"\u12g4"`, '[1] 2', '/**/1', '"a']) {
    t.throws(() => JSON.parse(text) as unknown, `${text} is not JSON`);
    t.match(failureOf(text), /^MALFORMED_REQUEST .* at line \d+, column \d+$/, text);
  }
  t.end();
});

t.test('positions count lines of every kind and stand on the fault', (t) => {
  t.match(
    failureOf('{\n  "a": 1\n  "b": 2\n}'),
    /found "\\"", expected "," or "}", at line 3, column 3$/,
  );
  t.match(failureOf('[1,\r\n2,\r3,\n}'), /found "}", expected a value, at line 4, column 1$/);
  t.match(failureOf('[1, 2'), /found the end, .* at line 1, column 6$/);
  t.match(failureOf('\n\n'), /found the end, expected a value, at line 3, column 1$/);
  t.match(failureOf('{"name":"multi-model"\n "config":{}}'), /at line 2, column 2$/);
  t.end();
});

t.test('what two readers could read differently is refused', (t) => {
  t.match(failureOf('{"a":1,\n"a":2}'), /The key "a" appears twice at line 2, column 1$/);
  t.match(failureOf('[{"__proto__":{}}]'), /"__proto__" is not allowed at line 1, column 3$/);
  t.match(failureOf(String.raw`{"\u005f_proto__":1}`), /"__proto__" is not allowed/);
  t.match(failureOf('1e999'), /too large at line 1, column 1$/);
  t.end();
});

t.test('texts that no UTF-8 spells are refused with their path', (t) => {
  for (const half of ['\\ud800', 'x\\uDFFF', '\\udc00\\ud800', '\\ud800\\n']) {
    t.match(failureOf(`"${half}"`), /^INVALID_PARAMETER_VALUE body: must be well-formed Unicode$/);
    t.match(failureOf(`{"a":[{"b":"${half}"}]}`), / a\[0\]\.b: must be well-formed Unicode$/);
    t.match(failureOf(`{"a":{"${half}":1}}`), / a: must be well-formed Unicode$/);
  }
  t.end();
});

t.test('nesting is bounded at 100', (t) => {
  t.equal(failureOf('['.repeat(100) + ']'.repeat(100)), 'accepted');
  t.match(failureOf('['.repeat(101) + ']'.repeat(101)), /More than 100 levels .* column 101$/);
  t.match(failureOf('['.repeat(1_000_000)), /More than 100 levels/, 'no stack overflow');
  t.end();
});

t.test('a version keeps its spelling or is refused with its path', (t) => {
  t.strictSame(parseJson('{"entity_version":"1.10"}'), { entity_version: '1.10' });
  t.strictSame(parseJson('{"entity_version":3}'), { entity_version: 3 });
  t.equal(
    failureOf('{"config":{"served_entities":[{"entity_version":2.0}]}}'),
    'INVALID_PARAMETER_VALUE config.served_entities[0].entity_version: ' +
      'must be a text or an integer, not the number 2.0; put it in quotes',
  );
  t.match(failureOf('{"model_version":1e1}'), /^INVALID_PARAMETER_VALUE model_version/);
  t.end();
});

t.test('bytes that are not UTF-8 are refused where they stand', (t) => {
  const bytes = Buffer.concat([
    Buffer.from('{"ok":"�",\n"bad":"'),
    Buffer.from([0xff]),
    Buffer.from('"}'),
  ]);
  t.throws(() => decodeUtf8(bytes), { code: 'MALFORMED_REQUEST', message: /at line 2, column 8$/ });
  t.equal(decodeUtf8(Buffer.from('\uFEFF{"a":"é"}')), '{"a":"é"}', 'a byte order mark is dropped');
  t.throws(() => decodeUtf8(Buffer.from([0xf0, 0x9f, 0x98])), { message: /at line 1, column 1$/ });
  t.end();
});
