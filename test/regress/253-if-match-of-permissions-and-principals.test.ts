/**
 * Permissions and principals carried no ETag, and a change of them with If-Match happened whatever it said: the second
 * of two admins undid what the first one had taken away.
 */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { call, startAdmin } from '../unit/admin/harness.js';

t.test('a change happens only to what was read', async (t) => {
  const admin = await startAdmin(t);
  await admin.control.createEndpoint({ name: 'e' }, { principal: 'admin', principalId: '1' });
  const mia = admin.identities.book.create('user', { name: 'mia', profile: EMPTY_PROFILE });
  const grant = { user_name: 'mia', permission_level: 'CAN_QUERY' };
  for (const [path, method, body] of [
    ['/api/2.0/permissions/serving-endpoints/e', 'PUT', { access_control_list: [grant] }],
    ['/api/2.0/permissions/serving-endpoints/e', 'PATCH', { access_control_list: [grant] }],
    [`/api/2.0/preview/scim/v2/Users/${mia.id}`, 'PUT', { userName: 'mia', displayName: 'Mia' }],
    [
      `/api/2.0/preview/scim/v2/Users/${mia.id}`,
      'PATCH',
      { Operations: [{ op: 'replace', path: 'displayName', value: 'Mia M' }] },
    ],
    [`/api/2.0/preview/scim/v2/Users/${mia.id}`, 'DELETE', {}],
  ] as const) {
    const name = `${method} ${path}`;
    const send = (tag: string) => {
      const headers = { 'if-match': tag, 'content-type': 'application/json' };
      return call(admin, method, path, { headers, body: JSON.stringify(body) });
    };
    const before = await call(admin, 'GET', path);
    const etag = before.headers.get('etag') ?? '';
    t.match(etag, /^"[\w-]+"$/, name);
    const refused = await send('"another"');
    t.match([refused.status, refused.json], [409, { error_code: 'RESOURCE_CONFLICT' }], name);
    const after = await call(admin, 'GET', path);
    t.equal(after.headers.get('etag'), etag, 'nothing has changed');
    t.equal(after.text, before.text);
    t.equal((await send(etag)).status, 200, name);
  }
});
