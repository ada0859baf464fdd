/** What an Authorization field says, in the one way that each credential is written. */
import t from 'tap';
import { CredentialChecker, hashToken, tokenOf } from '../../../src/auth/credentials.js';
import { basic, otherSpellings } from './service-kit.js';

t.test('a credential has one spelling, its scheme any case', (t) => {
  for (const field of ['Bearer abc', 'bearer abc', 'BEARER abc']) {
    t.equal(tokenOf(field), 'abc', field);
  }
  const others = ['abc ', ' abc', 'abc\t', '\tabc', 'abc\u00a0', '', ' '].map(
    (value) => `Bearer ${value}`,
  );
  for (const field of [...others, 'Bearer', 'Bearer\tabc', ' Bearer abc', 'abc', '']) {
    t.equal(tokenOf(field), null, JSON.stringify(field));
  }
  for (const token of ['abc', 'abcd', 'abcde', '\u00fb\u00ff\u00be?>', '']) {
    const { authorization } = basic('token', token);
    const bytes = Buffer.from(token).toString('latin1');
    t.equal(tokenOf(authorization), bytes, token);
    t.equal(tokenOf(authorization.replace('Basic', 'BASIC')), bytes, token);
    for (const field of otherSpellings(authorization)) {
      t.equal(tokenOf(field), null, JSON.stringify(field));
    }
  }
  t.equal(tokenOf(basic('user', 'abc').authorization), null, 'another user');
  t.equal(tokenOf('Digest abc'), null);
  t.end();
});

t.test('the own tokens are found by their spelling alone', (t) => {
  const principal = 'admin';
  const token = 'a token of two words';
  const checker = new CredentialChecker([{ tokenSha256: hashToken(token), principal }]);
  const { authorization } = basic('token', token);
  for (let i = 0; i < 2; i++) {
    t.equal(checker.check(`Bearer ${token}`), principal);
    t.equal(checker.check(authorization), principal);
    t.equal(checker.check(`Bearer ${token} `), null);
    for (const field of otherSpellings(authorization)) t.equal(checker.check(field), null, field);
  }
  t.end();
});
