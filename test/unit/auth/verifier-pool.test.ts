/** The pool with real threads: one verification per token, bounds, keys that change, threads that die. */
import t, { type Test } from 'tap';
import { systemClock, type Clock } from '../../../src/core/clock.js';
import { IN_VAIN_MS, type Trust, type TrustSource } from '../../../src/auth/trust.js';
import { TOKENS_UNDER_WAY_MAX, VerifierPool } from '../../../src/auth/verifier-pool.js';
import {
  createIssuer,
  createKey,
  goodClaims,
  ISSUER,
  signToken,
  type TestKey,
} from './token-kit.js';

const key = createKey('ES256');

/** Counts how often keys were asked for; `next` is the trust after that. */
class TestTrust implements TrustSource {
  #version = 0;
  #trust: Trust = { version: 0, issuers: [] };
  readonly refreshed: string[] = [];
  next: readonly TestKey[] | null = null;

  constructor(...keys: TestKey[]) {
    this.set(...keys);
  }

  set(...keys: TestKey[]): void {
    this.#version += 1;
    this.#trust = { version: this.#version, issuers: [createIssuer(keys)] };
  }

  current(): Trust {
    return this.#trust;
  }

  refresh(issuer: string): Promise<void> {
    this.refreshed.push(issuer);
    if (this.next !== null) this.set(...this.next);
    this.next = null;
    return Promise.resolve();
  }
}

function createPool(
  t: Test,
  trust: TrustSource,
  threads = 1,
  clock: Clock = systemClock,
): { pool: VerifierPool; faults: string[] } {
  const faults: string[] = [];
  const onFault = (problem: string): void => void faults.push(problem);
  const pool = new VerifierPool({ trust, clock, threads, onFault });
  // As a worker's sockets: a pool whose threads are dead keeps no process alive.
  const alive = setInterval(() => undefined, 60_000);
  t.teardown(async () => {
    clearInterval(alive);
    await pool.close();
  });
  return { pool, faults };
}

/** A token that is good now, by the system's clock. */
function freshToken(signer: TestKey = key, name = 'app-1', kid = signer.kid): string {
  const nowS = Math.floor(Date.now() / 1000);
  return signToken(signer, goodClaims({ sub: name, iat: nowS, exp: nowS + 600 }), { kid });
}

t.test('good and bad tokens, many at once, in two threads', async (t) => {
  const { pool, faults } = createPool(t, new TestTrust(key), 2);
  const stranger = createKey('ES256');
  const tokens = Array.from({ length: 200 }, (_none, index) =>
    freshToken(index % 3 === 0 ? stranger : key, `app-${String(index)}`),
  );
  const answers = await Promise.all(tokens.map((token) => pool.verify(token)));
  for (const [index, answer] of answers.entries()) {
    if (index % 3 === 0) t.match(answer, { ok: false, status: 401, reason: 'bad signature' });
    else t.match(answer, { ok: true, principal: `app-${String(index)}` });
  }
  t.equal(pool.underWay, 0);
  t.strictSame(faults, []);
});

t.test('keys that are loaded take no place of a token', async (t) => {
  const { pool, faults } = createPool(t, new TestTrust(key));
  for (let round = 0; round < 20; round += 1) {
    const ready = Array.from({ length: 50 }, () => pool.ready());
    const answers = await Promise.all(
      [freshToken(), freshToken()].map((text) => pool.verify(text)),
    );
    t.strictSame(
      answers.map(({ ok }) => ok),
      [true, true],
    );
    await Promise.all(ready);
  }
  t.strictSame(faults, []);
});

t.test('calls that wait for one token share its verification', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  const token = freshToken();
  const first = pool.verify(token);
  t.equal(pool.verify(token), first);
  t.equal(pool.underWay, 1);
  t.equal((await first).ok, true);
  t.not(pool.verify(token), first, 'good tokens are the caller’s to remember');
});

t.test('two tokens that differ in one letter never share an answer', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  const good = freshToken();
  const middle = good.length - 20;
  const bad = `${good.slice(0, middle)}${good[middle] === 'A' ? 'B' : 'A'}${good.slice(middle + 1)}`;
  let wrong = 0;
  for (let round = 0; round < 300; round += 1) {
    const [yes, no] = await Promise.all([pool.verify(good), pool.verify(bad)]);
    if (!yes.ok || no.ok) wrong += 1;
  }
  t.equal(wrong, 0);
});

t.test('an unknown key is asked for, then refused without asking for a second', async (t) => {
  const trust = new TestTrust(key);
  let passedMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + passedMs };
  const { pool } = createPool(t, trust, 1, clock);
  const token = freshToken(key, 'app-1', 'unknown');
  t.match(await pool.verify(token), { ok: false, status: 401, reason: 'unknown key' });
  t.match(await pool.verify(token), { ok: false, status: 401, reason: 'unknown key' });
  t.strictSame(trust.refreshed, [ISSUER]);
  passedMs = IN_VAIN_MS;
  t.match(await pool.verify(token), { ok: false, status: 401, reason: 'unknown key' });
  t.strictSame(trust.refreshed, [ISSUER, ISSUER]);
});

t.test('who comes while many wait for keys already does not wait', async (t) => {
  const trust = new TestTrust(key);
  let done = (): void => undefined;
  const look = new Promise<void>((resolve) => {
    done = resolve;
  });
  trust.refresh = () => look;
  const { pool } = createPool(t, trust);
  const waiting = Array.from({ length: 64 }, (_none, index) =>
    pool.verify(freshToken(key, `app-${String(index)}`, 'unknown')),
  );
  const last = freshToken(key, 'last', 'unknown');
  t.match(await pool.verify(last), { ok: false, status: 401, reason: 'unknown key' });
  t.match(await pool.verify(freshToken(key)), { ok: true }, 'known keys wait for nothing');
  done();
  for (const answer of await Promise.all(waiting)) t.match(answer, { reason: 'unknown key' });
});

t.test(
  'a key that comes with the refresh lets its token in, one that goes shuts it out',
  async (t) => {
    const trust = new TestTrust(key);
    const { pool } = createPool(t, trust, 2);
    const second = createKey('ES256', 'second');
    trust.next = [key, second];
    t.match(await pool.verify(freshToken(second)), { ok: true });
    trust.set(second);
    t.match(await pool.verify(freshToken(key)), { ok: false, reason: 'unknown key' });
  },
);

t.test('a key that goes while its token is under way is not taken any more', async (t) => {
  const trust = new TestTrust(key);
  const { pool } = createPool(t, trust);
  t.equal((await pool.verify(freshToken(key, 'warm'))).ok, true);
  const answer = pool.verify(freshToken());
  // The batch leaves behind this turn of the loop; the key goes while the thread has it.
  setImmediate(() => {
    trust.set(createKey('ES256', 'second'));
  });
  t.match(await answer, { ok: false, reason: 'unknown key' });
});

t.test('a refusal is forgotten when the keys change', async (t) => {
  const trust = new TestTrust();
  const { pool } = createPool(t, trust);
  const token = freshToken();
  t.equal((await pool.verify(token)).ok, false);
  trust.set(key);
  t.equal((await pool.verify(token)).ok, true);
});

t.test('beyond the bound the answer is 503, at once, and what is under way goes on', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  const token = freshToken();
  const body = token.slice(0, token.lastIndexOf('.'));
  const flood = Array.from({ length: TOKENS_UNDER_WAY_MAX }, (_none, index) =>
    pool.verify(`${body}.${Buffer.alloc(64, String(index)).toString('base64url')}`),
  );
  t.equal(pool.underWay, new Set(flood).size);
  const fill = TOKENS_UNDER_WAY_MAX - pool.underWay;
  for (let index = 0; index < fill; index += 1)
    flood.push(pool.verify(freshToken(key, `f${String(index)}`)));
  t.match(await pool.verify(token), { ok: false, status: 503, retryAfterS: 1, reason: 'busy' });
  await Promise.all(flood);
  t.match(await pool.verify(token), { ok: true }, 'a refusal for want of room is not remembered');
});

t.test('garbage is refused without a thread', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  const answer = pool.verify('.'.repeat(16_000));
  t.equal(pool.underWay, 0);
  t.match(await answer, { ok: false, status: 401, reason: 'malformed' });
});

t.test('threads that die take nobody in, and others take their place', async (t) => {
  const { pool, faults } = createPool(t, new TestTrust(key), 2);
  t.equal((await pool.verify(freshToken(key, 'before'))).ok, true);
  const answers = Array.from({ length: 100 }, (_none, index) =>
    pool.verify(freshToken(key, `app-${String(index)}`)),
  );
  await new Promise((resolve) => setImmediate(resolve));
  await pool.killThreadsForTest();
  const killedAtMs = performance.now();
  for (const answer of await Promise.all(answers)) {
    if (!answer.ok) t.match(answer, { status: 503, reason: 'busy' });
  }
  t.ok(faults.length > 0);
  let back = await pool.verify(freshToken(key, 'after'));
  while (!back.ok && performance.now() - killedAtMs < 5_000) {
    back = await pool.verify(freshToken(key, 'after'));
  }
  t.equal(back.ok, true);
  t.comment(`back after ${String(Math.round(performance.now() - killedAtMs))} ms`);
});

t.test('a thread that dies while it starts does not hold up what waits for it', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  t.equal((await pool.verify(freshToken(key, 'before'))).ok, true);
  await pool.killThreadsForTest();
  const answer = pool.verify(freshToken());
  // Behind the flush of this turn: the batch waits for the thread that is just starting.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  await pool.killThreadsForTest();
  const killedAtMs = performance.now();
  let last = await answer;
  while (!last.ok && performance.now() - killedAtMs < 5_000) {
    t.match(last, { status: 503 });
    last = await pool.verify(freshToken(key, 'after'));
  }
  t.equal(last.ok, true);
  const backAfterMs = performance.now() - killedAtMs;
  t.ok(backAfterMs < 2_000, `back after ${String(Math.round(backAfterMs))} ms`);
});

t.test('a closed pool answers busy', async (t) => {
  const { pool } = createPool(t, new TestTrust(key));
  const waiting = pool.verify(freshToken());
  await pool.close();
  t.match(await waiting, { ok: false, status: 503 });
  t.match(await pool.verify(freshToken(key, 'late')), { ok: false, status: 503 });
});
