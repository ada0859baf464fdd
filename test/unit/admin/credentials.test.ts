/** Access tokens, OAuth secrets and permissions over HTTP. */
import t from 'tap';
import { EMPTY_PROFILE } from '../../../src/auth/identity-book.js';
import { call, startAdmin, type Harness } from './harness.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const PERMISSIONS = '/api/2.0/permissions/serving-endpoints';

function send(admin: Harness, method: string, path: string, body?: unknown) {
  return call(admin, method, path, {
    headers: JSON_TYPE,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

t.test('access tokens: create, use, list, delete', async (t) => {
  const admin = await startAdmin(t);
  const made = await send(admin, 'POST', '/api/2.0/token/create', {
    comment: 'ci',
    lifetime_seconds: 100,
  });
  const { token_value: token, token_info: info } = made.json as {
    token_value: string;
    token_info: { token_id: string; creation_time: number; expiry_time: number };
  };
  t.equal(info.expiry_time - info.creation_time, 100_000);
  const bearer = { authorization: `Bearer ${token}` };
  const basic = { authorization: `Basic ${Buffer.from(`token:${token}`).toString('base64')}` };
  for (const headers of [bearer, basic]) {
    const me = await call(admin, 'GET', '/api/2.0/preview/scim/v2/Me', { headers });
    t.match(me.json, { userName: 'admin' });
  }
  const endless = await send(admin, 'POST', '/api/2.0/token/create');
  t.match(endless.json, { token_info: { expiry_time: -1, comment: '' } });
  const list = await send(admin, 'GET', '/api/2.0/token/list');
  t.match(list.json, { token_infos: [info, { expiry_time: -1 }] });
  t.notMatch(list.text, /dapi/, 'no token is shown again');
  t.strictSame(
    (await send(admin, 'POST', '/api/2.0/token/delete', { token_id: info.token_id })).json,
    {},
  );
  const after = await call(admin, 'GET', '/api/2.0/preview/scim/v2/Me', { headers: bearer });
  t.equal(after.status, 401, 'at once');
  const again = await send(admin, 'POST', '/api/2.0/token/delete', { token_id: info.token_id });
  t.match(again.json, { error_code: 'RESOURCE_DOES_NOT_EXIST' });
  for (const body of [
    { lifetime_seconds: 0 },
    { lifetime_seconds: -2 },
    { lifetime_seconds: 1.5 },
    { lifetime_seconds: 10 ** 9 },
  ]) {
    const refused = await send(admin, 'POST', '/api/2.0/token/create', body);
    t.match(refused.json, { message: /^lifetime_seconds: / }, JSON.stringify(body));
  }
  t.notMatch(admin.logLines.join(''), token, 'no credential in the log');
});

t.test('an admin makes, lists and deletes the tokens of others', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const machine = book.create('service_principal', { name: '', profile: EMPTY_PROFILE });
  const mia = book.create('user', { name: 'mia', profile: EMPTY_PROFILE });
  const path = '/api/2.0/token-management';
  const make = async (owner: object) => {
    const made = await send(admin, 'POST', `${path}/on-behalf-of/tokens`, {
      ...owner,
      comment: 'x',
    });
    return made.json as { token_value: string; token_info: { token_id: string }; message: string };
  };
  const ofMachine = await make({ application_id: machine.name, lifetime_seconds: 60 });
  const ofMia = await make({ user_name: 'mia' });
  t.match(ofMia.token_info, { owner_id: Number(mia.id), created_by_username: 'mia' });
  const me = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await call(admin, 'GET', '/api/2.0/preview/scim/v2/Me', { headers })).json;
  };
  t.match(await me(ofMachine.token_value), { id: machine.id, applicationId: machine.name });
  t.match(await me(ofMia.token_value), { userName: 'mia' });
  const all = await send(admin, 'GET', `${path}/tokens`);
  t.equal((all.json['token_infos'] as unknown[]).length, 2);
  const hers = await send(admin, 'GET', `${path}/tokens?created_by_username=mia`);
  t.strictSame(hers.json, { token_infos: [ofMia.token_info] });
  const one = `${path}/tokens/${ofMia.token_info.token_id}`;
  t.strictSame((await send(admin, 'GET', one)).json, { token_info: ofMia.token_info });
  t.equal((await send(admin, 'DELETE', one)).text, '{}');
  t.match(await me(ofMia.token_value), { error_code: 'UNAUTHENTICATED' });
  t.equal((await send(admin, 'DELETE', one)).status, 404);
  for (const owner of [
    { application_id: 'nobody' },
    { user_name: 'query' },
    { user_name: 'team' },
  ]) {
    t.match(await make(owner), { message: /there is no such principal/ });
  }
  t.match(await make({}), { message: /^application_id: missing/ });
});

t.test('OAuth secrets: shown once, listed without, deleted', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const machine = book.create('service_principal', { name: '', profile: EMPTY_PROFILE });
  const path = `/api/2.0/accounts/servicePrincipals/${machine.id}/credentials/secrets`;
  const made = await send(admin, 'POST', path, { lifetime: '3600s' });
  const { id, secret, create_time: from, expire_time: until } = made.json as Record<string, string>;
  t.match(secret, /^dose[0-9a-f]{64}$/);
  t.equal(Date.parse(until ?? '') - Date.parse(from ?? ''), 3_600_000);
  t.match(made.json, { status: 'ACTIVE', secret_hash: /^[0-9a-f]{16}$/ });
  t.ok(admin.identities.byClientSecret(machine.name, secret ?? ''));
  const list = await send(admin, 'GET', path);
  t.match(list.json, { secrets: [{ id, status: 'ACTIVE' }] });
  t.notMatch(list.text, secret);
  t.equal((await send(admin, 'DELETE', `${path}/${String(id)}`)).text, '{}');
  t.equal(admin.identities.byClientSecret(machine.name, secret ?? ''), null);
  t.equal((await send(admin, 'DELETE', `${path}/${String(id)}`)).status, 404);
  for (const lifetime of ['0s', '3600', '-1s', '9999999999s', 'x']) {
    t.match((await send(admin, 'POST', path, { lifetime })).json, { message: /^lifetime: / });
  }
  for (let count = 0; count < 5; count += 1) {
    t.equal((await send(admin, 'POST', path)).status, 200);
  }
  t.match((await send(admin, 'POST', path)).json, { message: /5 secrets already/ });
  for (const other of ['1', '3', '99', 'x']) {
    const elsewhere = path.replace(`/${machine.id}/`, `/${other}/`);
    t.equal((await send(admin, 'POST', elsewhere)).status, 404, other);
  }
});

t.test('permissions: get, levels, replace, merge', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const profile = { ...EMPTY_PROFILE, displayName: 'Mia' };
  const mia = book.create('user', { name: 'mia@example.org', profile });
  book.create('group', { name: 'team', profile: EMPTY_PROFILE });
  await admin.control.createEndpoint({ name: 'e' }, { principal: mia.name, principalId: mia.id });
  const id = admin.control.grants.of('e')?.id ?? '';
  const direct = (level: string) => [{ permission_level: level, inherited: false }];
  const inherited = {
    group_name: 'admins',
    all_permissions: [
      {
        permission_level: 'CAN_MANAGE',
        inherited: true,
        inherited_from_object: ['/serving-endpoints/'],
      },
    ],
  };
  const shown = (...entries: object[]) => ({
    object_id: `/serving-endpoints/${id}`,
    object_type: 'serving-endpoint',
    access_control_list: [...entries, inherited],
  });
  const ofMia = { user_name: mia.name, display_name: 'Mia' };
  const first = shown({ ...ofMia, all_permissions: direct('CAN_MANAGE') });
  t.strictSame((await send(admin, 'GET', `${PERMISSIONS}/${id}`)).json, first);
  t.strictSame((await send(admin, 'GET', `${PERMISSIONS}/e`)).json, first, 'by name');
  const levels = await send(admin, 'GET', `${PERMISSIONS}/${id}/permissionLevels`);
  t.match(levels.json, {
    permission_levels: [
      { permission_level: 'CAN_VIEW', description: String },
      { permission_level: 'CAN_QUERY' },
      { permission_level: 'CAN_MANAGE' },
    ],
  });
  const list = (name: object, level: string) => ({
    access_control_list: [{ ...name, permission_level: level }],
  });
  const team = { group_name: 'team' };
  const merged = await send(admin, 'PATCH', `${PERMISSIONS}/${id}`, list(team, 'CAN_QUERY'));
  const ofTeam = { ...team, all_permissions: direct('CAN_QUERY') };
  t.strictSame(merged.json, shown({ ...ofMia, all_permissions: direct('CAN_MANAGE') }, ofTeam));
  const lower = await send(
    admin,
    'PATCH',
    `${PERMISSIONS}/${id}`,
    list({ user_name: mia.name }, 'CAN_VIEW'),
  );
  t.strictSame(lower.json, shown(ofTeam, { ...ofMia, all_permissions: direct('CAN_VIEW') }));
  t.strictSame((await send(admin, 'PATCH', `${PERMISSIONS}/${id}`)).json, lower.json, 'no body');
  const replaced = await send(admin, 'PUT', `${PERMISSIONS}/${id}`, list(team, 'CAN_VIEW'));
  t.strictSame(replaced.json, shown({ ...team, all_permissions: direct('CAN_VIEW') }));
  t.strictSame((await send(admin, 'GET', `${PERMISSIONS}/${id}`)).json, replaced.json);
  book.delete(book.find('group', 'team') ?? '');
  t.strictSame((await send(admin, 'GET', `${PERMISSIONS}/${id}`)).json, shown());

  const unknown = await send(admin, 'PUT', `${PERMISSIONS}/${id}`, list(team, 'CAN_VIEW'));
  t.match(unknown.json, { message: /^access_control_list\[0\]\.group_name: there is no group/ });
  t.equal((await send(admin, 'PUT', `${PERMISSIONS}/${id}`)).status, 400, 'a PUT has a body');
  t.equal((await send(admin, 'GET', `${PERMISSIONS}/nobody`)).status, 404);
});
