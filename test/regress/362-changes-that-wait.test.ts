/**
 * A change that was accepted and waits ended in 1 as a refused one does, printed nothing with
 * `--json`, and said "Undo" with a command that would have been refused. The lines to copy did not
 * name the daemon that the command had been given.
 */
import t, { type Test } from 'tap';
import { MIA, reservePort } from '../unit/control/harness.js';
import { irisManifest, run, startDaemon, TOKEN, type Daemon } from '../unit/cli/harness.js';

const SPLIT = ['split', 'iris', 'current=50', 'challenger=50', '--timeout', '1'];

const NEVER_READY = {
  served_entities: [{ name: 'next', entity_name: 'demo.models.iris', entity_version: '9' }],
};

interface Waiting {
  readonly daemon: Daemon;
  readonly local: (...argv: string[]) => ReturnType<typeof run>;
}

/** An endpoint that never served, so that every change of it waits. */
async function startWaiting(t: Test): Promise<Waiting> {
  const daemon = await startDaemon(t);
  const port = await reservePort(t);
  const input = JSON.stringify(irisManifest(`http://127.0.0.1:${String(port)}`));
  const local: Waiting['local'] = (...argv) => run([...argv, '--state-dir', daemon.dir], { input });
  const applied = await local('apply', '-f', '-', '--timeout', '1', '--json');
  t.equal(applied.code, 3);
  t.match(JSON.parse(applied.out), {
    settled: false,
    waiting: [{ name: 'iris', message: /127\.0\.0\.1/ }],
    failed: [],
  });
  t.match(applied.err, `look with "pointsman status --state-dir ${daemon.dir}"`);
  return { daemon, local };
}

t.test('a split that waits', async (t) => {
  const { daemon, local } = await startWaiting(t);
  const result = await local(...SPLIT, '--preempt');
  t.equal(result.code, 3, result.err);
  const undo = `pointsman cancel-update iris --state-dir ${daemon.dir}`;
  t.equal(result.out.split('\n').at(-1), `Undo: ${undo}`);
  t.match(
    result.err,
    /accepted but is not live yet: .*127\.0\.0\.1.*\n.*endpoints iris --state-dir/,
  );
  const json = await local(...SPLIT, '--preempt', '--json');
  t.equal(json.code, 3);
  t.match(JSON.parse(json.out), {
    endpoint: 'iris',
    config_version: 3,
    live: false,
    goes_on: true,
    message: /127\.0\.0\.1/,
    undo,
  });
});

t.test('Ctrl-C while it waits leaves it as a timeout does', async (t) => {
  const { local, daemon } = await startWaiting(t);
  const argv = [...SPLIT, '--preempt', '--json', '--state-dir', daemon.dir];
  const result = await run(argv, {
    onSleep: (_elapsedMs, interrupt) => {
      interrupt();
    },
  });
  t.equal(result.code, 3);
  t.match(JSON.parse(result.out), { live: false, goes_on: true });
  t.equal((await local('cancel-update', 'iris')).code, 0);
});

t.test('a rollback that waits, and one that is canceled meanwhile', async (t) => {
  const { local, daemon } = await startWaiting(t);
  const argv = ['rollback', 'iris', '1', '--timeout', '1', '--preempt', '--json'];
  const result = await local(...argv);
  t.equal(result.code, 3, result.err);
  const undo = `pointsman cancel-update iris --state-dir ${daemon.dir}`;
  t.match(JSON.parse(result.out), { rolled_back_to: 1, config_version: 2, live: false, undo });
  const canceled: Promise<unknown>[] = [];
  const ended = await run([...argv, '--host', daemon.url, '--token', TOKEN], {
    onSleep: () => {
      if (canceled.length === 0) canceled.push(daemon.control.cancelUpdate('iris', MIA));
    },
  });
  await Promise.all(canceled);
  t.equal(ended.code, 1);
  t.match(ended.err, /The change failed \(UPDATE_CANCELED\): .*127\.0\.0\.1/);
  t.match(JSON.parse(ended.out), { live: false, goes_on: false, undo: null });
});

t.test('what is in the way, and the lines to copy name the daemon without its token', async (t) => {
  const daemon = await startDaemon(t);
  const host = ['--host', daemon.url, '--token', TOKEN];
  const input = JSON.stringify(irisManifest(daemon.replica.url));
  t.equal((await run(['apply', '-f', '-', ...host], { input })).code, 0);
  const live = await run([...SPLIT, '--watch', '0', ...host]);
  const undo = `Undo: pointsman split iris current=90 challenger=10 --host ${daemon.url}`;
  t.equal(live.out.split('\n').at(-1), undo);
  await daemon.control.updateConfig('iris', NEVER_READY, MIA);
  const busy = await run([...SPLIT, ...host]);
  t.equal(busy.code, 1);
  t.match(busy.err, `"pointsman cancel-update iris --host ${daemon.url}"`);
  t.match(busy.err, /or replace it with --preempt .*X-Pointsman-Preempt: true/);
});
