import t from 'tap';
import { canonicalJson, etagOf, sameJson } from '../../../src/control/json.js';

const PROTO = JSON.parse('{"__proto__":{"a":1}}') as unknown;

/** Each stands for a JSON value of its own. */
const DIFFERENT: readonly unknown[] = [
  ...[null, true, false, 0, 1, -1.5, '', '0', 'é\u2028"'],
  ...[[], [null], [0], [[]], [{}], [1, 2], [2, 1]],
  ...[{}, { a: null }, { a: 0 }, { a: {} }, { a: [] }, { b: 0 }, { a: 0, b: 0 }, { a: { b: [1] } }],
  ...[PROTO, { toString: 1 }, { 1: 'x' }],
];

t.test('the text has sorted keys and nothing that is undefined', (t) => {
  t.equal(
    canonicalJson({ b: [1, undefined, 'x'], a: { d: null, c: undefined } }),
    '{"a":{"d":null},"b":[1,null,"x"]}',
  );
  t.equal(canonicalJson(PROTO), '{"__proto__":{"a":1}}');
  for (const value of DIFFERENT) t.same(JSON.parse(canonicalJson(value)), value);
  t.end();
});

t.test('the same, and only the same', (t) => {
  const wrong: unknown[] = [];
  for (const [index, one] of DIFFERENT.entries()) {
    for (const [other, two] of DIFFERENT.entries()) {
      const copy = JSON.parse(JSON.stringify(two)) as unknown;
      if (sameJson(one, copy) !== (index === other)) wrong.push([one, two]);
      if ((canonicalJson(one) === canonicalJson(copy)) !== (index === other))
        wrong.push([one, two]);
    }
  }
  t.same(wrong, []);
  t.ok(sameJson({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }), 'order is nothing');
  t.ok(sameJson({ a: undefined }, {}), 'nor is what is not there');
  t.ok(sameJson({}, { a: undefined }));
  t.notOk(sameJson({ a: undefined }, { a: null }));
  t.equal(etagOf({ a: 1, b: 2 }), etagOf({ b: 2, a: 1 }));
  t.end();
});
