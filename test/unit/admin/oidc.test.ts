/** Token endpoint and discovery over HTTP on the real admin port, with real keys and threads behind it. */
import { Config, WorkspaceClient } from '@databricks/sdk-experimental';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import t, { type Test } from 'tap';
import type { AdminOptions } from '../../../src/admin/contract.js';
import {
  basic,
  CLIENT_1,
  createServiceKit,
  OWN_AUDIENCE,
  OWN_ISSUER,
  SECRET,
  type ServiceKit,
} from '../auth/service-kit.js';
import { createPrincipal } from '../auth/identity-kit.js';
import { call, QUERY, sendRaw, startAdmin, type Harness } from './harness.js';

const BASE_URL = 'http://pointsman.example.org:8081';
const TOKEN_PATH = '/oidc/v1/token';
const FORM = 'application/x-www-form-urlencoded';

async function start(
  t: Test,
  options: Partial<AdminOptions> = {},
): Promise<{ harness: Harness; kit: ServiceKit }> {
  const kit = await createServiceKit(t);
  const harness = await startAdmin(t, {
    oidc: {
      issuer: OWN_ISSUER,
      baseUrl: () => BASE_URL,
      workspaceId: '900800700600',
      tokens: kit.service,
      keys: kit.keys,
    },
    ...options,
  });
  return { harness, kit };
}

function ask(
  harness: Harness,
  body: string | Buffer,
  headers: Record<string, string>,
): Promise<Response> {
  return fetch(harness.url + TOKEN_PATH, { method: 'POST', body, headers });
}

t.test('discovery needs no credential and believes no Host', async (t) => {
  const { harness } = await start(t);
  const get = async (path: string): Promise<unknown> => {
    const answer = await fetch(harness.url + path, { headers: { 'x-forwarded-host': 'evil' } });
    t.equal(answer.status, 200, path);
    return answer.json();
  };
  t.strictSame(await get('/.well-known/databricks-config'), {
    oidc_endpoint: `${BASE_URL}/oidc`,
    workspace_id: '900800700600',
    host_type: 'workspace',
  });
  t.match(await get('/oidc/.well-known/oauth-authorization-server'), {
    issuer: OWN_ISSUER,
    authorization_endpoint: `${BASE_URL}/oidc/v1/authorize`,
    token_endpoint: `${BASE_URL}/oidc/v1/token`,
    jwks_uri: `${BASE_URL}/oidc/jwks.json`,
  });
  const raw = await sendRaw(
    harness.url,
    'GET /oidc/.well-known/oauth-authorization-server HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
  );
  t.match(raw, 'HTTP/1.1 200');
  t.notMatch(raw, 'evil');
});

t.test(
  'a token from the endpoint verifies with the published keys, by another library',
  async (t) => {
    const { harness, kit } = await start(t);
    const answer = await ask(harness, 'grant_type=client_credentials&scope=all-apis', {
      ...CLIENT_1,
      'content-type': FORM,
    });
    t.equal(answer.status, 200);
    t.equal(answer.headers.get('cache-control'), 'no-store');
    t.equal(answer.headers.get('pragma'), 'no-cache');
    t.match(answer.headers.get('content-type'), 'application/json');
    const { access_token: token } = (await answer.json()) as { access_token: string };
    const keys = createRemoteJWKSet(new URL(`${harness.url}/oidc/jwks.json`));
    const { payload } = await jwtVerify(token, keys, {
      issuer: OWN_ISSUER,
      audience: OWN_AUDIENCE,
      typ: 'at+jwt',
      currentDate: new Date(kit.clock.nowMs()),
    });
    t.equal(payload.sub, 'app-1');
    t.notMatch(harness.logLines.join(''), token.slice(-20), 'no token in the log');
    t.notMatch(harness.logLines.join(''), SECRET);
  },
);

t.test('refusals have the form of OAuth, whichever layer refuses', async (t) => {
  const { harness } = await start(t);
  const form = { ...CLIENT_1, 'content-type': FORM };
  const cases: [string | Buffer, Record<string, string>, number, string][] = [
    [
      'grant_type=client_credentials',
      { ...basic('app-1', 'x'), 'content-type': FORM },
      401,
      'invalid_client',
    ],
    ['', form, 400, 'invalid_request'],
    ['{}', { ...CLIENT_1, 'content-type': 'application/json' }, 400, 'invalid_request'],
    [Buffer.from('grant_type=client_credentials'), CLIENT_1, 400, 'invalid_request'],
    [
      'grant_type=client_credentials',
      { ...form, 'content-encoding': 'gzip' },
      400,
      'invalid_request',
    ],
    [`a=${'x'.repeat(70_000)}`, form, 413, 'invalid_request'],
    [Buffer.from([0x67, 0xff, 0xfe, 0x3d, 0x80]), form, 400, 'invalid_request'],
  ];
  for (const [body, headers, status, error] of cases) {
    const answer = await ask(harness, body, headers);
    const text = await answer.text();
    t.equal(answer.status, status, text);
    t.match(JSON.parse(text), { error, error_description: String });
    t.equal(answer.headers.get('cache-control'), 'no-store');
    if (status === 401) t.match(answer.headers.get('www-authenticate'), /^Basic /);
  }
  const get = await fetch(harness.url + TOKEN_PATH, { headers: { authorization: 'Bearer x' } });
  t.ok([401, 405].includes(get.status));
  await get.body?.cancel();
});

t.test('the published npm client gets a token and uses it', async (t) => {
  const kit = await createServiceKit(t);
  const seen: string[] = [];
  let url = '';
  const harness = await startAdmin(t, {
    oidc: {
      issuer: OWN_ISSUER,
      baseUrl: () => url,
      workspaceId: '1',
      tokens: kit.service,
      keys: kit.keys,
    },
    authenticate: (authorization) => {
      seen.push(authorization ?? '');
      const principal = createPrincipal('1', { groups: ['admins'] });
      return Promise.resolve({ principal, limitedTo: null });
    },
  });
  url = harness.url;
  const client = new WorkspaceClient(
    new Config({ host: url, clientId: 'app-1', clientSecret: SECRET, authType: 'oauth-m2m' }),
  );
  for (let round = 0; round < 2; round += 1) {
    for await (const endpoint of client.servingEndpoints.list()) t.fail(JSON.stringify(endpoint));
  }
  t.equal(kit.issued.length, 1, 'one token for both calls');
  t.strictSame(seen, Array(2).fill(`Bearer ${String(kit.issued[0]?.token)}`));
});

t.test('keys are rotated by an admin who says clearly what is meant', async (t) => {
  const { harness, kit } = await start(t);
  const path = '/api/2.0/pointsman/signing-keys/rotate';
  const rotate = (body?: string): ReturnType<typeof call> =>
    call(
      harness,
      'POST',
      path,
      body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } },
    );
  const old = kit.keys.current().kid;
  for (const body of ['{"revoke":"yes"}', '{"revok":true}', '[]', 'null', '"revoke"', '1']) {
    t.match(await rotate(body), { status: 400 }, body);
  }
  t.strictSame(kit.keys.publicKeys().length, 1);
  const next = await rotate();
  t.match(next, { status: 200, json: { kid: String, revoked: false } });
  t.strictSame(
    kit.keys.publicKeys().map(({ kid }) => kid),
    [old, next.json['kid']],
  );
  t.strictSame((await rotate('{}')).json, next.json);
  const fresh = await rotate('{"revoke":true}');
  t.strictSame(
    kit.keys.publicKeys().map(({ kid }) => kid),
    [fresh.json['kid']],
  );
  t.match(await call(harness, 'POST', path, { headers: QUERY }), { status: 403 });
  t.match(await call(harness, 'POST', path, { headers: { authorization: '' } }), { status: 401 });
});

t.test('without token service the paths are unknown', async (t) => {
  const harness = await startAdmin(t);
  const answer = await fetch(`${harness.url}/.well-known/databricks-config`);
  t.equal(answer.status, 404);
  await answer.body?.cancel();
});
