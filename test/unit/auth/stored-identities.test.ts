/** Credentials and permissions over a real store. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CLIENT_SECRETS_MAX } from '../../../src/auth/credential-book.js';
import { EMPTY_PROFILE } from '../../../src/auth/identity-book.js';
import { isAdmin, mayCreateEndpoints } from '../../../src/auth/stored-identities.js';
import { createKit, temporaryDirectory, type IdentityKit } from './kit.js';

function machineOf(kit: IdentityKit): { id: string; name: string } {
  return kit.book.create('service_principal', { name: '', profile: EMPTY_PROFILE });
}

t.test('an access token names its principal until it expires, is deleted or lies idle', (t) => {
  const dir = temporaryDirectory(t);
  const kit = createKit(t, dir);
  const { identities, clock, book } = kit;
  const mia = kit.user('mia');
  const { credentials } = identities;
  const input = { principalId: mia, comment: 'laptop' };
  const short = credentials.create('access_token', { ...input, lifetimeS: 10 });
  const long = credentials.create('access_token', { ...input, lifetimeS: null });
  t.match(long.secret, /^dapi[0-9a-f]{64}$/);
  t.match(identities.byAccessToken(short.secret), {
    principal: { name: 'mia' },
    credentialId: short.credential.id,
  });
  t.equal(identities.byAccessToken(`${long.secret}0`), null);
  t.equal(identities.byAccessToken(long.secret.toUpperCase()), null);
  clock.advance(9_999);
  t.ok(identities.byAccessToken(short.secret));
  clock.advance(1);
  t.equal(identities.byAccessToken(short.secret), null, 'to the millisecond');
  t.strictSame(
    credentials.list('access_token', mia).map(({ id }) => id),
    [long.credential.id],
  );

  const again = createKit(t, dir);
  t.ok(again.identities.byAccessToken(long.secret), 'after a restart too');
  for (const file of readdirSync(dir)) {
    const bytes = readFileSync(join(dir, file)).toString('latin1');
    t.notOk(bytes.includes(long.secret), `${file} holds no token`);
  }

  book.update(mia, { name: 'mia', profile: { ...EMPTY_PROFILE, active: false } });
  t.equal(identities.byAccessToken(long.secret), null, 'inactive');
  book.update(mia, { name: 'mia', profile: EMPTY_PROFILE });
  t.ok(identities.byAccessToken(long.secret));
  t.throws(
    () => {
      credentials.delete('access_token', '1', long.credential.id);
    },
    { code: 'RESOURCE_DOES_NOT_EXIST' },
    'not somebody else’s',
  );
  credentials.delete('access_token', mia, long.credential.id);
  t.equal(identities.byAccessToken(long.secret), null, 'deleted');
  t.match(kit.changes.at(-1), { kind: 'credential', ids: [long.credential.id] });
  t.end();
});

t.test('an OAuth secret opens its own service principal alone', (t) => {
  const kit = createKit(t);
  const { identities, clock, book } = kit;
  const { credentials } = identities;
  const [one, two] = [machineOf(kit), machineOf(kit)];
  const input = { principalId: one.id, comment: '', lifetimeS: 60 };
  const made = credentials.create('client_secret', input);
  t.match(identities.byClientSecret(one.name, made.secret), {
    principal: { applicationId: one.name },
    credentialId: made.credential.id,
  });
  t.equal(identities.byClientSecret(two.name, made.secret), null);
  t.equal(identities.byClientSecret('nobody', made.secret), null);
  t.equal(identities.byClientSecret(one.name, `${made.secret.slice(0, -1)}x`), null);
  t.equal(identities.byClientSecret(one.name, ''), null);
  t.equal(identities.byAccessToken(made.secret), null, 'a secret is no token');
  clock.advance(60_000);
  t.equal(identities.byClientSecret(one.name, made.secret), null, 'expired');

  const last = credentials.create('client_secret', { ...input, lifetimeS: null });
  t.ok(identities.byClientSecret(one.name, last.secret));
  book.delete(one.id);
  t.equal(identities.byClientSecret(one.name, last.secret), null, 'its principal is gone');
  t.strictSame(credentials.list('client_secret', one.id), []);
  t.strictSame(kit.store.identities.credentials(), []);
  t.end();
});

t.test('a principal has a limited number of each; expired ones do not count', (t) => {
  const kit = createKit(t);
  const { credentials } = kit.identities;
  const machine = machineOf(kit);
  const input = { principalId: machine.id, comment: '', lifetimeS: 60 };
  for (let count = 0; count < CLIENT_SECRETS_MAX; count += 1) {
    credentials.create('client_secret', input);
  }
  t.throws(() => credentials.create('client_secret', input), { code: 'INVALID_PARAMETER_VALUE' });
  kit.clock.advance(60_000);
  t.ok(credentials.create('client_secret', input));
  t.equal(credentials.list('client_secret', machine.id).length, 1);
  t.end();
});

t.test('a level comes from the principal, its groups, everybody, or being an admin', (t) => {
  const kit = createKit(t);
  const { identities } = kit;
  const mia = kit.user('mia');
  const team = kit.group('team', [mia]);
  const all = kit.group('all', [team]);
  const other = kit.user('other');
  const grants = (list: [string, 'CAN_VIEW' | 'CAN_QUERY' | 'CAN_MANAGE'][]) => {
    kit.endpoints.set('e', {
      id: 'e',
      name: 'e',
      grants: list.map(([principal, level]) => ({ principal, level })),
    });
  };
  const levels = () =>
    [mia, other, '1', '2'].map((id) => {
      const principal = identities.principal(id);
      return principal === null ? 'gone' : identities.permission(principal, 'e');
    });
  t.strictSame(levels(), [null, null, null, null], 'an endpoint that is not there');
  grants([]);
  t.strictSame(levels(), [null, null, 'CAN_MANAGE', 'CAN_QUERY']);
  grants([[mia, 'CAN_VIEW']]);
  t.strictSame(levels(), ['CAN_VIEW', null, 'CAN_MANAGE', 'CAN_QUERY']);
  grants([
    [mia, 'CAN_VIEW'],
    [all, 'CAN_MANAGE'],
    [team, 'CAN_QUERY'],
  ]);
  t.strictSame(levels(), ['CAN_MANAGE', null, 'CAN_MANAGE', 'CAN_QUERY'], 'the strongest counts');
  grants([['4', 'CAN_QUERY']]);
  t.strictSame(
    levels(),
    ['CAN_QUERY', 'CAN_QUERY', 'CAN_MANAGE', 'CAN_QUERY'],
    'users is everybody',
  );
  grants([
    ['2', 'CAN_MANAGE'],
    ['4', 'CAN_MANAGE'],
  ]);
  t.equal(levels()[3], 'CAN_QUERY', 'the query token never gets more');
  kit.book.update(other, { name: 'other', profile: { ...EMPTY_PROFILE, active: false } });
  t.equal(levels()[1], null, 'inactive');
  kit.book.update('3', { name: 'admins', profile: EMPTY_PROFILE, members: ['1', all] });
  grants([]);
  t.equal(levels()[0], 'CAN_MANAGE', 'an admin through groups');
  t.end();
});

t.test('groups that a token claims count on the admin port as on the data port', (t) => {
  const kit = createKit(t);
  const { book, identities } = kit;
  const mia = kit.user('mia');
  const ops = kit.group('ops', [], { entitlements: ['create-endpoints'] });
  book.update('3', { name: 'admins', profile: EMPTY_PROFILE, members: ['1', ops] });
  const id = '0'.repeat(32);
  kit.endpoints.set('e', { id, name: 'e', grants: [{ principal: ops, level: 'CAN_VIEW' }] });
  const known = identities.principal(mia);
  if (known === null) throw new Error('mia is not known');
  const claims = (groups: string[], isAdmin = false) =>
    book.withClaimed(known, { groups, isAdmin });
  t.equal(claims([]), known);
  t.strictSame(claims(['OPS', 'admins', 'nobody']).groups, ['users'], 'letter by letter');
  const member = claims(['ops', 'admins']);
  t.strictSame(member.groups, ['ops', 'users']);
  t.ok(mayCreateEndpoints(member));
  t.notOk(isAdmin(member), 'not through a group either');
  t.equal(identities.permission(member, 'e'), 'CAN_VIEW');
  t.equal(identities.permission(known, 'e'), null);
  t.ok(isAdmin(claims(['staff'], true)));
  t.equal(identities.permission(claims([], true), 'e'), 'CAN_MANAGE');
  book.update(ops, { name: 'ops', profile: EMPTY_PROFILE, members: [mia] });
  const own = identities.principal(mia);
  t.ok(own !== null && isAdmin(own), 'its own membership counts');
  t.end();
});
