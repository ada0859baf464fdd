/**
 * A good token of an issuer that makes users waited two seconds for one that could not come: the name belonged to somebody
 * inactive, built-in or of another case. Whoever waited in vain was never forgotten. And where the user could only not
 * be made in time, or was not even asked for, the token was called bad.
 */
import t from 'tap';
import { AccessBook, CATCH_UP_MS } from '../../src/auth/access-book.js';
import { CredentialChecker } from '../../src/auth/credentials.js';
import { TokenJudge, type Verdict } from '../../src/auth/token-judge.js';
import type { Verified } from '../../src/auth/trust.js';
import type { AccessPrincipal } from '../../src/control/messages.js';
import { ManualClock } from '../unit/control/harness.js';

const ISSUER = 'https://issuer.test';
const HELD: Omit<AccessPrincipal, 'id' | 'name'> = { isGroup: false, active: true, groups: [] };

/** A token is the name of its user. */
class Desk {
  readonly clock = new ManualClock();
  readonly book = new AccessBook({ clock: this.clock, version: () => 1 });
  readonly wanted: string[] = [];
  takesWishes = true;
  readonly #judge = new TokenJudge({
    localTokens: new CredentialChecker([]),
    accessTokenKey: Buffer.alloc(32),
    book: this.book,
    clock: this.clock,
    verifier: { verify: (principal) => Promise.resolve(verifiedOf(principal)) },
    wantUser: ({ name }) => {
      if (this.takesWishes) this.wanted.push(name);
      return this.takesWishes;
    },
  });

  constructor() {
    this.tell(
      { ...HELD, id: 1, name: 'admin' },
      { ...HELD, id: 7, name: 'ida', active: false },
      { ...HELD, id: 8, name: 'Max' },
    );
  }

  tell(...principals: AccessPrincipal[]): void {
    this.book.apply({
      whole: false,
      principals,
      removedPrincipals: [],
      credentials: [],
      removedCredentials: [],
      deletedNames: [],
      trustJson: '',
      epoch: 1,
      version: 1,
    });
  }

  judge(token: string): Promise<Verdict> {
    return this.#judge.judge(`Bearer ${token}`);
  }
}

function verifiedOf(principal: string): Verified {
  return {
    ok: true,
    principal,
    principalId: '',
    kind: 'external',
    exp: 4_000_000_000,
    iat: 0,
    jti: 'j',
    issuer: ISSUER,
    authorizationDetails: null,
    endpoints: null,
    groups: [],
    isAdmin: false,
    credentialId: '',
    autoCreate: true,
  };
}

t.test('nobody waits for a user that cannot be made', async (t) => {
  const desk = new Desk();
  for (const name of ['ida', 'IDA', 'admin', 'max', 'Pointsman']) {
    t.same(await desk.judge(name), { kind: 'bad' }, name);
  }
  t.strictSame(desk.wanted, []);
  t.match(await desk.judge('Max'), { kind: 'good' });
});

t.test('a token whose user is not made in time may be good later', async (t) => {
  const desk = new Desk();
  const late = desk.judge('mia');
  await new Promise(setImmediate);
  t.strictSame(desk.wanted, ['mia']);
  t.equal(desk.book.waiting, 1);
  desk.clock.advance(CATCH_UP_MS);
  t.same(await late, { kind: 'busy' });
  t.equal(desk.book.waiting, 0, 'who waited in vain is forgotten');
  const next = desk.judge('mia');
  await new Promise(setImmediate);
  desk.tell({ ...HELD, id: 9, name: 'mia' });
  t.match(await next, { kind: 'good' });
  t.equal(desk.book.waiting, 0);
});

t.test('so may one whose user could not be asked for', async (t) => {
  const desk = new Desk();
  desk.takesWishes = false;
  t.same(await desk.judge('mia'), { kind: 'busy' }, 'at once');
  t.equal(desk.book.waiting, 0);
});
