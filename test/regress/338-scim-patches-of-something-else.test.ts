/**
 * A SCIM PATCH read the resource as it is shown and wrote all of it: members that it did not speak of were counted and checked
 * again, and what is only shown in the place of something else was stored.
 */
import t from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { patchedResource } from '../../src/admin/scim/patch.js';
import {
  parseResource,
  RESOURCE_TYPES,
  storedResource,
  type ResourceType,
} from '../../src/admin/scim/resource.js';
import { call, startAdmin, type Harness } from '../unit/admin/harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const USERS = '4';

function patch(admin: Harness, path: string, ...operations: object[]) {
  return call(admin, 'PATCH', SCIM + path, {
    body: JSON.stringify({ Operations: operations }),
    headers: { 'content-type': 'application/scim+json' },
  });
}

t.test('members that a PATCH does not speak of are left alone', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const mia = book.create('user', { name: 'mia', profile: EMPTY_PROFILE });
  const team = { name: 'team', profile: EMPTY_PROFILE, members: ['1', mia.id] };
  const { id } = book.create('group', team);
  const operations = [
    { op: 'add', path: 'entitlements', value: [{ value: 'create-endpoints' }] },
    { op: 'replace', value: { displayName: 'crew', externalId: 'x' } },
  ];
  const record = book.record(id);
  if (record === null) return;
  const type = RESOURCE_TYPES.find(({ kind }) => kind === 'group') as ResourceType;
  const patched = patchedResource(storedResource(record), { Operations: operations }, () => {
    throw new Error('asked for');
  });
  // However many there are, none is counted or looked up.
  t.notOk('members' in parseResource(type, patched, record));
  t.equal((await patch(admin, `/Groups/${id}`, ...operations)).status, 200);
  t.match(book.record(id), { name: 'crew', profile: { entitlements: ['create-endpoints'] } });
  t.equal(book.membersOf(id).length, 2);
  t.equal((await patch(admin, `/Groups/${USERS}`, ...operations.slice(0, 1))).status, 200);
  const named = await patch(
    admin,
    `/Groups/${id}`,
    { op: 'add', path: 'members', value: ['2'] },
    { op: 'remove', path: 'members', value: ['2'] },
    { op: 'remove', path: 'members[display eq "admin"]' },
  );
  t.equal(named.status, 200, named.text);
  t.strictSame(book.membersOf(id), [mia]);
  const body = JSON.stringify({ displayName: 'crew' });
  const headers = { 'content-type': 'application/json' };
  await call(admin, 'PUT', `${SCIM}/Groups/${id}`, { body, headers });
  t.strictSame(book.membersOf(id), [], 'a PUT replaces them');
});

t.test('nothing is stored that was only shown', async (t) => {
  const admin = await startAdmin(t);
  const { book } = admin.identities;
  const given = { ...EMPTY_PROFILE, externalId: 'x', familyName: 'M', roles: ['r'] };
  const mia = book.create('user', { name: 'mia@example.org', profile: given });
  const shown = await patch(admin, `/Users/${mia.id}`, {
    op: 'replace',
    path: 'active',
    value: false,
  });
  const email = { type: 'work', value: 'mia@example.org', primary: true };
  t.match(shown.json, { displayName: 'mia@example.org', emails: [email] });
  t.strictSame(book.record(mia.id)?.profile, { ...given, active: false });
  const named = await patch(
    admin,
    `/Users/${mia.id}`,
    { op: 'add', path: 'emails', value: [{ value: 'm@example.org' }] },
    { op: 'replace', path: 'name.givenName', value: 'Mia' },
    { op: 'remove', path: 'externalId' },
  );
  t.equal(named.status, 200, named.text);
  t.strictSame(book.record(mia.id)?.profile, {
    ...given,
    active: false,
    externalId: '',
    givenName: 'Mia',
    emails: [{ value: 'm@example.org' }],
  });
});
