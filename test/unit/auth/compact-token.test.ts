/** Claims are read by one strict rule, whichever of the two readers gets them. */
import t from 'tap';
import { CompactReader, decodeBase64url } from '../../../src/auth/compact-token.js';

const encode = (text: string): string => Buffer.from(text).toString('base64url');

/** Claims of a token with this text for a payload; null: refused. */
function claimsOf(text: string): unknown {
  const token = `${encode('{"alg":"ES256"}')}.${encode(text)}.${encode('signature')}`;
  return new CompactReader().read(token)?.claims ?? null;
}

const nested = (levels: number): string =>
  `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

t.test('claims in any legal spelling are the same claims', (t) => {
  const claims = { iss: 'x', exp: 12, aud: ['a', 'b'], deep: { ok: true, none: null } };
  t.same(claimsOf(JSON.stringify(claims)), claims);
  t.same(claimsOf(JSON.stringify(claims, null, 2)), claims, 'with space');
  t.same(claimsOf('{"exp":12.0,"iss":"\\u0078"}'), { exp: 12, iss: 'x' }, 'other spellings');
  t.same(claimsOf('{"b":1,"1":2}'), { 1: 2, b: 1 }, 'a key that is an index');
  t.same(claimsOf('{"sub":"{[{[\u2713"}'), { sub: '{[{[\u2713' });
  t.not(claimsOf(nested(100)), null, 'as deep as may be');
  t.end();
});

t.test('what two readers would read differently is refused', (t) => {
  for (const text of [
    '{"sub":"a","sub":"a"}',
    '{"sub":"a","sub":"b"}',
    '{"a":{"sub":1,"sub":1}}',
    '{"sub":"a","\\u0073ub":"a"}',
    '{"__proto__":{"admin":true}}',
    '{"a":{"__proto__":1}}',
    '{"exp":1e999}',
    '{"exp":01}',
    nested(101),
    nested(5_000),
    `${'{"a":'.repeat(101)}1${'}'.repeat(101)}`,
    '[1]',
    '"a"',
    'null',
    '',
    '{"sub":"a"',
    '{"sub":"a"}x',
  ]) {
    t.equal(claimsOf(text), null, text.slice(0, 40));
  }
  t.end();
});

t.test('bytes have one spelling', (t) => {
  const letters =
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ '.match(/./g) ?? [];
  const wrong: string[] = [];
  const look = (text: string): void => {
    const bytes = Buffer.from(text, 'base64url');
    const expected = bytes.toString('base64url') === text ? bytes.toString('hex') : null;
    if ((decodeBase64url(text)?.toString('hex') ?? null) !== expected) wrong.push(text);
  };
  look('');
  for (const first of letters) {
    for (const last of letters) {
      for (const text of [last, first + last, `A${first}${last}`, `AB${first}${last}`]) {
        for (const head of ['', 'QUJD', 'QUJDREVG']) look(head + text);
      }
    }
  }
  t.same(wrong, []);
  const claims = encode('{"iss":"x"}');
  const reads = (signature: string): boolean =>
    new CompactReader().read(`${encode('{"alg":"ES256"}')}.${claims}.${signature}`) !== null;
  t.ok(reads('QUI'));
  for (const signature of ['QUJ', 'QUJDR', 'QV', 'QUI=', 'QUI '])
    t.notOk(reads(signature), signature);
  t.end();
});
