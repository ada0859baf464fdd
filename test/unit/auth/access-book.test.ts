import t, { type Test } from 'tap';
import { AccessBook, CATCH_UP_MS } from '../../../src/auth/access-book.js';
import {
  AccessFeed,
  ACCESS_RECORDS_MAX,
  type AccessUpdate,
} from '../../../src/auth/access-feed.js';
import { CredentialChecker, hashToken } from '../../../src/auth/credentials.js';
import { EMPTY_PROFILE } from '../../../src/auth/identity-book.js';
import { RememberingVerifier } from '../../../src/auth/remembering-verifier.js';
import { TokenJudge, type Verdict } from '../../../src/auth/token-judge.js';
import { invalidToken, verifierBusy, type Verified } from '../../../src/auth/trust.js';
import type { VerifyAnswer } from '../../../src/auth/trust.js';
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
  readonly pending: AccessUpdate[] = [];
  readonly wanted: string[] = [];
  readonly feed: AccessFeed;
  /** What the verifier says, by token. */
  readonly answers = new Map<string, VerifyAnswer>();
  verified = 0;
  epoch = 1;

  constructor(t: Test) {
    this.kit = createKit(t);
    const trust = { current: () => ({ version: 1, issuers: [] }), onChange: () => undefined };
    this.feed = new AccessFeed(this.kit.identities, trust, (update) => {
      this.pending.push(update);
      this.epoch += 1;
    });
    this.book = new AccessBook({ clock: this.kit.clock, epoch: () => this.epoch });
    this.judge = new TokenJudge({
      localTokens: new CredentialChecker([
        { tokenSha256: hashToken(ADMIN_TOKEN), principal: 'admin' },
        { tokenSha256: hashToken(DOTTED_ADMIN_TOKEN), principal: 'admin' },
      ]),
      accessTokenKey: createSealer(Buffer.alloc(32, 1)).hashKey('access_token'),
      book: this.book,
      verifier: {
        verify: (token) => {
          this.verified += 1;
          return Promise.resolve(this.answers.get(token) ?? invalidToken('malformed'));
        },
      },
      endpointId: (name) => (name === 'm1' ? 'id-of-m1' : null),
      wantUser: (name) => this.wanted.push(name),
    });
    this.greet();
  }

  greet(): void {
    const parts = this.feed.whole();
    for (const [index, part] of parts.entries()) {
      this.book.apply({ ...part, epoch: index === parts.length - 1 ? this.epoch : 0 });
    }
  }

  /** Hands over what has changed. */
  deliver(): void {
    for (const update of this.pending.splice(0)) {
      this.book.apply({ ...update, epoch: this.epoch });
    }
  }

  async bearer(token: string): Promise<Verdict> {
    return this.judge.judge(`Bearer ${token}`);
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
  t.match(good, { kind: 'good', epoch: pair.epoch, expiresAtS: kit.clock.nowMs() / 1000 + 60 });
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

t.test('an access token ends in its second, and with its owner', async (t) => {
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
  t.match(await pair.bearer(next.secret), { kind: 'good', expiresAtS: 0 });
  kit.book.delete(mia);
  pair.deliver();
  t.same(await pair.bearer(next.secret), { kind: 'bad' });
  pair.greet();
  t.same(await pair.bearer(next.secret), { kind: 'bad' });
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

t.test('a signed token stands for its principal and ends with its credential', async (t) => {
  const pair = new Pair(t);
  const { kit } = pair;
  const mia = kit.user('mia');
  const input = { principalId: mia, lifetimeS: 60, comment: '' };
  const { credential } = kit.identities.credentials.create('access_token', input);
  pair.deliver();
  const own = verifiedOf({ kind: 'own', principalId: mia, credentialId: credential.id });
  pair.answers.set('a.b.c', own);
  const expiresAtS = kit.clock.nowMs() / 1000 + 60;
  t.match(await pair.bearer('a.b.c'), { kind: 'good', expiresAtS });
  pair.answers.set('a.b.d', { ...own, principalId: '2' });
  t.same(await pair.bearer('a.b.d'), { kind: 'bad' }, 'a credential of somebody else');
  kit.identities.credentials.delete('access_token', mia, credential.id);
  pair.deliver();
  t.same(await pair.bearer('a.b.c'), { kind: 'bad' });
  pair.answers.set('a.b.e', { ...own, credentialId: '', endpoints: ['x'] });
  t.match(await pair.bearer('a.b.e'), { terms: { limited: true, endpoints: ['x'] } });
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
  t.match(await pair.bearer('one'), { terms: { endpoints: ['id-of-m1', 'else'] } });
  kit.book.update(mia, { name: 'mia', profile: { ...EMPTY_PROFILE, active: false } });
  pair.deliver();
  t.same(await pair.bearer('one'), { kind: 'bad' }, 'not active');
});

t.test('the whole of it is told in parts', (t) => {
  const pair = new Pair(t);
  const parts = pair.feed.whole();
  t.match(parts[0], { whole: true, principals: [] });
  t.match(parts[1], { whole: false, principals: { length: 4 } });
  for (const part of parts) t.ok(part.principals.length <= ACCESS_RECORDS_MAX);
  t.end();
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
