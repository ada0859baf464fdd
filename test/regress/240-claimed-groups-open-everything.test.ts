/** A group `admins` in the claims of an external token opened every endpoint; the admin port read no claimed groups. */
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

const SCIM = '/api/2.0/preview/scim/v2';

t.test('claimed groups, on both ports', async (t) => {
  const issuer = new ExternalIssuer(t, { groups_claim: 'groups', admin_groups: ['idp-operators'] });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('POST', `${SCIM}/Users`, { userName: 'mia' });
  await daemon.admin('POST', `${SCIM}/Groups`, { displayName: 'team' });
  const { body } = await daemon.admin('POST', `${SCIM}/Groups`, { displayName: 'ops' });
  const { id: ops } = body as { id: string };
  await daemon.admin('PATCH', `${SCIM}/Groups/3`, {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
    Operations: [{ op: 'add', path: 'members', value: [{ value: ops }] }],
  });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ group_name: 'team', permission_level: 'CAN_QUERY' }],
  });
  /** Of a query, of a look at the endpoint, of an admin's call. */
  const statuses = async (sub: string, groups: string[]): Promise<number[]> => {
    const authorization = `Bearer ${issuer.token(sub, { groups })}`;
    const { status } = await daemon.invoke(PATH, { inputs: [1] }, { authorization });
    const look = (path: string) => daemon.admin('GET', path, undefined, { authorization });
    const one = await look('/api/2.0/serving-endpoints/live');
    const all = await look('/api/2.0/pointsman/status');
    return [status, one.status, all.status];
  };
  t.strictSame(await statuses('mia', []), [403, 403, 403]);
  t.strictSame(await statuses('mia', ['admins']), [403, 403, 403], 'by name');
  t.strictSame(await statuses('mia', ['ops']), [403, 403, 403], 'by a group that is in it');
  t.strictSame(await statuses('mia', ['team']), [200, 200, 403], 'a group with a permission');
  t.strictSame(await statuses('mia', ['idp-operators']), [200, 200, 200], 'mapped');
  for (const sub of ['admin', 'query']) {
    t.strictSame(await statuses(sub, ['team']), [401, 401, 401], `the built-in user ${sub}`);
  }
});
