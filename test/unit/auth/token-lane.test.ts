/** The thread's end of the token lane: what it refuses by itself, what it passes on, and frames in pieces. */
import { hash } from 'node:crypto';
import t from 'tap';
import { CredentialChecker } from '../../../src/auth/credentials.js';
import { TokenLane } from '../../../src/auth/token-lane.js';
import { TokenVerifier } from '../../../src/auth/token-verifier.js';
import type { Verified } from '../../../src/auth/trust.js';
import {
  createIssuer,
  createKey,
  createTrust,
  goodClaims,
  ISSUER,
  NOW_S,
  signToken,
} from './token-kit.js';

const key = createKey('ES256');
const stranger = createKey('ES256', 'stranger');
const ADMIN = 'an.admin.token-that-looks-signed';
/** The daemon's own tokens may be anything, such as one that some issuer signed. */
const SIGNED_ADMIN = signToken(stranger, goodClaims({ jti: 'admin' }));
const REFUSED = 0;
const PASSED = 1;
const UNDECIDED = 2;
const UNKNOWN_KEYS_MAX = 16;

interface Answer {
  readonly connection: number;
  readonly generation: number;
  readonly trustVersion: number;
  readonly verdict: number;
  readonly said: string;
}

class Kit {
  nowMs = NOW_S * 1_000;
  verifications = 0;
  readonly verifier = new TokenVerifier();
  readonly lane: TokenLane;

  constructor() {
    const { verifier } = this;
    const counted = {
      verify: (...args: Parameters<TokenVerifier['verify']>) => {
        this.verifications += 1;
        return verifier.verify(...args);
      },
      get version() {
        return verifier.version;
      },
    };
    const localTokens = [ADMIN, SIGNED_ADMIN].map((token) => ({
      tokenSha256: hash('sha256', token, 'buffer'),
      principal: 'admin',
    }));
    this.lane = new TokenLane({
      verifier: counted,
      localTokens: new CredentialChecker(localTokens),
      nowMs: () => this.nowMs,
    });
  }

  static async create(): Promise<Kit> {
    const kit = new Kit();
    await kit.verifier.load(createTrust(createIssuer([key])));
    return kit;
  }

  ask(authorization: string, trustVersion = this.verifier.version): Answer {
    const [answer] = answersOf(this.lane.answer(question(7, 9, trustVersion, authorization)));
    if (answer === undefined) throw new Error('no answer');
    return answer;
  }
}

function question(
  connection: number,
  generation: number,
  trustVersion: number,
  text: string,
): Buffer {
  const frame = Buffer.alloc(16 + text.length);
  frame.writeUInt32LE(12 + text.length, 0);
  frame.writeUInt32LE(connection, 4);
  frame.writeUInt32LE(generation, 8);
  frame.writeUInt32LE(trustVersion, 12);
  frame.write(text, 16, 'latin1');
  return frame;
}

function answersOf(bytes: Buffer): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32LE(at)) {
    answers.push({
      connection: bytes.readUInt32LE(at + 4),
      generation: bytes.readUInt32LE(at + 8),
      trustVersion: bytes.readUInt32LE(at + 12),
      verdict: bytes.readUInt32LE(at + 16),
      said: bytes.toString('utf8', at + 20, at + 4 + bytes.readUInt32LE(at)),
    });
  }
  return answers;
}

await t.test('a good token is passed on with what it says', async (t) => {
  const kit = await Kit.create();
  const answer = kit.ask(`Bearer ${signToken(key, goodClaims({ sub: 'Zoë' }))}`);
  t.match(answer, { connection: 7, generation: 9, verdict: PASSED });
  t.equal(answer.trustVersion, kit.verifier.version);
  t.equal((JSON.parse(answer.said) as Verified).principal, 'Zoë');
});

await t.test('what nothing could make good is refused', async (t) => {
  const kit = await Kit.create();
  const good = signToken(key);
  const refused = {
    'bad signature': `Bearer ${good.slice(0, -86)}${'A'.repeat(86)}`,
    'a key of the same name': `Bearer ${signToken(stranger, goodClaims(), { kid: key.kid })}`,
    expired: `Bearer ${signToken(key, goodClaims({ exp: NOW_S - 1 }))}`,
    'unknown issuer': `Bearer ${signToken(key, goodClaims({ iss: 'https://nobody.example' }))}`,
    'no token': 'Bearer garbage',
    'no scheme': 'garbage',
    'another scheme': 'Digest a=b',
    'nothing at all': '',
    'bytes above ASCII': 'Bearer \u00e9\u00ff',
  };
  for (const [name, authorization] of Object.entries(refused)) {
    t.match(kit.ask(authorization), { verdict: REFUSED, said: '' }, name);
  }
});

await t.test('what only the loop can tell is passed on bare', async (t) => {
  const kit = await Kit.create();
  const version = kit.verifier.version;
  const passed = {
    'an access token': [`Bearer dapi${'0'.repeat(64)}`, version],
    'the admin token, which looks signed': [`Bearer ${ADMIN}`, version],
    'the same in Basic': [`Basic ${Buffer.from(`token:${ADMIN}`).toString('base64')}`, version],
    'a key that is not known': [`Bearer ${signToken(stranger)}`, version],
    'keys that are not here yet': [`Bearer ${signToken(key)}`, version + 1],
  } as const;
  for (const [name, [authorization, trustVersion]] of Object.entries(passed)) {
    t.match(kit.ask(authorization, trustVersion), { verdict: PASSED, said: '' }, name);
  }
});

await t.test('looks for keys are bounded', async (t) => {
  const kit = await Kit.create();
  const tokens = Array.from({ length: UNKNOWN_KEYS_MAX + 10 }, (_, index) =>
    signToken(stranger, goodClaims({ jti: String(index) })),
  );
  const verdicts = tokens.map((token) => kit.ask(`Bearer ${token}`).verdict);
  t.same(verdicts.slice(0, UNKNOWN_KEYS_MAX), Array(UNKNOWN_KEYS_MAX).fill(PASSED));
  t.same(verdicts.slice(UNKNOWN_KEYS_MAX), Array(10).fill(UNDECIDED));
  const first = `Bearer ${tokens[0] ?? ''}`;
  const last = `Bearer ${tokens.at(-1) ?? ''}`;
  const again = Array.from({ length: 1_000 }, () => kit.ask(first).verdict);
  t.same(
    again,
    Array(1_000).fill(PASSED),
    'one that is looked for already, however often it comes',
  );
  kit.nowMs += 1_000;
  t.equal(kit.ask(last).verdict, PASSED, 'in the next window');
  kit.nowMs -= 3_600_000;
  t.equal(kit.ask(first).verdict, PASSED, 'after the clock was set back');
});

await t.test('behind a look unknown keys are refused for a second, its issuer only', async (t) => {
  const other = createKey('ES256');
  const kit = await Kit.create();
  const otherIssuer = { ...createIssuer([other]), issuer: 'https://other.example' };
  await kit.verifier.load({ version: 2, issuers: [createIssuer([key]), otherIssuer] });
  const unknown = (id: number, claims = {}): number =>
    kit.ask(`Bearer ${signToken(stranger, goodClaims({ jti: String(id), ...claims }))}`).verdict;
  for (let id = 0; id < UNKNOWN_KEYS_MAX; id += 1) t.equal(unknown(id), PASSED);
  t.equal(unknown(100), UNDECIDED, 'while the look goes on');
  kit.lane.onLooked(ISSUER);
  t.equal(unknown(0), REFUSED, 'one that waited for it');
  t.equal(unknown(100), REFUSED, 'one that did not');
  t.equal(unknown(100, { iss: 'https://other.example' }), PASSED, 'another issuer');
  t.equal(kit.ask(`Bearer ${signToken(key)}`).verdict, PASSED, 'a known key');
  t.equal(kit.ask(`Bearer ${SIGNED_ADMIN}`).verdict, PASSED, 'the daemon’s own');
  kit.nowMs += 999;
  t.equal(unknown(101), REFUSED);
  kit.nowMs += 1;
  t.equal(unknown(101), PASSED, 'may be looked for again');
  for (let id = 0; id < UNKNOWN_KEYS_MAX - 1; id += 1) t.equal(unknown(id), PASSED);
  t.equal(unknown(102), UNDECIDED, 'by as many as before');
  kit.lane.onLooked(ISSUER);
  kit.nowMs -= 3_600_000;
  t.equal(unknown(103), PASSED, 'a clock that was set back keeps nobody out');
  kit.nowMs += 3_600_000;
  kit.lane.onLooked(ISSUER);
  await kit.verifier.load({ version: 3, issuers: [createIssuer([key]), otherIssuer] });
  for (let id = 0; id < UNKNOWN_KEYS_MAX; id += 1) t.equal(unknown(id), PASSED, 'not looked for');
  t.equal(unknown(104), UNDECIDED);
  await kit.verifier.load({ version: 4, issuers: [createIssuer([key]), otherIssuer] });
  t.equal(unknown(104), PASSED, 'in the same window');
});

await t.test('a token is verified once, until it may have changed', async (t) => {
  const kit = await Kit.create();
  const token = signToken(key, goodClaims({ exp: NOW_S + 0.5 }));
  const ask = (): number => kit.ask(`Bearer ${token}`).verdict;
  for (let time = 0; time < 10; time += 1) t.equal(ask(), PASSED);
  t.equal(kit.verifications, 1);
  kit.nowMs += 499;
  t.equal(ask(), PASSED);
  t.equal(kit.verifications, 1);
  kit.nowMs += 1;
  t.equal(ask(), REFUSED, 'it has expired, however lately it was good');

  const other = signToken(key);
  t.equal(kit.ask(`Bearer ${other}`).verdict, PASSED);
  await kit.verifier.load({ ...createTrust(createIssuer([stranger])), version: 99 });
  t.match(kit.ask(`Bearer ${other}`), { verdict: PASSED, said: '' }, 'its key is gone: not known');
});

await t.test('frames in pieces', async (t) => {
  const kit = await Kit.create();
  const version = kit.verifier.version;
  const all = Buffer.concat([
    question(1, 10, version, 'Bearer garbage'),
    question(2, 20, version, `Bearer ${signToken(key)}`),
    question(3, 30, version, ''),
  ]);
  const whole = answersOf(kit.lane.answer(all));
  t.same(
    whole.map(({ connection, verdict }) => [connection, verdict]),
    [
      [1, REFUSED],
      [2, PASSED],
      [3, REFUSED],
    ],
  );
  for (let cut = 1; cut < all.length; cut += 1) {
    const parts = [all.subarray(0, cut), all.subarray(cut)];
    const answers = parts.map((part) => kit.lane.answer(Buffer.from(part)));
    t.same(answersOf(Buffer.concat(answers)), whole, `cut at ${String(cut)}`);
  }
});
