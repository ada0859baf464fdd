import t from 'tap';
import Type from 'typebox';
import { compileValidator, joinPath } from '../../../src/config/validate.js';

const schema = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    weights: Type.Array(Type.Integer({ minimum: 0, maximum: 9 }), { default: [], maxItems: 2 }),
    mode: Type.Unsafe<string>({ enum: ['a', 'b'], default: 'a' }),
    inner: Type.Object(
      { on: Type.Boolean({ default: false }) },
      { default: {}, additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);

t.test('defaults are filled into a copy', (t) => {
  const validate = compileValidator(schema);
  const given = { name: 'x' };
  t.strictSame(validate(given), { name: 'x', weights: [], mode: 'a', inner: { on: false } });
  t.strictSame(given, { name: 'x' });
  const [first, second] = [validate(given), validate(given)];
  first.weights.push(1);
  t.strictSame(second.weights, [], 'no default is shared between two results');
  t.end();
});

t.test('the first fault is named by its path', (t) => {
  const validate = compileValidator(schema);
  const cases: (readonly [unknown, string])[] = [
    [{}, 'name: missing'],
    [{ name: '' }, 'name: must not be empty'],
    [{ name: 1 }, 'name: must be a string'],
    [{ name: 'x', weights: [1, 10] }, 'weights[1]: must be from 0 to 9'],
    [{ name: 'x', weights: [1.5] }, 'weights[0]: must be an integer'],
    [{ name: 'x', weights: [1, 2, 3] }, 'weights: takes at most 2 items'],
    [{ name: 'x', mode: 'c' }, 'mode: must be one of a, b'],
    [{ name: 'x', inner: { of: true } }, 'inner.of: unknown key'],
    [{ name: 'x', inner: { on: 'yes' } }, 'inner.on: must be true or false'],
    [{ name: 'x', 'a.b/c~': 1 }, '["a.b/c~"]: unknown key'],
    [[], 'body: must be an object'],
  ];
  for (const [value, message] of cases) {
    t.throws(() => validate(value), { code: 'INVALID_PARAMETER_VALUE', status: 400, message });
  }
  t.throws(() => validate({}, 'items[3]'), { message: 'items[3].name: missing' });
  t.end();
});

t.test('paths', (t) => {
  t.equal(joinPath('', 'a'), 'a');
  t.equal(joinPath('a', 'b-c'), 'a.b-c');
  t.equal(joinPath('a', 3), 'a[3]');
  t.equal(joinPath('a', 'x y'), 'a["x y"]');
  t.end();
});
