/**
 * The cases of ../shared/vectors/oauth-token-endpoint.json over HTTP on the real admin port. A case that is not known here
 * fails. Where a case needs what a token opens, the claim is judged by the same function as the ports use.
 */
import t, { type Test } from 'tap';
import { allows } from '../../src/auth/authorization-details.js';
import { KEY_LEAD_MS } from '../../src/auth/signing-keys.js';
import { startAdmin } from '../unit/admin/harness.js';
import { createPrincipal } from '../unit/auth/identity-kit.js';
import {
  basic,
  CLIENT_1,
  createServiceKit,
  OWN_ISSUER,
  SECRET,
  type ServiceKit,
} from '../unit/auth/service-kit.js';
import { caseIds } from './vector-file.js';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

interface Stand extends ServiceKit {
  readonly url: string;
  readonly post: (body: string, headers?: Record<string, string>) => Promise<Answer>;
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const CC = 'grant_type=client_credentials';

async function createStand(t: Test): Promise<Stand> {
  const kit = await createServiceKit(t);
  const { url } = await startAdmin(t, {
    oidc: {
      issuer: OWN_ISSUER,
      baseUrl: () => 'http://pointsman.example.org',
      workspaceId: '1',
      tokens: kit.service,
      keys: kit.keys,
    },
  });
  const post = async (
    body: string,
    headers: Record<string, string> = CLIENT_1,
  ): Promise<Answer> => {
    const request = { method: 'POST', body: Buffer.from(body), headers: { ...FORM, ...headers } };
    const answer = await fetch(`${url}/oidc/v1/token`, request);
    const json = (await answer.json()) as Record<string, unknown>;
    if (answer.headers.get('cache-control') !== 'no-store') t.fail('may be stored');
    if (answer.status >= 500) t.fail(`status ${String(answer.status)}`);
    return { status: answer.status, headers: answer.headers, body: json };
  };
  return { ...kit, url, post };
}

function refused(t: Test, answer: Answer, status: number, error: string): void {
  t.match(answer, { status, body: { error } }, error);
}

function detailed(details: unknown): string {
  return `${CC}&authorization_details=${encodeURIComponent(JSON.stringify(details))}`;
}

const M1 = { type: 'model', actions: ['infer'], identifier: 'm1' };

const CASES: Readonly<Record<string, (t: Test, stand: Stand) => Promise<void>>> = {
  'cc-basic': async (t, { post }) => {
    const answer = await post(CC);
    t.match(answer, { status: 200, body: { token_type: 'Bearer', expires_in: 3600 } });
    t.match(answer.headers.get('content-type'), /^application\/json/);
  },
  'basic-urlencoded': async (t, { post, identities }) => {
    const id = 'cl:i%e+n t-é';
    const secret = 's:e%c+r e-ü';
    identities.add(createPrincipal('9', { applicationId: id }));
    identities.secrets.set(id, secret);
    const code = (text: string): string => encodeURIComponent(text).replaceAll('%20', '+');
    t.equal((await post(CC, basic(code(id), code(secret)))).status, 200);
  },
  'unknown-client': async (t, { post }) => {
    const unknown = await post(CC, basic('nobody', 'x'));
    refused(t, unknown, 401, 'invalid_client');
    t.strictSame((await post(CC, basic('app-1', 'x'))).body, unknown.body);
    t.match(unknown.headers.get('www-authenticate'), /^Basic/);
  },
  'grant-missing': async (t, { post }) => {
    refused(t, await post('scope=all-apis'), 400, 'invalid_request');
  },
  'dup-param': async (t, { post }) => {
    for (const twice of [
      `${CC}&${CC}`,
      `${CC}&scope=all-apis&scope=all-apis`,
      `${CC}&client_id=a&client_id=a`,
    ]) {
      refused(t, await post(twice), 400, 'invalid_request');
    }
  },
  'scope-escalate': async (t, { post }) => {
    refused(t, await post(`${CC}&scope=admin`), 400, 'invalid_scope');
    refused(t, await post(`${CC}&scope=all-apis+admin`), 400, 'invalid_scope');
  },
  'ct-missing': async (t, { url }) => {
    const request = { method: 'POST', body: Buffer.from(CC), headers: CLIENT_1 };
    const answer = await fetch(`${url}/oidc/v1/token`, request);
    t.equal(answer.status, 400);
    t.match(await answer.json(), { error: 'invalid_request' });
  },
  'body-bad-pct': async (t, { post }) => {
    for (const value of ['%zz', '%', '%c0%af', '%e0%80%af', '%00', '%ed%a0%80', '%ff']) {
      refused(t, await post(`${CC}&scope=${value}`), 400, 'invalid_request');
      refused(t, await post(`${CC}&${value}=a`), 400, 'invalid_request');
    }
  },
  'rar-ok': async (t, { post, verify }) => {
    const answer = await post(detailed([M1]));
    t.match(answer, { status: 200, body: { authorization_details: [M1] } });
    t.match((await verify(answer.body['access_token'])).authorizationDetails, [M1]);
  },
  'rar-unknown-type': async (t, { post }) => {
    const answer = await post(detailed([{ ...M1, type: 'database' }]));
    refused(t, answer, 400, 'invalid_authorization_details');
  },
  'rar-escalate': async (t, { post }) => {
    for (const entry of [
      { ...M1, identifier: 'm2' },
      { ...M1, identifier: '*' },
      { ...M1, actions: ['infer', 'manage'] },
    ]) {
      refused(t, await post(detailed([entry])), 400, 'invalid_authorization_details');
      refused(t, await post(detailed([M1, entry])), 400, 'invalid_authorization_details');
    }
  },
  'rar-use-exact': async (t, { post, verify }) => {
    const answer = await post(detailed([M1]));
    const details = (await verify(answer.body['access_token'])).authorizationDetails ?? [];
    t.ok(allows(details, { id: '0'.repeat(32), name: 'm1' }, 'CAN_QUERY'));
    for (const name of ['m2', 'M1', 'm1%2f..', 'm2/', 'm1;x', 'm1 ', 'm1/', 'm', 'm11', '']) {
      t.notOk(allows(details, { id: '0'.repeat(32), name }, 'CAN_QUERY'), name);
    }
  },
  bruteforce: async (t, { ask, post }) => {
    const counts = new Map<number, number>();
    for (let index = 0; index < 10_000; index += 1) {
      const { status } = await ask(
        { grant_type: 'client_credentials' },
        basic('app-1', `guess-${String(index)}`),
      );
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    t.strictSame([...counts.keys()].sort(), [401, 429]);
    t.ok((counts.get(429) ?? 0) > 9_900);
    const slowed = await post(CC, basic('app-2', 'x'));
    t.equal(slowed.status, 429);
    t.match(slowed.headers.get('retry-after'), /^\d+$/);
    t.equal((await post(CC, basic('app-1', SECRET))).status, 200);
  },
  'key-rotation': async (t, { post, keys, clock, url, verify }) => {
    const published = async (): Promise<string[]> => {
      const answer = await fetch(`${url}/oidc/jwks.json`);
      return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    };
    const token = async (): Promise<string> => String((await post(CC)).body['access_token']);
    const kidOf = (text: string): string => {
      const head = Buffer.from(text.split('.')[0] ?? '', 'base64url').toString();
      return (JSON.parse(head) as { kid: string }).kid;
    };
    const old = await token();
    const next = await keys.rotate({ revoke: false });
    t.strictSame(await published(), [kidOf(old), next], 'published first');
    t.equal(kidOf(await token()), kidOf(old), 'not used yet');
    clock.advance(KEY_LEAD_MS);
    t.equal(kidOf(await token()), next, 'then used');
    clock.advance(3_600_000 - KEY_LEAD_MS - 1000);
    t.match(await verify(old), { ok: true }, 'the old one is good until it expires');
    clock.advance(1000);
    await t.rejects(verify(old), /expired/);
  },
};

for (const id of caseIds('oauth-token-endpoint.json')) {
  t.test(id, async (t) => {
    const run = CASES[id];
    if (run === undefined) throw new Error(`no test for the case ${id}`);
    const stand = await createStand(t);
    await run(t, stand);
    t.equal((await stand.post(CC)).status, 200, 'afterwards a plain request is answered');
  });
}
