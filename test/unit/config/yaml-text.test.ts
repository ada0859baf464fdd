/** YAML is read as strictly as JSON. */
import t from 'tap';
import { parseYaml } from '../../../src/config/yaml-text.js';
import { PointsmanError } from '../../../src/core/errors.js';

function failureOf(text: string): string {
  try {
    parseYaml(text);
  } catch (error) {
    if (error instanceof PointsmanError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'accepted';
}

t.test('a manifest in YAML is the same value as in JSON', (t) => {
  const text = [
    'deployments:',
    '  - name: a',
    '    serves: [ { entity_name: c.s.m, entity_version: 1 } ]',
    '    replicas: &replicas [ { url: "http://127.0.0.1:1", weight: 1 } ]',
    '  - name: b',
    '    replicas: *replicas',
    'endpoints: []',
  ].join('\n');
  t.strictSame(parseYaml(text), {
    deployments: [
      {
        name: 'a',
        serves: [{ entity_name: 'c.s.m', entity_version: 1 }],
        replicas: [{ url: 'http://127.0.0.1:1', weight: 1 }],
      },
      { name: 'b', replicas: [{ url: 'http://127.0.0.1:1', weight: 1 }] },
    ],
    endpoints: [],
  });
  t.equal(parseYaml(''), null);
  t.equal(parseYaml('# nothing\n'), null);
  t.strictSame(parseYaml('on: yes'), { on: 'yes' }, 'YAML 1.2: yes is a text');
  t.end();
});

t.test('every kind of fault names line and column', (t) => {
  const faults: readonly (readonly [string, RegExp])[] = [
    ['a: [1, 2\nb: 3', /at line 2, column 1$/],
    ['a: 1\na: 2', /The key "a" appears twice at line 2, column 1$/],
    ['a: "x', /at line 1, column 6$/],
    ['\ta: 1', /at line 1, column 1$/],
    ['a: !!js/function "x"', /at line 1, column 4$/],
    ['a: 1\n---\nb: 2', /second YAML document begins at line 2, column 1$/],
    ['x:\n  __proto__: 1', /"__proto__" is not allowed at line 2, column 3$/],
    ['a: .inf', /not finite at line 1, column 4$/],
    ['a: *missing', /at line 1, column 4$/],
    ['{[1]: 2}', /at line 1, column/],
  ];
  for (const [text, expected] of faults) {
    const failure = failureOf(text);
    t.match(failure, /^MALFORMED_REQUEST /, text);
    t.match(failure, expected, text);
  }
  t.end();
});

t.test('documents that would fill memory or the stack are refused', (t) => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh']) {
    bomb.push(
      `${String(to)}: &${String(to)} [${Array(9)
        .fill(`*${String(from)}`)
        .join(',')}]`,
    );
  }
  t.match(failureOf(bomb.join('\n')), /^MALFORMED_REQUEST .*alias/i);
  t.match(failureOf('['.repeat(101) + ']'.repeat(101)), /levels of nesting/);
  t.match(failureOf('['.repeat(100_000)), /^MALFORMED_REQUEST/, 'no stack overflow');
  t.end();
});

t.test('texts that no UTF-8 spells are refused with their path', (t) => {
  const problem = { message: /^a\[0\]\.b: must be well-formed Unicode$/ };
  t.throws(() => parseYaml('a: [{ b: "\\ud800z" }]'), problem);
  t.throws(() => parseYaml('a: [{ b: { "\\udc00": 1 } }]'), problem);
  t.same(parseYaml('a: "\\U0001f600"'), { a: '\u{1f600}' });
  t.end();
});

t.test('a version keeps its spelling or is refused with its path', (t) => {
  t.strictSame(parseYaml('entity_version: "1.10"'), { entity_version: '1.10' });
  t.strictSame(parseYaml('entity_version: 7'), { entity_version: 7 });
  for (const spelling of ['1.10', '2.0', '1e3', '0x10']) {
    t.equal(
      failureOf(`deployments:\n  - serves: [ { entity_version: ${spelling} } ]`),
      'INVALID_PARAMETER_VALUE deployments[0].serves[0].entity_version: ' +
        `must be a text or an integer, not the number ${spelling}; put it in quotes`,
    );
  }
  t.end();
});
