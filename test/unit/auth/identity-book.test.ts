/** Users, service principals and groups over a real store. */
import t from 'tap';
import { EMPTY_PROFILE } from '../../../src/auth/identity-book.js';
import { createKit, temporaryDirectory } from './kit.js';

const ADMIN = '1';
const QUERY = '2';
const ADMINS = '3';
const USERS = '4';

t.test('the built-in principals are there, and stay', (t) => {
  const { book } = createKit(t);
  t.match(book.principal(ADMIN), { name: 'admin', groups: ['admins', 'users'], active: true });
  t.match(book.principal(QUERY), { name: 'query', groups: ['users'] });
  for (const id of [ADMIN, QUERY, ADMINS, USERS]) {
    const name = book.record(id)?.name ?? '';
    t.throws(() => {
      book.delete(id);
    }, /built in/);
    t.throws(() => book.update(id, { name: 'other', profile: EMPTY_PROFILE }), /its name stays/);
    const inactive = { ...EMPTY_PROFILE, active: false };
    t.throws(() => book.update(id, { name, profile: inactive }), /stays active/);
  }
  const admins = { name: 'admins', profile: EMPTY_PROFILE };
  t.throws(() => book.update(ADMINS, { ...admins, members: [] }), /stays an admin/);
  const users = { name: 'users', profile: EMPTY_PROFILE };
  t.throws(() => book.update(USERS, { ...users, members: [ADMIN] }), /cannot be changed/);
  const query = { ...admins, members: [ADMIN, QUERY] };
  t.throws(() => book.update(ADMINS, query), /belongs to no group/);
  const everybody = { ...admins, members: [ADMIN, USERS] };
  t.throws(() => book.update(ADMINS, everybody), /users, .*belongs to no group/);
  t.strictSame(
    book.membersOf(USERS).map(({ name }) => name),
    ['admin', 'query'],
  );
  t.end();
});

t.test('names are unique without regard to case, callers among themselves', (t) => {
  const kit = createKit(t);
  kit.user('mia@example.org');
  for (const name of ['mia@example.org', 'Mia@Example.org', 'admin', 'Query']) {
    t.throws(() => kit.user(name), { code: 'RESOURCE_ALREADY_EXISTS', status: 409 }, name);
  }
  t.throws(() => kit.user('pointsman'), /reserved/);
  const machine = kit.book.create('service_principal', { name: '', profile: EMPTY_PROFILE });
  t.match(machine.name, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  t.throws(() => kit.user(machine.name), /there is a service principal/);
  t.ok(kit.group('mia@example.org', []), 'a group is nobody who could call');
  t.equal(kit.book.byName('MIA@example.org'), null, 'a token names a principal exactly');
  t.equal(kit.book.byName('mia@example.org')?.kind, 'user');
  t.match(kit.book.byName(machine.name), { applicationId: machine.name });
  t.end();
});

t.test('groups hold through groups, in circles too, and give their entitlements', (t) => {
  const dir = temporaryDirectory(t);
  const kit = createKit(t, dir);
  const { book } = kit;
  const mia = kit.user('mia', { entitlements: ['own'] });
  const inner = kit.group('inner', [mia], { entitlements: ['a'] });
  const outer = kit.group('outer', [inner], { entitlements: ['b', 'own'] });
  const seen = { groups: ['inner', 'outer', 'users'], entitlements: ['a', 'b', 'own'] };
  t.match(book.principal(mia), seen);
  book.update(inner, { name: 'inner', profile: EMPTY_PROFILE, members: [mia, outer] });
  t.match(book.principal(mia)?.groups, seen.groups, 'a circle ends');
  t.match(book.principal(mia)?.entitlements, ['b', 'own']);
  t.throws(
    () => book.update(inner, { name: 'inner', profile: EMPTY_PROFILE, members: [inner] }),
    /member of itself/,
  );
  t.throws(() => kit.group('x', ['99']), /no principal 99/);
  t.strictSame(
    book.membersOf(outer).map(({ name }) => name),
    ['inner'],
  );

  const again = createKit(t, dir);
  t.strictSame(again.book.principal(mia), book.principal(mia), 'as stored');
  book.delete(inner);
  t.match(book.principal(mia)?.groups, ['users']);
  t.strictSame(book.membersOf(outer), []);
  t.end();
});

t.test('an id is never given twice, a deleted name may be taken again', (t) => {
  const dir = temporaryDirectory(t);
  const kit = createKit(t, dir);
  const first = kit.user('mia');
  kit.book.delete(first);
  t.equal(kit.book.byName('mia'), null);
  t.throws(
    () => {
      kit.book.delete(first);
    },
    { code: 'RESOURCE_DOES_NOT_EXIST' },
  );
  const second = createKit(t, dir).user('mia');
  t.not(second, first);
  t.end();
});

t.test('every change is told, with whom it concerns', (t) => {
  const kit = createKit(t);
  const mia = kit.user('mia');
  const team = kit.group('team', [mia]);
  kit.book.update(team, { name: 'team', profile: EMPTY_PROFILE, members: [] });
  kit.book.delete(mia);
  t.strictSame(
    kit.changes.map(({ kind, ids }) => [kind, ...ids]),
    [
      ['principal', mia],
      ['principal', team, mia],
      ['principal', team, mia],
      ['principal', mia],
    ],
  );
  t.end();
});
