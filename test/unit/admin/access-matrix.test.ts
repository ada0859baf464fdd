/**
 * Every route with every role. The routes come from the application itself, whole, as the daemon
 * puts it together: one that is added and not named here fails the test.
 */
import t, { type Test } from 'tap';
import { RouteTable } from '../../../src/admin/route-table.js';
import type { OidcServices } from '../../../src/admin/routes/oidc.js';
import { UNBUILT_CALLS } from '../../../src/admin/routes/unbuilt.js';
import type { Caller } from '../../../src/auth/authenticator.js';
import { EMPTY_PROFILE, type Profile } from '../../../src/auth/identity-book.js';
import type { StoredIdentities } from '../../../src/auth/stored-identities.js';
import type { PermissionLevel } from '../../../src/control/grants.js';
import { createServiceKit, OWN_ISSUER } from '../auth/service-kit.js';
import { ADMIN_TOKEN, QUERY_TOKEN, startAdmin } from './harness.js';

type Access = 'public' | 'metrics' | 'admin' | 'caller' | 'create' | 'view' | 'manage' | 'query';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const OWN = '/api/2.0/pointsman';
const OWN_ENDPOINT = `${OWN}/endpoints/:name`;
const PERMISSIONS = '/api/2.0/permissions/serving-endpoints/:id';
const SCIM = '/api/2.0/preview/scim/v2';
const MANAGEMENT = '/api/2.0/token-management';
const SECRETS = '/api/2.0/accounts/servicePrincipals/:id/credentials/secrets';
const QUERIED = 'serving-endpoints/:name';

/** What each call of the application asks for; every one stands here, and nothing else. */
const CALLS: Readonly<Record<string, Access>> = {
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /metrics': 'metrics',
  'GET /.well-known/databricks-config': 'public',
  'GET /oidc/.well-known/oauth-authorization-server': 'public',
  'GET /oidc/jwks.json': 'public',
  // Takes the credentials of clients, and judges them itself.
  'POST /oidc/v1/token': 'public',
  [`POST ${ENDPOINTS}`]: 'create',
  [`GET ${ENDPOINTS}`]: 'caller',
  [`GET ${ENDPOINTS}/:name`]: 'view',
  [`PUT ${ENDPOINTS}/:name/config`]: 'manage',
  [`DELETE ${ENDPOINTS}/:name`]: 'manage',
  [`GET ${OWN_ENDPOINT}/history`]: 'view',
  [`POST ${OWN_ENDPOINT}/rollback`]: 'manage',
  [`POST ${OWN_ENDPOINT}/cancel-update`]: 'manage',
  [`GET ${PERMISSIONS}`]: 'manage',
  [`GET ${PERMISSIONS}/permissionLevels`]: 'view',
  [`PUT ${PERMISSIONS}`]: 'manage',
  [`PATCH ${PERMISSIONS}`]: 'manage',
  [`GET ${SCIM}/Me`]: 'caller',
  'POST /api/2.0/token/create': 'caller',
  'GET /api/2.0/token/list': 'caller',
  'POST /api/2.0/token/delete': 'caller',
  [`POST /${QUERIED}/invocations`]: 'query',
  [`POST /:workspace_id/${QUERIED}/invocations`]: 'query',
  [`POST /${QUERIED}/served-models/:served/invocations`]: 'query',
  [`POST /:workspace_id/${QUERIED}/served-models/:served/invocations`]: 'query',
  ...Object.fromEntries(
    ['Users', 'ServicePrincipals', 'Groups'].flatMap((kind) => [
      [`GET ${SCIM}/${kind}`, 'admin'],
      [`POST ${SCIM}/${kind}`, 'admin'],
      [`GET ${SCIM}/${kind}/:id`, 'admin'],
      [`PUT ${SCIM}/${kind}/:id`, 'admin'],
      [`PATCH ${SCIM}/${kind}/:id`, 'admin'],
      [`DELETE ${SCIM}/${kind}/:id`, 'admin'],
    ]),
  ),
  [`POST ${MANAGEMENT}/on-behalf-of/tokens`]: 'admin',
  [`GET ${MANAGEMENT}/tokens`]: 'admin',
  [`GET ${MANAGEMENT}/tokens/:token_id`]: 'admin',
  [`DELETE ${MANAGEMENT}/tokens/:token_id`]: 'admin',
  [`POST ${SECRETS}`]: 'admin',
  [`GET ${SECRETS}`]: 'admin',
  [`DELETE ${SECRETS}/:secret_id`]: 'admin',
  [`GET ${OWN}/deployments`]: 'admin',
  [`GET ${OWN}/deployments/:name`]: 'admin',
  [`PUT ${OWN}/deployments/:name`]: 'admin',
  [`DELETE ${OWN}/deployments/:name`]: 'admin',
  [`GET ${OWN}/manifest`]: 'admin',
  [`PUT ${OWN}/manifest`]: 'admin',
  [`PATCH ${OWN}/manifest`]: 'admin',
  [`GET ${OWN}/status`]: 'admin',
  [`POST ${OWN}/signing-keys/rotate`]: 'admin',
  // They say that they are not served, and do nothing.
  ...Object.fromEntries(
    UNBUILT_CALLS.map(([, method, path]) => [`${String(method)} ${path}`, 'caller' as const]),
  ),
};

interface Role {
  readonly name: string;
  readonly authorization: string | null;
  /** Status of a refusal. */
  readonly refused: 401 | 403;
  readonly may: readonly Access[];
}

/** A user with an access token, as the Authorization field of its calls. */
function userOf(
  identities: StoredIdentities,
  name: string,
  profile: Partial<Profile> = {},
): { id: string; field: string } {
  const draft = { name, profile: { ...EMPTY_PROFILE, ...profile } };
  const { id } = identities.book.create('user', draft);
  const input = { principalId: id, lifetimeS: null, comment: '' };
  const { secret } = identities.credentials.create('access_token', input);
  return { id, field: `Bearer ${secret}` };
}

for (const loopbackOnly of [true, false]) {
  const where = loopbackOnly ? 'a loopback port' : 'a port that others can reach';
  t.test(`every call of the route table with every role, on ${where}`, async (t) => {
    await testMatrix(t, loopbackOnly);
  });
}

async function testMatrix(t: Test, loopbackOnly: boolean): Promise<void> {
  const kit = await createServiceKit(t);
  const oidc: OidcServices = {
    issuer: OWN_ISSUER,
    baseUrl: () => 'http://127.0.0.1:1',
    workspaceId: '1',
    tokens: kit.service,
    keys: kit.keys,
  };
  const routes = new RouteTable();
  const limited: { caller: Caller | null } = { caller: null };
  const verifyBearer = (token: string) =>
    Promise.resolve(token === 'good.signed.token' ? limited.caller : null);
  const admin = await startAdmin(t, { oidc, loopbackOnly }, { verifyBearer }, routes);
  const calls = [...new Set(routes.list())];
  t.strictSame(calls.toSorted(), Object.keys(CALLS).toSorted(), 'the table is the application');
  const { identities } = admin;
  await admin.control.createEndpoint({ name: 'e' }, { principal: 'admin', principalId: '1' });
  const endpointId = admin.control.grants.of('e')?.id ?? '';

  const stranger = userOf(identities, 'stranger');
  const viewer = userOf(identities, 'viewer');
  const querier = userOf(identities, 'querier');
  const manager = userOf(identities, 'manager');
  const creator = userOf(identities, 'creator', { entitlements: ['create-endpoints'] });
  const second = userOf(identities, 'second-admin');
  const idle = userOf(identities, 'idle', { active: false });
  const admins = { name: 'admins', profile: EMPTY_PROFILE, members: ['1', second.id] };
  identities.book.update('3', admins);
  const principal = identities.principal(second.id);
  limited.caller = principal === null ? null : { principal, limitedTo: [endpointId] };

  const everybody: Access[] = loopbackOnly ? ['public', 'metrics'] : ['public'];
  const everything: Access[] = [
    ...everybody,
    ...(['metrics', 'admin', 'caller', 'create', 'view', 'manage', 'query'] as const),
  ];
  const own: Access[] = [...everybody, 'caller'];
  const refused = 403 as const;
  const roles: readonly Role[] = [
    { name: 'none', authorization: null, refused: 401, may: everybody },
    { name: 'wrong', authorization: 'Bearer wrong', refused: 401, may: everybody },
    { name: 'forged', authorization: 'Bearer a.b.c', refused: 401, may: everybody },
    { name: 'inactive', authorization: idle.field, refused: 401, may: everybody },
    {
      name: 'query token',
      authorization: `Bearer ${QUERY_TOKEN}`,
      refused,
      may: [...everybody, 'query'],
    },
    {
      name: 'limited token of an admin',
      authorization: 'Bearer good.signed.token',
      refused,
      may: [...everybody, 'query'],
    },
    { name: 'stranger', authorization: stranger.field, refused, may: own },
    { name: 'viewer', authorization: viewer.field, refused, may: [...own, 'view'] },
    { name: 'querier', authorization: querier.field, refused, may: [...own, 'view', 'query'] },
    {
      name: 'manager',
      authorization: manager.field,
      refused,
      may: [...own, 'view', 'query', 'manage'],
    },
    { name: 'creator', authorization: creator.field, refused, may: [...own, 'create'] },
    { name: 'second admin', authorization: second.field, refused, may: everything },
    { name: 'admin token', authorization: `Bearer ${ADMIN_TOKEN}`, refused, may: everything },
  ];
  const grant = (id: string, level: PermissionLevel) => ({ principal: id, level });
  const grants = [
    grant(viewer.id, 'CAN_VIEW'),
    grant(querier.id, 'CAN_QUERY'),
    grant(manager.id, 'CAN_MANAGE'),
  ];
  for (const call of calls) {
    const [method = '', route = ''] = call.split(' ');
    const path = route
      .replace(PERMISSIONS, PERMISSIONS.replace(':id', endpointId))
      .replace(':name', 'e')
      .replaceAll(/:\w+/g, '999');
    // What is another spelling of a call asks for the same.
    const spellings = [
      [method, path],
      [method, `${path}/`],
      ...(method === 'GET' ? [['HEAD', path]] : []),
    ];
    for (const role of roles) {
      for (const [verb = '', spelled = ''] of spellings) {
        // Some calls of the roles before have changed them.
        await admin.control.grants.change('e', () => grants, { principal: 'test' });
        const response = await fetch(admin.url + spelled, {
          method: verb,
          headers: {
            'content-type': 'application/json',
            ...(role.authorization === null ? {} : { authorization: role.authorization }),
          },
          ...(['GET', 'HEAD'].includes(verb) ? {} : { body: '{}' }),
        });
        const text = await response.text();
        const access = CALLS[call] ?? 'admin';
        const what = `${verb} ${spelled} as ${role.name}: ${String(response.status)} ${text}`;
        if (role.may.includes(access)) t.notOk([401, 403].includes(response.status), what);
        else t.equal(response.status, role.refused, what);
      }
    }
  }
}

t.test('an endpoint is its own: levels on another one open nothing', async (t) => {
  const admin = await startAdmin(t);
  const { identities, control } = admin;
  const mia = userOf(identities, 'mia');
  const origin = { principal: 'mia', principalId: mia.id };
  await control.createEndpoint({ name: 'hers' }, origin);
  await control.createEndpoint({ name: 'other' }, { principal: 'admin', principalId: '1' });
  const otherId = control.grants.of('other')?.id ?? '';
  // A name that is somebody else's id must not open that endpoint.
  await control.createEndpoint({ name: otherId }, origin);
  const headers = { authorization: mia.field };
  const status = async (path: string, method = 'GET') =>
    (await fetch(admin.url + path, { method, headers })).status;
  t.equal(await status(`${ENDPOINTS}/hers`), 200);
  t.equal(await status(`${ENDPOINTS}/other`), 403);
  t.equal(await status(`${ENDPOINTS}/nobody`), 404);
  t.equal(await status(`${ENDPOINTS}/other/`), 403);
  t.equal(await status(`${ENDPOINTS}/hers%2f..%2fother`), 404);
  t.equal(await status(`${ENDPOINTS}/OTHER`), 404);
  t.equal(await status(`${ENDPOINTS}/other`, 'DELETE'), 403);
  t.equal(await status(PERMISSIONS.replace(':id', otherId)), 403);
  t.equal(await status(`${ENDPOINTS}/${otherId}`), 200, 'her own of that name');
  t.equal(await status('/nowhere'), 404);
});

t.test('guesses are slowed down, good credentials are not', async (t) => {
  const admin = await startAdmin(t);
  const status = async (authorization: string) => {
    const response = await fetch(admin.url + ENDPOINTS, { headers: { authorization } });
    return [response.status, response.headers.get('retry-after') !== null];
  };
  for (let count = 0; count < 100; count += 1) {
    t.strictSame(await status('Bearer an-old-token'), [401, false]);
  }
  let guesses = 0;
  while ((await status(`Bearer guess-${String(guesses)}`))[0] === 401) guesses += 1;
  t.ok(guesses >= 10 && guesses <= 30, String(guesses));
  t.strictSame(await status('Bearer another'), [429, true]);
  t.strictSame(await status(`Bearer ${ADMIN_TOKEN}`), [200, false]);
  t.strictSame(await status(`Bearer ${QUERY_TOKEN}`), [403, false]);
});
