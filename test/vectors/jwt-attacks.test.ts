/**
 * The recipes of ../shared/vectors/jwt-attacks.json, each cooked here and put before a verifier pool with real threads and a
 * real key server. A good token goes before and after each. A recipe that is not known here fails.
 */
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { REFRESH_COOLDOWN_MS, REFRESH_INTERVAL_MS } from '../../src/auth/jwks-source.js';
import { TrustKeeper } from '../../src/auth/trust-keeper.js';
import type { VerifyAnswer } from '../../src/auth/trust.js';
import { VerifierPool } from '../../src/auth/verifier-pool.js';
import {
  AUDIENCE,
  createKey,
  encode,
  goodClaims,
  ISSUER,
  NOW_S,
  publishedJwk,
  signToken,
  TestClock,
} from '../unit/auth/token-kit.js';
import { caseIds } from './vector-file.js';

const rs = createKey('RS256');
const es = createKey('ES256');
const attacker = createKey('RS256', 'attacker');

interface Stand {
  readonly verify: (token: string) => Promise<VerifyAnswer>;
  readonly clock: TestClock;
  /** What the key server publishes; null: it fails. */
  publish: object[] | null;
  asked: number;
  readonly problems: string[];
}

async function createStand(t: Test): Promise<Stand> {
  const clock = new TestClock();
  const problems: string[] = [];
  const stand: Stand = {
    verify: (token) => pool.verify(token),
    clock,
    publish: [publishedJwk(rs), publishedJwk(es)],
    asked: 0,
    problems,
  };
  const server = createServer((_request, response) => {
    stand.asked += 1;
    if (stand.publish === null) response.writeHead(500).end();
    else response.end(JSON.stringify({ keys: stand.publish }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const keeper = new TrustKeeper({
    issuer: 'own',
    audience: 'own',
    signingKeys: { publicKeys: () => [], onChange: () => undefined },
    external: [
      {
        issuer: ISSUER,
        location: { uri: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/` },
        audiences: [AUDIENCE],
        algorithms: ['RS256', 'ES256'],
        tokenTypes: ['at+jwt'],
        principalClaim: 'sub',
        groupsClaim: '',
        adminGroups: [],
        autoCreate: false,
      },
    ],
    clock,
    onProblem: (_issuer, problem) => problems.push(problem),
  });
  await keeper.start();
  const onFault = (problem: string): void => void problems.push(problem);
  const pool = new VerifierPool({ trust: keeper, clock, threads: 1, onFault });
  t.teardown(async () => {
    keeper.close();
    await pool.close();
    server.closeAllConnections();
    server.close();
  });
  return stand;
}

type Case = (t: Test, stand: Stand) => Promise<void> | void;

/** Every token is refused as invalid. */
function refusing(...tokens: string[]): Case {
  return async (t, { verify }) => {
    for (const token of tokens) {
      const answer = await verify(token);
      t.match(answer, { ok: false, status: 401, error: 'invalid_token' }, token.slice(0, 60));
    }
  };
}

const claims = encode(goodClaims());

function unsigned(alg: unknown, signature: string): string {
  return `${encode({ alg, typ: 'at+jwt', kid: rs.kid })}.${claims}.${signature}`;
}

function macced(secret: string | Buffer): string {
  const signed = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: rs.kid })}.${claims}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function ofLength(bytes: number): string {
  const token = signToken(es);
  const signature = Buffer.from(token.slice(token.lastIndexOf('.') + 1), 'base64url');
  const resized = Buffer.concat([signature, signature]).subarray(0, bytes);
  return `${token.slice(0, token.lastIndexOf('.'))}.${resized.toString('base64url')}`;
}

const CASES: Readonly<Record<string, Case>> = {
  'alg-none': refusing(unsigned('none', ''), unsigned('nOnE', ''), unsigned('none', 'AAAA')),
  "alg-none-variant-''": refusing(unsigned('', ''), unsigned('', 'garbage_')),
  'hs256-empty-key': refusing(macced(''), macced(Buffer.alloc(32))),
  'embedded-jwk': refusing(
    signToken(attacker, goodClaims(), { jwk: publishedJwk(attacker) }),
    signToken(attacker, goodClaims(), { jwk: publishedJwk(attacker), kid: rs.kid }),
    signToken(attacker, goodClaims(), { jwk: publishedJwk(attacker), kid: undefined }),
  ),
  'kid-sqli': refusing(signToken(attacker, goodClaims(), { kid: "x' UNION SELECT 'key' --" })),
  'kid-missing-multi': async (t, stand) => {
    const nameless = signToken(rs, goodClaims(), { kid: undefined });
    t.match(await stand.verify(nameless), { ok: true }, 'one key of the algorithm');
    stand.publish = [publishedJwk(rs), publishedJwk(attacker), publishedJwk(es)];
    stand.clock.advance(REFRESH_INTERVAL_MS);
    await stand.verify(signToken(rs, goodClaims(), { kid: 'any' }));
    const again = signToken(rs, goodClaims({ jti: 'j2' }), { kid: undefined });
    t.match(await stand.verify(again), { ok: false, status: 401 }, 'two');
  },
  jwe: refusing(`${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.AAAA.AAAA.AAAA.AAAA`, 'a.b.c.d.e'),
  'es-short': refusing(...[63, 65, 0, 128].map(ofLength)),
  'rsa-16384': async (t, stand) => {
    const n = Buffer.alloc(2048, 0x81).toString('base64url');
    const huge = { kty: 'RSA', kid: 'huge', alg: 'RS256', use: 'sig', n, e: 'AQAB' };
    stand.publish = [publishedJwk(rs), publishedJwk(es), huge];
    stand.clock.advance(REFRESH_COOLDOWN_MS);
    const signature = Buffer.alloc(2048, 1).toString('base64url');
    const signed = `${encode({ alg: 'RS256', typ: 'at+jwt', kid: 'huge' })}.`;
    const cpuBefore = process.cpuUsage();
    const tokens = Array.from(
      { length: 1000 },
      (_none, index) => `${signed}${encode(goodClaims({ jti: index }))}.${signature}`,
    );
    for (const answer of await Promise.all(tokens.map((token) => stand.verify(token)))) {
      if (answer.ok || answer.reason !== 'unknown key') t.fail(JSON.stringify(answer));
    }
    const { user } = process.cpuUsage(cpuBefore);
    t.match(stand.problems, [/RSA of 16384 bits is too large/]);
    t.ok(user < 3_000_000, `1,000 tokens cost ${String(Math.round(user / 1000))} ms of CPU`);
  },
  'dots-1M': async (t, stand) => {
    const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;
    for (const token of ['.'.repeat(16_000), `${encode(`{"alg":${deep}}`)}.${claims}.AAAA`]) {
      const startedAtMs = performance.now();
      await refusing(token)(t, stand);
      t.ok(performance.now() - startedAtMs < 500);
    }
  },
  'nbf-future': refusing(signToken(rs, goodClaims({ nbf: NOW_S + 120 }))),
  'typ-wrong': async (t, stand) => {
    for (const typ of ['JWT', 'id+jwt', undefined, 'logout+jwt']) {
      await refusing(signToken(rs, goodClaims(), { typ }))(t, stand);
    }
    for (const typ of ['application/at+jwt', 'AT+JWT']) {
      t.match(await stand.verify(signToken(rs, goodClaims(), { typ })), { ok: true }, typ);
    }
  },
  'token-16K': async (t, { verify }) => {
    const note = 'x'.repeat(15 * 1024);
    t.match(await verify(signToken(rs, goodClaims({ note }))), { ok: true });
  },
  'revoked-key': async (t, stand) => {
    const token = (jti: string): string => signToken(rs, goodClaims({ jti }));
    stand.publish = null;
    stand.clock.advance(REFRESH_INTERVAL_MS);
    await stand.verify(signToken(rs, goodClaims(), { kid: 'makes it look' }));
    t.match(await stand.verify(token('a')), { ok: true }, 'the source fails, the keys stay');
    stand.publish = [publishedJwk(es)];
    stand.clock.advance(REFRESH_COOLDOWN_MS);
    await stand.verify(signToken(rs, goodClaims(), { kid: 'makes it look again' }));
    t.match(await stand.verify(token('b')), { ok: false, status: 401 }, 'the key was removed');
    t.match(await stand.verify(token('a')), { ok: false, status: 401 });
    t.match(await stand.verify(signToken(es)), { ok: true });
    stand.publish = [publishedJwk(rs), publishedJwk(es)];
    stand.clock.advance(REFRESH_COOLDOWN_MS);
    t.match(await stand.verify(token('b')), { ok: true }, 'and is there again');
  },
  'cache-mixup': async (t, { verify }) => {
    const good = signToken(rs);
    const at = [good.length - 2, good.indexOf('.') + 20];
    const altered = at.map((index) => {
      const letter = good[index] === 'A' ? 'B' : 'A';
      return good.slice(0, index) + letter + good.slice(index + 1);
    });
    let wrong = 0;
    for (let round = 0; round < 10_000; round += 100) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => [good, ...altered].map(verify)).flat(),
      );
      wrong += answers.filter((answer, index) => answer.ok !== (index % 3 === 0)).length;
    }
    t.equal(wrong, 0);
  },
};

for (const id of caseIds('jwt-attacks.json')) {
  t.test(id, async (t) => {
    const run = CASES[id];
    if (run === undefined) throw new Error(`no test for the case ${id}`);
    const stand = await createStand(t);
    t.match(
      await stand.verify(signToken(rs, goodClaims({ jti: 'before' }))),
      { ok: true },
      'before',
    );
    await run(t, stand);
    t.match(await stand.verify(signToken(es, goodClaims({ jti: 'after' }))), { ok: true }, 'after');
    t.ok(stand.asked <= 4, 'the key server is asked within bounds');
  });
}
