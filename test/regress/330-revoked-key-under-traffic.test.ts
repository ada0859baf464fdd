/**
 * A worker that was told of a revoked key while a token was being judged made a verdict out of both worlds: what the old
 * key proved, with the new epoch. A cached verdict of the new epoch lived until the token expired, so under traffic
 * tokens of a revoked key stayed good.
 */
import t from 'tap';
import { AccessBook } from '../../src/auth/access-book.js';
import { CredentialChecker } from '../../src/auth/credentials.js';
import { RememberingVerifier } from '../../src/auth/remembering-verifier.js';
import { TokenJudge } from '../../src/auth/token-judge.js';
import type { Trust } from '../../src/auth/trust.js';
import { VerifierPool } from '../../src/auth/verifier-pool.js';
import type { Access } from '../../src/control/messages.js';
import { createIssuer, createKey, signToken, TestClock } from '../unit/auth/token-kit.js';

const MIA = { id: 7, name: 'app-1', isGroup: false, active: true, groups: [] };
const KEYS = [createKey('ES256', 'a'), createKey('ES256', 'b')];

function accessOf(version: number, trust: Trust): Access {
  return {
    whole: version === 1,
    principals: [MIA],
    removedPrincipals: [],
    credentials: [],
    removedCredentials: [],
    deletedNames: [],
    trustJson: JSON.stringify(trust),
    epoch: version,
    version,
  };
}

t.test('what an old key proved is worth nothing in the epoch of the new one', async (t) => {
  const clock = new TestClock();
  let version = 1;
  const book = new AccessBook({ clock, version: () => version });
  const trust = { current: () => book.trust, refresh: () => Promise.resolve() };
  const pool = new VerifierPool({
    trust,
    clock,
    threads: 1,
    onFault: (problem) => t.fail(problem),
  });
  t.teardown(() => pool.close());
  const judge = new TokenJudge({
    localTokens: new CredentialChecker([]),
    accessTokenKey: Buffer.alloc(32),
    book,
    clock,
    verifier: new RememberingVerifier({ trust, clock, pool: () => pool }),
    wantUser: () => false,
  });
  const [first, second] = KEYS;
  if (first === undefined || second === undefined) return;
  const bearer = `Bearer ${signToken(first)}`;
  book.apply(accessOf(1, { version: 1, issuers: [createIssuer([first, second])] }));
  t.match(await judge.judge(bearer), { kind: 'good', epoch: 1 });

  version = 2;
  const early = judge.judge(bearer);
  // So that it has its answer from memory and waits for the change.
  await new Promise(setImmediate);
  t.equal(book.waiting, 1);
  book.apply(accessOf(2, { version: 2, issuers: [createIssuer([second])] }));
  t.same(await early, { kind: 'bad' });

  const other = `Bearer ${signToken(second)}`;
  t.match(await judge.judge(other), { kind: 'good', epoch: 2 });
  version = 3;
  const kept = judge.judge(other);
  await new Promise(setImmediate);
  book.apply(accessOf(3, { version: 3, issuers: [createIssuer([second])] }));
  t.match(await kept, { kind: 'good', epoch: 3 }, 'a key that stays is looked at again');
});
