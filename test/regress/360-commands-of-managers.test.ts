/**
 * `pointsman split` and `rollback` of somebody with CAN_MANAGE changed live traffic and then failed
 * with PERMISSION_DENIED, because they waited on the status, which is for admins. `endpoints` and
 * `token list` showed such callers nothing, although the API shows them their own.
 */
import t, { type Test } from 'tap';
import { irisManifest, run, startDaemon, TOKEN, type RunResult } from '../unit/cli/harness.js';

interface Manager {
  /** Runs a command as a user with CAN_MANAGE on `iris`. */
  readonly mia: (...argv: string[]) => Promise<RunResult>;
  readonly admin: (...argv: string[]) => Promise<RunResult>;
}

async function startManager(t: Test): Promise<Manager> {
  const daemon = await startDaemon(t);
  const admin: Manager['admin'] = (...argv) => run([...argv, '--state-dir', daemon.dir]);
  const input = JSON.stringify(irisManifest(daemon.replica.url));
  await run(['apply', '-f', '-', '--state-dir', daemon.dir], { input });
  const response = await fetch(`${daemon.url}/api/2.0/preview/scim/v2/Users`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ userName: 'mia@x' }),
  });
  t.equal(response.status, 200);
  t.equal((await admin('permissions', 'iris', 'user:mia@x=CAN_MANAGE')).code, 0);
  const token = (await admin('token', 'create', '--user', 'mia@x')).out;
  return { admin, mia: (...argv) => run([...argv, '--host', daemon.url, '--token', token]) };
}

t.test('split and rollback wait without the status', async (t) => {
  const { mia } = await startManager(t);
  const split = await mia('split', 'iris', 'current=50', 'challenger=50');
  t.equal(split.code, 0, split.err);
  t.match(split.out, /Live after \d+ ms: config version 2, revision \d+\.\nNot watched: .*admins/);
  t.match(split.out, /\nUndo: pointsman split iris current=90 challenger=10/);
  const json = await mia('split', 'iris', 'current=60', 'challenger=40', '--json');
  t.match(JSON.parse(json.out), { config_version: 3, watched_s: 0, observed: [] });
  const back = await mia('rollback', 'iris', '1');
  t.equal(back.code, 0, back.err);
  t.match(back.out, /Live after \d+ ms: config version 4/);
});

t.test('endpoints shows what the caller may view', async (t) => {
  const { mia } = await startManager(t);
  const list = await mia('endpoints');
  t.equal(list.code, 0, list.err);
  t.match(list.out, /\niris +READY +NOT_UPDATING +current, challenger$/);
  t.match(list.err, /shown to admins alone/);
  const one = await mia('endpoints', 'iris');
  t.match(one.out, /^iris: READY, NOT_UPDATING\n\nConfig version 1 serves:\n/);
  t.match(one.out, /\ncurrent +90 % +demo\.models\.iris v1$/m);
  t.match(JSON.parse((await mia('endpoints', '--json')).out), { endpoints: [{ name: 'iris' }] });
  t.equal((await mia('endpoints', 'nope')).code, 1);
  t.match((await mia('status')).err, /PERMISSION_DENIED/);
});

t.test('token list and delete are about the own tokens', async (t) => {
  const { admin, mia } = await startManager(t);
  await admin('token', 'create', '--comment', 'of-the-admin');
  await mia('token', 'create', '--comment', 'spare');
  const list = await mia('token', 'list');
  t.equal(list.code, 0, list.err);
  t.notMatch(list.out, /of-the-admin/);
  const [, spare = ''] = /^([0-9a-f]{64}) +yourself .* spare$/m.exec(list.out) ?? [];
  t.equal((await mia('token', 'delete', spare)).code, 0);
  t.notMatch((await mia('token', 'list')).out, /spare/);
});
