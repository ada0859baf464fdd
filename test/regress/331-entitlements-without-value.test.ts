/**
 * The Terraform provider sends `"entitlements": [{}]` where a resource has none, and was answered 400: no user, service
 * principal or group of its could be made.
 */
import t from 'tap';
import { call, startAdmin } from '../unit/admin/harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const NAMES = {
  Users: { userName: 'mia@example.org' },
  ServicePrincipals: { displayName: 'ci' },
  Groups: { displayName: 'team' },
};

for (const [plural, names] of Object.entries(NAMES)) {
  await t.test(`${plural}: entitlements and roles without a value are none`, async (t) => {
    const admin = await startAdmin(t);
    const send = (method: string, path: string, body: object) => {
      const headers = { 'content-type': 'application/scim+json' };
      return call(admin, method, `${SCIM}/${plural}${path}`, {
        body: JSON.stringify(body),
        headers,
      });
    };
    const some = [{}, { value: '' }, { value: null }, { value: 'create-endpoints' }];
    const made = await send('POST', '', { ...names, entitlements: [{}], roles: [{}] });
    t.equal(made.status, 200, made.text);
    t.match(made.json, { entitlements: [], roles: [] });
    const path = `/${String(made.json['id'])}`;
    const put = await send('PUT', path, { ...names, entitlements: some, roles: some });
    const shown = [{ value: 'create-endpoints' }];
    t.strictSame([put.json['entitlements'], put.json['roles']], [shown, shown], put.text);
    const patchOf = (op: string, path: string) => ({ Operations: [{ op, path, value: [{}] }] });
    const added = await send('PATCH', path, patchOf('add', 'entitlements'));
    t.strictSame(added.json['entitlements'], shown, added.text);
    const replaced = await send('PATCH', path, patchOf('replace', 'entitlements'));
    t.strictSame(replaced.json['entitlements'], [], replaced.text);
    t.strictSame(replaced.json['roles'], shown);

    const odd = await send('PUT', path, { ...names, entitlements: [{ value: 7 }] });
    t.match(odd.json, { message: 'entitlements[0].value: must be a string' });
    const nobody = await send('POST', '', { ...names, members: [{}], groups: [{}], emails: [{}] });
    t.equal(nobody.status, 400, 'what names somebody has a value');
  });
}
