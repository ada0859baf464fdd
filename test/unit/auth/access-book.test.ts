import t, { type Test } from 'tap';
import { AccessBook, CATCH_UP_MS } from '../../../src/auth/access-book.js';
import { AccessFeed, ACCESS_RECORDS_MAX } from '../../../src/auth/access-feed.js';
import { CredentialChecker, hashToken } from '../../../src/auth/credentials.js';
import { EMPTY_PROFILE } from '../../../src/auth/identity-book.js';
import { RememberingVerifier } from '../../../src/auth/remembering-verifier.js';
import { CLOCK_LEEWAY_S } from '../../../src/auth/token-verifier.js';
import { TokenJudge, type Verdict } from '../../../src/auth/token-judge.js';
import { invalidToken, verifierBusy, type Verified } from '../../../src/auth/trust.js';
import type { VerifyAnswer } from '../../../src/auth/trust.js';
import type { Access } from '../../../src/control/messages.js';
import { createSealer } from '../../../src/store/sealed-box.js';
import { createKit, type IdentityKit } from './kit.js';

const ADMIN_TOKEN = 'the-admin-token-of-this-test';
/** Chosen by somebody who likes dots: it has the form of a signed token. */
const DOTTED_ADMIN_TOKEN = 'the.admin.token';

/** A supervisor's identities and a worker's copy of them, with the messages by hand between. */
class Pair {
  readonly kit: IdentityKit;
  readonly book: AccessBook;
  readonly judge: TokenJudge;
  readonly pending: Access[] = [];
  readonly wanted: string[] = [];
  readonly feed: AccessFeed;
  /** What the verifier says, by token. */
  readonly answers = new Map<string, VerifyAnswer>();
  verified = 0;
  epoch = 1;
  version = 1;

  readonly #t: Test;

  constructor(t: Test) {
    this.#t = t;
    this.kit = createKit(t);
    const trust = { current: () => ({ version: 1, issuers: [] }), onChange: () => undefined };
    this.feed = new AccessFeed(this.kit.identities, trust, (update, takesAway) => {
      this.version += 1;
      if (takesAway) this.epoch += 1;
      this.pending.push({ ...update, epoch: this.epoch, version: this.version });
    });
    this.book = new AccessBook({ clock: this.kit.clock, version: () => this.version });
    this.judge = new TokenJudge({
      localTokens: new CredentialChecker([
        { tokenSha256: hashToken(ADMIN_TOKEN), principal: 'admin' },
        { tokenSha256: hashToken(DOTTED_ADMIN_TOKEN), principal: 'admin' },
      ]),
      accessTokenKey: createSealer(Buffer.alloc(32, 1)).hashKey('access_token'),
      book: this.book,
      clock: this.kit.clock,
      verifier: {
        verify: (token) => {
          this.verified += 1;
          return Promise.resolve(this.answers.get(token) ?? invalidToken('malformed'));
        },
      },
      wantUser: ({ name }) => this.wanted.push(name) > 0,
    });
    this.greet();
  }

  greet(): void {
    const parts = this.feed.whole();
    for (const [index, part] of parts.entries()) {
      const version = index === parts.length - 1 ? this.version : 0;
      this.book.apply({ ...part, epoch: this.epoch, version });
    }
  }

  /** Hands over what has changed. */
  deliver(): void {
    for (const update of this.pending.splice(0)) this.book.apply(update);
  }

  /** What is verified already gets the same verdict at once, if it is good. */
  async bearer(token: string): Promise<Verdict> {
    const verdict = await this.judge.judge(`Bearer ${token}`);
    const answer = this.answers.get(token);
    if (answer?.ok) {
      const atOnce = this.judge.judgeVerified(answer);
      this.#t.same(atOnce, verdict.kind === 'good' ? verdict : null, 'and the same at once');
    }
    return verdict;
  }
}

function verifiedOf(changes: Partial<Verified>): Verified {
  return {
    ok: true,
    principal: 'mia',
    principalId: '',
    kind: 'external',
    exp: 4_000_000_000,
    iat: 0,
    jti: 'j',
    issuer: 'https://issuer.test',
    authorizationDetails: null,
    endpoints: null,
    groups: [],
    isAdmin: false,
    credentialId: '',
    autoCreate: false,
    ...changes,
  };
}

t.test('an access token is good until it is deleted, and opens what its owner may', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const inner = kit.group('inner', [mia]);
  const outer = kit.group('outer', [inner]);
  const input = { principalId: mia, lifetimeS: 60, comment: '' };
  const { secret, credential } = kit.identities.credentials.create('access_token', input);
  pair.deliver();
  const good = await pair.bearer(secret);
  t.match(good, { kind: 'good', epoch: pair.epoch, expiresAtMs: kit.clock.nowMs() + 60_000 });
  if (good.kind !== 'good') return;
  t.strictSame([...good.terms.holders].sort(), [mia, inner, outer, '4'].map(Number).sort());
  t.match(good.terms, { everything: false, limited: false, endpoints: [] });
  t.same(await pair.bearer(`${secret.slice(0, -1)}0`.replace(secret, 'x')), { kind: 'bad' });
  kit.book.delete(inner);
  pair.deliver();
  const later = await pair.bearer(secret);
  t.strictSame(later.kind === 'good' && [...later.terms.holders].sort(), [4, Number(mia)]);
  kit.identities.credentials.delete('access_token', mia, credential.id);
  pair.deliver();
  t.same(await pair.bearer(secret), { kind: 'bad' });
});

t.test('an access token ends in its moment, and with its owner', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const input = { principalId: mia, lifetimeS: 60, comment: '' };
  const { secret } = kit.identities.credentials.create('access_token', input);
  pair.deliver();
  kit.clock.advance(60_000);
  t.same(await pair.bearer(secret), { kind: 'bad' });
  const next = kit.identities.credentials.create('access_token', { ...input, lifetimeS: null });
  pair.deliver();
  t.match(await pair.bearer(next.secret), { kind: 'good', expiresAtMs: 0 });
  kit.book.delete(mia);
  pair.deliver();
  t.same(await pair.bearer(next.secret), { kind: 'bad' });
  pair.greet();
  t.same(await pair.bearer(next.secret), { kind: 'bad' });
});

t.test('a token is good up to its end, wherever in a second that lies', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const endMs = kit.clock.nowMs() + 60_500;
  t.equal(kit.clock.nowMs() % 1_000, 0);
  kit.clock.advance(500);
  const input = { principalId: mia, lifetimeS: 60, comment: '' };
  const { secret } = kit.identities.credentials.create('access_token', input);
  pair.answers.set('x.y.z', verifiedOf({ exp: endMs / 1_000 }));
  pair.deliver();
  kit.clock.advance(59_999);
  for (const token of [secret, 'x.y.z']) {
    t.match(await pair.bearer(token), { kind: 'good', expiresAtMs: endMs });
  }
  kit.clock.advance(1);
  for (const token of [secret, 'x.y.z']) t.same(await pair.bearer(token), { kind: 'bad' });
});

t.test('no verdict is made by data that is older than the epoch', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const input = { principalId: mia, lifetimeS: null, comment: '' };
  const { secret, credential } = kit.identities.credentials.create('access_token', input);
  const early = pair.bearer(secret);
  pair.deliver();
  t.match(await early, { kind: 'good' }, 'what was made a moment ago is waited for');
  kit.identities.credentials.delete('access_token', mia, credential.id);
  const late = pair.bearer(secret);
  pair.deliver();
  t.same(await late, { kind: 'bad' }, 'what was revoked is not let in');
  kit.user('ben');
  const lost = [pair.bearer(secret), pair.judge.judge(`Bearer ${ADMIN_TOKEN}`)];
  kit.clock.advance(CATCH_UP_MS);
  t.same(await Promise.all(lost), [{ kind: 'busy' }, { kind: 'busy' }], 'fails closed');
  pair.deliver();
  t.match(await pair.judge.judge(`Bearer ${ADMIN_TOKEN}`), {
    kind: 'good',
    terms: { everything: true },
  });
});

t.test('nothing is decided at once that must wait', (t) => {
  const pair = new Pair(t);
  const { kit, judge } = pair;
  const own = verifiedOf({ kind: 'own', principalId: kit.user('mia') });
  t.equal(judge.judgeVerified(own), null, 'a change is on its way');
  pair.deliver();
  const verdict = { kind: 'good', epoch: pair.epoch, verified: own, trustVersion: 1 };
  t.match(judge.judgeVerified(own), verdict);
  kit.book.delete(own.principalId);
  t.equal(judge.judgeVerified(own), null, 'another one');
  pair.deliver();
  t.equal(judge.judgeVerified(own), null, 'gone');
  const stranger = verifiedOf({ principal: 'zoe', autoCreate: true });
  t.equal(judge.judgeVerified(stranger), null, 'a user that may be made');
  t.strictSame(pair.wanted, [], 'and is not, by this');
  t.end();
});

t.test('only what may take a right away empties the caches of verdicts', (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const { credentials } = kit.identities;
  /** Raised the epoch, raised the version. */
  const raised = (change: () => void): [boolean, boolean] => {
    const { epoch, version } = pair;
    change();
    pair.deliver();
    t.equal(pair.book.epoch, pair.epoch);
    return [pair.epoch > epoch, pair.version > version];
  };
  const ADDS = [false, true];
  const TAKES = [true, true];
  const NOTHING = [false, false];
  let mia = '';
  t.strictSame(
    raised(() => (mia = kit.user('mia'))),
    ADDS,
    'a new user',
  );
  let id = '';
  const newToken = (): void => {
    const input = { principalId: mia, lifetimeS: null, comment: '' };
    id = credentials.create('access_token', input).credential.id;
  };
  t.strictSame(raised(newToken), ADDS, 'a new token');
  let team = '';
  t.strictSame(
    raised(() => (team = kit.group('team', []))),
    TAKES,
    'a group: tokens may claim it',
  );
  const update = (changes: object, members?: string[]) => () => {
    const of = members === undefined ? { id: mia, name: 'mia' } : { id: team, name: 'team' };
    const profile = { ...EMPTY_PROFILE, ...changes };
    kit.book.update(of.id, { name: of.name, profile, ...(members && { members }) });
  };
  t.strictSame(raised(update({ displayName: 'M' })), NOTHING, 'what workers do not see');
  t.strictSame(raised(update({ active: false })), TAKES, 'not active');
  t.strictSame(raised(update({ active: true })), ADDS, 'active again');
  t.strictSame(raised(update({}, [mia])), TAKES, 'a member: verdicts hold groups');
  t.strictSame(raised(update({}, [])), TAKES, 'no member any more');
  const dropToken = (): void => {
    credentials.delete('access_token', mia, id);
  };
  t.strictSame(raised(dropToken), TAKES, 'a token deleted');
  const dropUser = (): void => {
    kit.book.delete(mia);
  };
  t.strictSame(raised(dropUser), TAKES, 'a user deleted');
  t.strictSame(
    raised(() => kit.user('mia')),
    ADDS,
    'another one of the same name',
  );
  t.end();
});

t.test('a signed token stands for its principal and ends with its credential', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const input = { principalId: mia, lifetimeS: 60, comment: '' };
  const { credential } = kit.identities.credentials.create('access_token', input);
  pair.deliver();
  const own = verifiedOf({ kind: 'own', principalId: mia, credentialId: credential.id });
  pair.answers.set('a.b.c', own);
  const expiresAtMs = kit.clock.nowMs() + 60_000;
  t.match(await pair.bearer('a.b.c'), { kind: 'good', expiresAtMs });
  pair.answers.set('a.b.d', { ...own, principalId: '2' });
  t.same(await pair.bearer('a.b.d'), { kind: 'bad' }, 'a credential of somebody else');
  kit.identities.credentials.delete('access_token', mia, credential.id);
  pair.deliver();
  t.same(await pair.bearer('a.b.c'), { kind: 'bad' });
  pair.answers.set('a.b.e', { ...own, credentialId: '', endpoints: ['x'] });
  t.match(await pair.bearer('a.b.e'), {
    terms: { limited: true, endpoints: ['x'], byName: false },
  });
  pair.answers.set('busy', verifierBusy(1));
  t.same(await pair.bearer('busy'), { kind: 'busy' });
  t.same(await pair.bearer('what'), { kind: 'bad' });
});

t.test('an external token names a user, groups and endpoints by name', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const group = kit.group('team', []);
  pair.answers.set('one', verifiedOf({ groups: ['team', 'unknown'], endpoints: ['m1', 'else'] }));
  pair.deliver();
  t.same(await pair.bearer('one'), { kind: 'bad' }, 'nobody is made');
  t.strictSame(pair.wanted, []);
  pair.answers.set('two', verifiedOf({ autoCreate: true, groups: ['team'] }));
  const waits = pair.bearer('two');
  await new Promise(setImmediate);
  t.strictSame(pair.wanted, ['mia']);
  const mia = kit.user('mia');
  pair.deliver();
  const verdict = await waits;
  t.strictSame(
    verdict.kind === 'good' && [...verdict.terms.holders].sort(),
    [4, Number(mia), Number(group)].sort(),
  );
  t.match(await pair.bearer('one'), {
    terms: { endpoints: ['m1', 'else'], byName: true },
  });
  kit.book.update(mia, { name: 'mia', profile: { ...EMPTY_PROFILE, active: false } });
  pair.deliver();
  t.same(await pair.bearer('one'), { kind: 'bad' }, 'not active');
});

t.test('what a token claims of groups leads to no admin unless its issuer may', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = Number(kit.user('mia'));
  const outer = Number(kit.group('outer', []));
  const ops = Number(kit.group('ops', []));
  const inAdmins = { name: 'admins', profile: EMPTY_PROFILE, members: ['1', String(ops)] };
  kit.book.update('3', inAdmins);
  kit.book.update(String(outer), { name: 'outer', profile: EMPTY_PROFILE, members: ['3'] });
  pair.deliver();
  const termsOf = async (changes: Partial<Verified>): Promise<unknown> => {
    pair.answers.set('x.y.z', verifiedOf(changes));
    const verdict = await pair.bearer('x.y.z');
    if (verdict.kind !== 'good') return verdict.kind;
    const { everything, holders } = verdict.terms;
    return { everything, holders: holders.toSorted((a, b) => a - b) };
  };
  const nothing = { everything: false, holders: [4, mia] };
  t.strictSame(await termsOf({ groups: ['admins'] }), nothing, 'by name');
  const asOps = { everything: false, holders: [4, mia, ops] };
  t.strictSame(await termsOf({ groups: ['ops', 'admins'] }), asOps, 'by another group');
  const asAdmin = { everything: true, holders: [3, 4, mia, outer] };
  t.strictSame(await termsOf({ groups: ['staff'], isAdmin: true }), asAdmin, 'mapped');
  for (const principal of ['admin', 'query']) t.equal(await termsOf({ principal }), 'bad');
  kit.group('team', [String(mia)]);
  kit.book.update(String(ops), { name: 'ops', profile: EMPTY_PROFILE, members: [String(mia)] });
  pair.deliver();
  t.match(await termsOf({ groups: [] }), { everything: true }, 'its own membership counts');
});

t.test('the whole of it is told in parts', (t) => {
  const pair = new Pair(t);
  const parts = pair.feed.whole();
  t.match(parts[0], { whole: true, principals: [] });
  t.match(parts[1], { whole: false, principals: { length: 4 } });
  for (const part of parts) t.ok(part.principals.length <= ACCESS_RECORDS_MAX);
  t.end();
});

t.test('nobody is wanted again for a token from before his deletion', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('Mia');
  kit.group('team', [mia]);
  pair.deliver();
  kit.book.delete(mia);
  pair.deliver();
  const latestS = kit.clock.nowMs() / 1_000 + CLOCK_LEEWAY_S;
  const judged = async (principal: string, iat: number): Promise<string> => {
    pair.answers.set('a.b.c', verifiedOf({ autoCreate: true, principal, iat }));
    const verdict = pair.bearer('a.b.c');
    await new Promise(setImmediate);
    kit.clock.advance(CATCH_UP_MS);
    const { kind } = await verdict;
    // The supervisor is asked the same.
    t.equal(kit.book.mayBeMade(principal, iat), kind === 'busy');
    return kind;
  };
  for (const told of ['of the change', 'of everything']) {
    t.equal(await judged('Mia', latestS), 'bad', told);
    t.equal(await judged('mIA', 0), 'bad', told);
    t.equal(await judged('ben', 0), 'busy', told);
    t.strictSame(pair.wanted.splice(0), ['ben']);
    t.equal(await judged('Mia', latestS + 0.5), 'busy', told);
    t.strictSame(pair.wanted.splice(0), ['Mia']);
    pair.greet();
  }
});

t.test('a signature is looked at once, until the keys change', async (t) => {
  const { clock } = createKit(t);
  let version = 1;
  let looks = 0;
  const answer = verifiedOf({ exp: clock.nowMs() / 1000 + 10 });
  const verifier = new RememberingVerifier({
    trust: { current: () => ({ version, issuers: [] }) },
    clock,
    pool: () => ({
      verify: (token) => {
        looks += 1;
        return Promise.resolve(token === 'good' ? answer : invalidToken('bad signature'));
      },
    }),
  });
  for (let round = 0; round < 3; round += 1) t.equal(await verifier.verify('good'), answer);
  t.equal(looks, 1);
  await verifier.verify('bad');
  await verifier.verify('bad');
  t.equal(looks, 3, 'refusals are the pool’s to remember');
  version += 1;
  await verifier.verify('good');
  t.equal(looks, 4);
  clock.advance(10_000);
  await verifier.verify('good');
  t.equal(looks, 5, 'expired');
});

t.test('a local token may look like a signed one', async (t) => {
  const pair = new Pair(t);
  pair.deliver();
  const all = { kind: 'good', terms: { everything: true } };
  t.match(await pair.bearer(ADMIN_TOKEN), all);
  t.equal(pair.verified, 0, 'nobody is asked about what cannot be signed');
  t.match(await pair.bearer(DOTTED_ADMIN_TOKEN), all);
  t.same(await pair.bearer('the.other.token'), { kind: 'bad' });
  pair.answers.set(DOTTED_ADMIN_TOKEN, verifierBusy(1));
  t.same(await pair.bearer(DOTTED_ADMIN_TOKEN), { kind: 'busy' });
});
