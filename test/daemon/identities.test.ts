/**
 * Principals, credentials and permissions of a whole daemon: by the published npm client, unchanged,
 * and by the bytes that other clients send.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { ApiError, Config, WorkspaceClient } from '@databricks/sdk-experimental';
import t, { type Test } from 'tap';
import { startDaemon, temporaryDirectory, type TestDaemon } from './harness.js';

/** Nothing of the machine's own set-up may reach the client. */
function cleanHome(t: Test): void {
  const home = path.join(temporaryDirectory(t), 'home');
  mkdirSync(home);
  const names = Object.keys(process.env).filter((name) =>
    /^(?:DATABRICKS|ARM|GOOGLE|AZURE)_/.test(name),
  );
  const saved = Object.fromEntries(['HOME', ...names].map((name) => [name, process.env[name]]));
  for (const name of names) Reflect.deleteProperty(process.env, name);
  process.env['HOME'] = home;
  t.teardown(() => Object.assign(process.env, saved));
}

function clientOf(daemon: TestDaemon, token = daemon.adminToken): WorkspaceClient {
  return new WorkspaceClient(new Config({ host: daemon.adminUrl, token, authType: 'pat' }));
}

async function rejection(call: Promise<unknown>): Promise<ApiError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('the call was to be refused');
}

cleanHome(t);
const daemon = await startDaemon(t);
const client = clientOf(daemon);
const USERS = '/api/2.0/preview/scim/v2/Users';
const ENDPOINTS = '/api/2.0/serving-endpoints';

/** A user with an access token that an admin made for it. */
async function tokenOf(userName: string, entitlements: string[] = []): Promise<string> {
  const values = entitlements.map((value) => ({ value }));
  await daemon.admin('POST', USERS, { userName, entitlements: values });
  const route = '/api/2.0/token-management/on-behalf-of/tokens';
  const { body } = await daemon.admin('POST', route, { user_name: userName });
  return (body as { token_value: string }).token_value;
}

await t.test('the npm client manages principals and their credentials', async (t) => {
  const me = await client.currentUser.me();
  t.match(me, { userName: 'admin', active: true });
  const machine = await client.servicePrincipalsV2.create({ displayName: 'ci', active: true });
  const { id = '', applicationId } = machine;
  t.match(applicationId, /^[0-9a-f-]{36}$/);
  t.match(await client.servicePrincipalsV2.get({ id }), { displayName: 'ci', applicationId });
  await client.servicePrincipalsV2.update({ ...machine, id, displayName: 'builds' });
  const user = await client.usersV2.create({ userName: 'mia@example.org', displayName: 'Mia' });
  const group = await client.groupsV2.create({
    displayName: 'team',
    members: [{ value: id }, { value: String(user.id) }],
  });
  const named: (string | undefined)[] = [];
  for await (const one of client.groupsV2.list({ filter: 'displayName eq "team"' })) {
    named.push(one.displayName);
    // The client asks for the same page until it is empty.
    break;
  }
  t.strictSame(named, ['team']);
  t.match((await client.groupsV2.get({ id: String(group.id) })).members, [{ value: id }, {}]);

  const secrets = client.servicePrincipalSecretsProxy;
  const secret = await secrets.create({ service_principal_id: id });
  t.match(secret.secret, /^dose/);
  const listed: (string | undefined)[] = [];
  for await (const one of secrets.list({ service_principal_id: id })) listed.push(one.id);
  t.strictSame(listed, [secret.id]);
  await secrets.delete({ service_principal_id: id, secret_id: String(secret.id) });

  const obo = await client.tokenManagement.createOboToken({
    application_id: String(applicationId),
  });
  const own = clientOf(daemon, obo.token_value);
  t.match(await own.currentUser.me(), { displayName: 'builds' });
  const made = await own.tokens.create({ comment: 'second', lifetime_seconds: 600 });
  t.match(await clientOf(daemon, made.token_value).currentUser.me(), { id });
  const comments: (string | undefined)[] = [];
  for await (const one of own.tokens.list()) comments.push(one.comment);
  t.strictSame(comments.sort(), ['', 'second']);
  await own.tokens.delete({ token_id: String(made.token_info?.token_id) });
  const gone = await rejection(clientOf(daemon, made.token_value).currentUser.me());
  t.match(gone, { statusCode: 401, errorCode: 'UNAUTHENTICATED' });
  const refused = await rejection(own.usersV2.create({ userName: 'x' }));
  t.match(refused, { statusCode: 403, errorCode: 'PERMISSION_DENIED' });

  await client.servicePrincipalsV2.delete({ id });
  t.match(await rejection(own.currentUser.me()), { statusCode: 401 });
  t.match(await rejection(client.servicePrincipalsV2.get({ id })), {
    statusCode: 404,
    errorCode: 'RESOURCE_DOES_NOT_EXIST',
  });
});

await t.test('who may do what with an endpoint', async (t) => {
  const owner = clientOf(daemon, await tokenOf('owner', ['create-endpoints']));
  const other = clientOf(daemon, await tokenOf('other'));
  const body = { name: 'hers' } as Parameters<typeof owner.servingEndpoints.create>[0];
  t.match(await rejection(other.servingEndpoints.create(body)), {
    statusCode: 403,
    message: /create-endpoints/,
  });
  await owner.servingEndpoints.create(body);
  await daemon.admin('POST', ENDPOINTS, { name: 'elsewhere' });
  const hers = await owner.servingEndpoints.get({ name: 'hers' });
  t.match(hers, { creator: 'owner', permission_level: 'CAN_MANAGE' });
  const names = async (of: WorkspaceClient) => {
    const found: (string | undefined)[] = [];
    for await (const one of of.servingEndpoints.list()) found.push(one.name);
    return found.sort();
  };
  t.strictSame(await names(owner), ['hers']);
  t.strictSame(await names(other), []);
  t.strictSame(await names(client), ['elsewhere', 'hers']);
  t.match(await rejection(other.servingEndpoints.get({ name: 'hers' })), { statusCode: 403 });

  const object = { request_object_type: 'serving-endpoints', request_object_id: String(hers.id) };
  await owner.permissions.set({
    ...object,
    access_control_list: [
      { user_name: 'other', permission_level: 'CAN_VIEW' },
      { user_name: 'owner', permission_level: 'CAN_MANAGE' },
    ],
  });
  t.strictSame(await names(other), ['hers']);
  const seen = await other.servingEndpoints.get({ name: 'hers' });
  t.equal(seen.permission_level, 'CAN_VIEW', 'the level of who asks');
  t.match(await rejection(other.servingEndpoints.delete({ name: 'hers' })), { statusCode: 403 });
  t.match(await rejection(other.permissions.get(object)), { statusCode: 403 });
  const permissions = await owner.permissions.get(object);
  t.match(permissions, { object_type: 'serving-endpoint' });
  const levels = await other.permissions.getPermissionLevels(object);
  t.equal(levels.permission_levels?.length, 3);

  await owner.permissions.set({ ...object, access_control_list: [] });
  t.match(await rejection(other.servingEndpoints.get({ name: 'hers' })), { statusCode: 403 });
  t.match(await rejection(owner.servingEndpoints.get({ name: 'hers' })), { statusCode: 403 });
  t.match((await client.servingEndpoints.get({ name: 'hers' })).permission_level, 'CAN_MANAGE');
});

await t.test(
  'the bytes of other clients: Terraform asks who it is, sets and compares',
  async (t) => {
    const me = await daemon.admin(
      'GET',
      '/api/2.0/preview/scim/v2/Me?excludedAttributes=entitlements',
    );
    t.equal(me.headers.get('x-databricks-org-id'), '1');
    const { userName } = me.body as { userName: string };
    const made = await daemon.admin('POST', ENDPOINTS, { name: 'tf' });
    const { id } = made.body as { id: string };
    const list = [
      { group_name: 'users', permission_level: 'CAN_QUERY' },
      { user_name: userName, permission_level: 'CAN_MANAGE' },
    ];
    const route = `/api/2.0/permissions/serving-endpoints/${id}`;
    t.equal((await daemon.admin('PUT', route, { access_control_list: list })).status, 200);
    const shown = (await daemon.admin('GET', route)).body as {
      access_control_list: {
        all_permissions: { inherited: boolean; permission_level: string }[];
      }[];
    };
    const direct = shown.access_control_list.filter(({ all_permissions: all }) =>
      all.some(({ inherited }) => !inherited),
    );
    t.match(direct, [
      { group_name: 'users', all_permissions: [{ permission_level: 'CAN_QUERY' }] },
      { user_name: userName, all_permissions: [{ permission_level: 'CAN_MANAGE' }] },
    ]);
    const page = await daemon.admin('GET', `${USERS}?startIndex=1&count=100&sortBy=userName`);
    t.match(page.body, { startIndex: 1, Resources: [{ userName: 'admin' }] });
  },
);

await t.test(
  'everything is there after a kill; secrets are on no disk and in no log',
  async (t) => {
    const killed = await startDaemon(t);
    const { stateDir } = killed;
    await killed.admin('POST', USERS, { userName: 'mia' });
    const made = await killed.admin('POST', '/api/2.0/token-management/on-behalf-of/tokens', {
      user_name: 'mia',
    });
    const token = (made.body as { token_value: string }).token_value;
    await killed.admin('POST', ENDPOINTS, { name: 'e' });
    await killed.admin('PATCH', '/api/2.0/permissions/serving-endpoints/e', {
      access_control_list: [{ user_name: 'mia', permission_level: 'CAN_VIEW' }],
    });
    await killed.stop('SIGKILL');
    for (const file of readdirSync(stateDir)) {
      const full = path.join(stateDir, file);
      if (!statSync(full).isFile()) continue;
      t.notOk(readFileSync(full, 'latin1').includes(token), file);
    }
    t.notOk(killed.output.join('').includes(token));
    t.equal(statSync(path.join(stateDir, 'master-key')).mode & 0o777, 0o600);

    const again = await startDaemon(t, { stateDir });
    const own = clientOf(again, token);
    t.match(await own.servingEndpoints.get({ name: 'e' }), { permission_level: 'CAN_VIEW' });
    await again.stop();

    const wrong = { POINTSMAN_MASTER_KEY: Buffer.alloc(32, 5).toString('hex') };
    await t.rejects(startDaemon(t, { stateDir, env: wrong }), {
      message: /POINTSMAN_MASTER_KEY: is not the key/,
    });
    const last = await startDaemon(t, { stateDir });
    t.match(await clientOf(last, token).currentUser.me(), { userName: 'mia' });
  },
);
