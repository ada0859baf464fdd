/** A SCIM PUT without `active`, and a PATCH that removes it, let somebody in again who had been deactivated. */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { call, startAdmin } from '../unit/admin/harness.js';

t.test('it stays as it was', async (t) => {
  const admin = await startAdmin(t);
  const profile = { ...EMPTY_PROFILE, active: false };
  const { id } = admin.identities.book.create('user', { name: 'mia', profile });
  const send = async (method: string, body: object) => {
    const answer = await call(admin, method, `/api/2.0/preview/scim/v2/Users/${id}`, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return answer.json['active'];
  };
  const remove = { Operations: [{ op: 'remove', path: 'active' }] };
  t.equal(await send('PUT', { userName: 'mia', displayName: 'Mia' }), false);
  t.equal(await send('PATCH', remove), false);
  t.equal(await send('PUT', { userName: 'mia', active: true }), true);
  t.equal(await send('PUT', { userName: 'mia' }), true);
  t.equal(await send('PATCH', remove), true);
});
