/** Principals, permissions and tokens from the command line. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { irisManifest, run, startDaemon } from './harness.js';

t.test('permissions are shown, set and taken away', async (t) => {
  const daemon = await startDaemon(t);
  const local = (...argv: string[]) => run([...argv, '--state-dir', daemon.dir]);
  const made = await run(['apply', '-f', '-', '--state-dir', daemon.dir], {
    input: JSON.stringify(irisManifest(daemon.replica.url)),
  });
  t.equal(made.code, 0, made.err);
  const first = await local('permissions', 'iris');
  t.match(first.out, /^user:admin +CAN_MANAGE +direct$/m);
  t.match(first.out, /^group:admins +CAN_MANAGE +inherited$/m);
  const set = await local('permissions', 'iris', 'group:users=CAN_QUERY');
  t.match(set.out, /^group:users +CAN_QUERY +direct$/m);
  t.match(set.out, /^user:admin/m, 'the others stay');
  const taken = await local('permissions', 'iris', 'user:admin=none', 'group:users=CAN_VIEW');
  t.match(taken.out, /^group:users +CAN_VIEW +direct$/m);
  t.notMatch(taken.out, /user:admin/);
  const json = await local('permissions', 'iris', '--json');
  t.match(JSON.parse(json.out), { object_type: 'serving-endpoint' });
  t.equal((await local('permissions', 'iris', 'mia=CAN_VIEW')).code, 2);
  const unknown = await local('permissions', 'iris', 'user:mia=CAN_VIEW');
  t.equal(unknown.code, 1);
  t.match(
    unknown.err,
    /there is no user "mia".*\nMake it with POST .*scim\/v2\/Users .*application id/,
  );
});

t.test('principals and tokens', async (t) => {
  const daemon = await startDaemon(t);
  const local = (...argv: string[]) => run([...argv, '--state-dir', daemon.dir]);
  const principals = await local('principals');
  t.match(principals.out, /^ +1 +user:admin +admin +active +admins/m);
  t.match(principals.out, /^ +3 +group:admins/m);
  t.match(JSON.parse((await local('principals', '--json')).out), { user: [{ id: '1' }, {}] });

  const own = await local('token', 'create', '--comment', 'ci', '--lifetime-s', '3600');
  t.match(own.out, /^dapi[0-9a-f]{64}$/, own.err);
  t.match(own.err, /^Token [0-9a-f]{64}; it is shown this once\.$/);
  const me = await run(['token', 'list', '--host', daemon.url, '--token', own.out]);
  t.match(me.out, /^[0-9a-f]{64} +admin +\S+ +\S+ +ci$/m, 'the token is good');
  const forQuery = await local('token', 'create', '--user', 'query');
  t.match(forQuery.err, /no such principal/);
  const forNobody = await local('token', 'create', '--user', 'nobody');
  t.match(forNobody.err, /\nMake it with POST .*pointsman principals --state-dir /);
  t.equal((await local('token', 'create', '--user', 'a', '--application', 'b')).code, 2);
  t.equal((await local('token', 'delete')).code, 2);
  const id = /^[0-9a-f]{64}/m.exec((await local('token', 'list')).out)?.[0] ?? '';
  t.equal((await local('token', 'delete', id)).code, 0);
  t.equal((await run(['token', 'list', '--host', daemon.url, '--token', own.out])).code, 1);
  t.equal((await local('token', 'steal')).code, 2);

  const file = join(daemon.dir, 'admin-token');
  t.ok(existsSync(file));
  t.match((await local('token', 'reset')).out, /next start makes new tokens/);
  t.notOk(existsSync(file));
  const again = await local('token', 'reset');
  t.equal(again.code, 1, 'nothing was there');
  t.match(again.err, /There are no tokens in .*\.\nName the state directory with --state-dir\./);
});

t.test('token reset finds the demo, and takes no guess between two directories', async (t) => {
  const cwd = process.cwd();
  process.chdir(t.testdir({ 'pointsman-state': { demo: { 'admin-token': 'a' } } }));
  t.teardown(() => {
    process.chdir(cwd);
  });
  writeFileSync(join('pointsman-state', 'query-token'), 'b');
  const two = await run(['token', 'reset']);
  t.equal(two.code, 2);
  t.match(two.err, /There are tokens in .*pointsman-state and .*demo\./);
  rmSync(join('pointsman-state', 'query-token'));
  const demo = await run(['token', 'reset', '--json']);
  t.equal(demo.code, 0, demo.err);
  t.match(JSON.parse(demo.out), { removed: [/demo\/admin-token$/] });
  t.notOk(existsSync(join('pointsman-state', 'demo', 'admin-token')));
});
