/**
 * `Me` of a service principal had no userName. The Terraform provider takes that for the caller's name and grants it
 * CAN_MANAGE: databricks_permissions could not be applied by a service principal.
 */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { call, startAdmin } from '../unit/admin/harness.js';

const ME = '/api/2.0/preview/scim/v2/Me';

t.test('a service principal grants by the name that Me gives it', async (t) => {
  const admin = await startAdmin(t);
  const { book, credentials } = admin.identities;
  const machine = book.create('service_principal', { name: '', profile: EMPTY_PROFILE });
  const input = { principalId: machine.id, lifetimeS: null, comment: '' };
  const { secret } = credentials.create('access_token', input);
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' };
  const me = await call(admin, 'GET', `${ME}?excludedAttributes=entitlements`, { headers });
  t.match(me.json, { userName: machine.name, applicationId: machine.name });
  t.equal((await call(admin, 'GET', ME)).json['userName'], 'admin');
  const path = `/api/2.0/preview/scim/v2/ServicePrincipals/${machine.id}`;
  t.notHas((await call(admin, 'GET', path)).json, { userName: machine.name }, 'on Me alone');

  const origin = { principal: machine.name, principalId: machine.id };
  await admin.control.createEndpoint({ name: 'mm' }, origin);
  const permissions = '/api/2.0/permissions/serving-endpoints/mm';
  const put = (...entries: object[]) =>
    call(admin, 'PUT', permissions, {
      body: JSON.stringify({ access_control_list: entries }),
      headers,
    });
  const level = { permission_level: 'CAN_MANAGE' };
  const named = await put({ ...level, user_name: me.json['userName'] });
  t.equal(named.status, 200, named.text);
  const list = named.json['access_control_list'] as Record<string, unknown>[];
  t.equal(list[0]?.['service_principal_name'], machine.name);
  t.notOk(list.some((entry) => 'user_name' in entry));

  const refused: readonly (readonly [object[], RegExp])[] = [
    [[level], /\[0\]: must name one principal, by one of user_name, group_name/],
    [[{ ...level, user_name: '' }], /\[0\]\.user_name: must not be empty/],
    [[{ ...level, user_name: 'nobody' }], /\[0\]\.user_name: there is no user "nobody"/],
    [
      [
        { ...level, user_name: machine.name },
        { ...level, service_principal_name: machine.name },
      ],
      /\[1\]: names a principal again/,
    ],
    [[{ ...level, group_name: machine.name }], /\[0\]\.group_name: there is no group/],
  ];
  for (const [entries, message] of refused) {
    const answer = await put(...entries);
    t.equal(answer.status, 400);
    t.match(answer.json, { message });
  }
});
