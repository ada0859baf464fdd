/**
 * The Terraform provider looks for a service principal by `applicationId eq '…'`. The quotes were taken for a part of the
 * value: it found none.
 */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { call, startAdmin } from '../unit/admin/harness.js';

t.test('values in single quotes', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const make = (displayName: string) =>
    book.create('service_principal', { name: '', profile: { ...EMPTY_PROFILE, displayName } });
  const first = make('the first one');
  const second = make(`O'Neil "2"`);
  const find = async (filter: string): Promise<unknown> => {
    const query = new URLSearchParams({ filter });
    const path = `/api/2.0/preview/scim/v2/ServicePrincipals?${query.toString()}`;
    const { status, json } = await call(admin, 'GET', path);
    if (status !== 200) return json['message'];
    return (json['Resources'] as { id: string }[]).map(({ id }) => id);
  };
  t.strictSame(await find(`applicationId eq '${first.name}'`), [first.id]);
  t.strictSame(await find(`displayName eq 'the first one' and active eq 'true'`), [first.id]);
  t.strictSame(await find(`displayName eq 'O\\'Neil "2"'`), [second.id]);
  t.strictSame(await find(`displayName eq "O'Neil \\"2\\""`), [second.id]);
  t.strictSame(await find(`displayName co o'neil`), [second.id], 'no quotes at all');
  t.strictSame(await find(`displayName eq ''`), []);
  for (const bad of [`displayName eq 'x`, `displayName eq '`, `displayName eq 'x\\'`]) {
    t.equal(await find(bad), 'filter: has a quote that is not closed', bad);
  }
  t.match(await find(`displayName eq 'a'b'`), /^filter: /);
});
