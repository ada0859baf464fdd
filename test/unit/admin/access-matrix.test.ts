/**
 * Every route with every role. The routes come from the application itself: one that is added and
 * not named here is expected to be for admins alone.
 */
import { pino } from 'pino';
import t from 'tap';
import { createAdminApp } from '../../../src/admin/app.js';
import { RouteTable } from '../../../src/admin/route-table.js';
import { UNBUILT_CALLS } from '../../../src/admin/routes/unbuilt.js';
import type { Caller } from '../../../src/auth/authenticator.js';
import { EMPTY_PROFILE, type Profile } from '../../../src/auth/identity-book.js';
import type { StoredIdentities } from '../../../src/auth/stored-identities.js';
import type { PermissionLevel } from '../../../src/control/grants.js';
import { ADMIN_TOKEN, MemoryControl, QUERY_TOKEN, startAdmin, startIdentities } from './harness.js';

type Access = 'public' | 'admin' | 'caller' | 'create' | 'view' | 'manage' | 'query';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const OWN = '/api/2.0/pointsman/endpoints/:name';
const PERMISSIONS = '/api/2.0/permissions/serving-endpoints/:id';
const QUERIED = 'serving-endpoints/:name';

const OPEN_CALLS: Readonly<Record<string, Access>> = {
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /metrics': 'public',
  [`POST ${ENDPOINTS}`]: 'create',
  [`GET ${ENDPOINTS}`]: 'caller',
  [`GET ${ENDPOINTS}/:name`]: 'view',
  [`PUT ${ENDPOINTS}/:name/config`]: 'manage',
  [`DELETE ${ENDPOINTS}/:name`]: 'manage',
  [`GET ${OWN}/history`]: 'view',
  [`POST ${OWN}/rollback`]: 'manage',
  [`POST ${OWN}/cancel-update`]: 'manage',
  [`GET ${PERMISSIONS}`]: 'manage',
  [`GET ${PERMISSIONS}/permissionLevels`]: 'view',
  [`PUT ${PERMISSIONS}`]: 'manage',
  [`PATCH ${PERMISSIONS}`]: 'manage',
  'GET /api/2.0/preview/scim/v2/Me': 'caller',
  'POST /api/2.0/token/create': 'caller',
  'GET /api/2.0/token/list': 'caller',
  'POST /api/2.0/token/delete': 'caller',
  [`POST /${QUERIED}/invocations`]: 'query',
  [`POST /:workspace_id/${QUERIED}/invocations`]: 'query',
  [`POST /${QUERIED}/served-models/:served/invocations`]: 'query',
  [`POST /:workspace_id/${QUERIED}/served-models/:served/invocations`]: 'query',
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

t.test('every call of the route table with every role', async (t) => {
  const routes = new RouteTable();
  const control = new MemoryControl();
  const app = createAdminApp(
    {
      control,
      authenticate: () => Promise.resolve(null),
      identities: startIdentities(t, control),
      workspaceId: '1',
      supervisor: {
        workers: () => [],
        refusals: () => [],
        ready: () => ({ ready: true, reason: '' }),
        dataPlaneUrl: () => '',
      },
      metrics: { contentType: 'text/plain', render: () => Promise.resolve('') },
      logger: pino({ level: 'silent' }),
      version: '0',
      loopbackOnly: true,
      allowedHosts: [],
      updateDeadlineMs: 1,
    },
    routes,
  );
  await app.ready();
  t.teardown(() => app.close());
  const calls = [...new Set(routes.list())];
  t.ok(calls.length > 60, String(calls.length));
  for (const call of Object.keys(OPEN_CALLS)) t.ok(calls.includes(call), `${call} exists`);

  const limited: { caller: Caller | null } = { caller: null };
  const verifyBearer = (token: string) =>
    Promise.resolve(token === 'good.signed.token' ? limited.caller : null);
  const admin = await startAdmin(t, {}, { verifyBearer });
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

  const everybody: Access[] = ['public'];
  const everything: Access[] = [
    ...everybody,
    ...(['admin', 'caller', 'create', 'view', 'manage', 'query'] as const),
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
    for (const role of roles) {
      // Some calls of the roles before have changed them.
      await admin.control.grants.change('e', () => grants, { principal: 'test' });
      const response = await fetch(admin.url + path, {
        method,
        headers: {
          'content-type': 'application/json',
          ...(role.authorization === null ? {} : { authorization: role.authorization }),
        },
        ...(method === 'GET' ? {} : { body: '{}' }),
      });
      const text = await response.text();
      const access = OPEN_CALLS[call] ?? 'admin';
      const what = `${call} as ${role.name}: ${String(response.status)} ${text}`;
      if (role.may.includes(access)) t.notOk([401, 403].includes(response.status), what);
      else t.equal(response.status, role.refused, what);
    }
  }
});

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
