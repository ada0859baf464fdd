/** The supervisor dies under load, ends in order under load, or is started twice. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  runCommand,
  startDaemon,
  startReplica,
  startStreamReplica,
  temporaryDirectory,
  type TestDaemon,
} from './harness.js';
import {
  changeSplit,
  configure,
  ENDPOINT,
  FOUR_WORKERS,
  isAlive,
  Load,
  PATH,
  until,
  workersOf,
} from './live.js';
import { post, WireClient, type WireAnswer } from './wire.js';

const SLOW_PATH = '/serving-endpoints/slow/invocations';
const STREAM_PATH = '/serving-endpoints/stream/invocations';
const CHUNKS = 30;

/** Endpoints `slow`, which answers after 2 s, and `stream`, which sends 30 events in 3 s. */
async function configureLong(t: Test, daemon: TestDaemon): Promise<void> {
  const slow = await startReplica(t, (request, response) => {
    request.resume();
    setTimeout(() => response.end('{"served":"slow"}'), 2_000);
  });
  const stream = await startStreamReplica(t, CHUNKS);
  const answer = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ slow: slow.url, stream: stream.url }),
    endpoints: [endpointOf('slow', { slow: 100 }), endpointOf('stream', { stream: 100 })],
  });
  t.equal(answer.status, 200, answer.text);
  await daemon.settled('slow');
  await daemon.settled('stream');
}

/** Requests that take seconds, all of them under way when it resolves. */
async function startLong(
  t: Test,
  daemon: TestDaemon,
  each: number,
): Promise<Promise<WireAnswer>[]> {
  const inFlight = async (): Promise<number> =>
    (await workersOf(daemon)).reduce((sum, worker) => sum + worker.in_flight, 0);
  const before = await inFlight();
  const answers = [SLOW_PATH, STREAM_PATH].flatMap((path) =>
    Array.from({ length: each }, () =>
      new WireClient(t, daemon.dataPort).send(post(daemon, path, '{"inputs":[1]}')).answer(),
    ),
  );
  // Handled at once, so that a failure before anybody waits is no unhandled rejection.
  for (const answer of answers) answer.catch(() => undefined);
  await until(async () => (await inFlight()) >= before + answers.length);
  return answers;
}

async function areWhole(t: Test, answers: readonly Promise<WireAnswer>[]): Promise<void> {
  for (const answer of await Promise.all(answers)) {
    t.equal(answer.status, 200);
    const body = answer.body.toString();
    if (body.startsWith('data:')) t.equal(body.split('\n').filter(Boolean).length, CHUNKS);
    else t.equal(body, '{"served":"slow"}');
  }
}

async function workerPids(daemon: TestDaemon): Promise<number[]> {
  return (await workersOf(daemon)).map(({ pid }) => pid);
}

/** Kills the supervisor alone. */
async function killSupervisor(daemon: TestDaemon): Promise<void> {
  await daemon.stop('SIGKILL');
}

/** A daemon on the same directory and port. */
function restart(
  t: Test,
  daemon: TestDaemon,
  flags: Record<string, string> = {},
): Promise<TestDaemon> {
  return startDaemon(t, {
    stateDir: daemon.stateDir,
    flags: {
      ...FOUR_WORKERS,
      'data-plane-listen': `127.0.0.1:${String(daemon.dataPort)}`,
      ...flags,
    },
  });
}

t.test('SIGKILL of the supervisor and a restart under load', { timeout: 60_000 }, async (t) => {
  const first = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, first, { a: 100, b: 0 });
  await configureLong(t, first);
  const config = await first.admin('GET', `/api/2.0/serving-endpoints/${ENDPOINT}`);
  const orphans = await workerPids(first);
  let newest = 0;
  const backward: string[] = [];
  const load = new Load(t, first, 8, ({ revision, sentAt }) => {
    if (revision < newest && sentAt > changedAt)
      backward.push(`${String(revision)} < ${String(newest)}`);
    newest = Math.max(newest, revision);
  });
  let changedAt = Number.POSITIVE_INFINITY;
  await load.more(1_000);
  await killSupervisor(first);
  const seenAlone = load.answers;
  await load.more(2_000);
  t.same(
    load.failures,
    [],
    `${String(load.answers - seenAlone)} requests were served without supervisor`,
  );
  t.ok(orphans.every(isAlive), 'the workers outlive it');

  const long = Promise.all([SLOW_PATH, STREAM_PATH].map((path) => longAnswer(t, first, path)));
  const second = await restart(t, first);
  t.equal(second.dataPort, first.dataPort);
  t.same((await second.admin('GET', `/api/2.0/serving-endpoints/${ENDPOINT}`)).body, config.body);
  t.equal(await changeSplit(second, { a: 0, b: 100 }), 200);
  changedAt = performance.now();
  for (let count = 0; count < 200; count += 1) {
    const answer = await second.invoke(PATH, { inputs: [1] });
    t.equal(answer.headers.get('served-model-name'), 'b');
  }
  await load.more(1_000);
  await areWhole(
    t,
    (await long).map((answer) => Promise.resolve(answer)),
  );
  await until(() => !orphans.some(isAlive));
  t.pass('the workers of the dead supervisor end when they have nothing in flight');
  await load.stop();
  t.same(
    load.failures,
    [],
    `0 of ${String(load.answers)} requests failed, no connection was refused`,
  );
  t.same(backward, [], 'nothing of the past after the change');
  const workers = await workersOf(second);
  t.equal(workers.length, 4);
  t.ok(workers.every(({ pid, state }) => state === 'SERVING' && !orphans.includes(pid)));
  t.equal(await second.stop(), 0);
});

async function longAnswer(t: Test, daemon: TestDaemon, path: string): Promise<WireAnswer> {
  return new WireClient(t, daemon.dataPort).send(post(daemon, path, '{"inputs":[1]}')).answer();
}

t.test(
  'an idle connection over the restart is closed, not left with the old revision',
  async (t) => {
    const first = await startDaemon(t, { flags: FOUR_WORKERS });
    await configure(t, first, { a: 100, b: 0 });
    const idle = Array.from({ length: 8 }, () => new WireClient(t, first.dataPort));
    const bytes = post(first, PATH, '{"inputs":[1]}');
    for (const client of idle) t.equal((await client.send(bytes).answer()).status, 200);
    await killSupervisor(first);
    await restart(t, first);
    await Promise.all(idle.map((client) => client.closed));
    t.pass('all are closed');
  },
);

t.test('another number of workers after the restart', async (t) => {
  const first = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, first, { a: 100 });
  const load = new Load(t, first, 4);
  await load.more(200);
  await killSupervisor(first);
  const second = await restart(t, first, { 'data-plane-workers': '2' });
  await load.more(500);
  t.equal((await workersOf(second)).length, 2);
  await killSupervisor(second);
  const third = await restart(t, first, { 'data-plane-workers': '6' });
  await load.more(500);
  t.equal((await workersOf(third)).length, 6);
  await load.stop();
  t.same(load.failures, []);
});

t.test('workers that do not answer the new supervisor are replaced', async (t) => {
  const first = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, first, { a: 100 });
  const pids = await workerPids(first);
  await killSupervisor(first);
  process.kill(pids[0] ?? 0, 'SIGSTOP');
  process.kill(pids[1] ?? 0, 'SIGKILL');
  const second = await restart(t, first);
  t.notOk(isAlive(pids[0] ?? 0), 'the stopped one is killed');
  t.equal((await workersOf(second)).length, 4);
  t.equal((await second.invoke(PATH, { inputs: [1] })).status, 200);
});

t.test('orphans end when their state directory is removed', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const pids = await workerPids(daemon);
  await killSupervisor(daemon);
  rmSync(daemon.stateDir, { recursive: true, force: true });
  await until(() => !pids.some(isAlive));
  t.pass('nobody could ever reach them');
});

t.test('SIGTERM under load', { timeout: 60_000 }, async (t) => {
  const delayMs = 1_000;
  const flags = { ...FOUR_WORKERS, 'data-plane-drain-delay-ms': String(delayMs) };
  const daemon = await startDaemon(t, { flags });
  await configure(t, daemon, { a: 100 });
  await configureLong(t, daemon);
  const pids = await workerPids(daemon);
  const load = new Load(t, daemon, 8);
  await load.more(500);
  const long = await startLong(t, daemon, 8);
  const ended = daemon.stop('SIGTERM');
  const toldAt = performance.now();
  const ready = async (url: string): Promise<number> => (await fetch(`${url}/readyz`)).status;
  await until(async () => (await ready(daemon.dataUrl)) === 503);
  await until(async () => (await ready(daemon.adminUrl)) === 503);
  const readyAfterMs = performance.now() - toldAt;
  t.ok(readyAfterMs < delayMs / 2, `both ports say 503 after ${readyAfterMs.toFixed(0)} ms`);
  while (performance.now() - toldAt < delayMs * 0.8) {
    t.equal((await daemon.invoke(PATH, { inputs: [1] })).status, 200, 'new connections are served');
  }
  t.same(load.failures, [], 'nothing fails while it accepts');
  await load.stop();
  await areWhole(t, long);
  t.equal(await ended, 0, 'exit code');
  const tookMs = performance.now() - toldAt;
  t.ok(tookMs < 10_000, `ended ${tookMs.toFixed(0)} ms after the signal`);
  t.notOk(pids.some(isAlive), 'no worker is left');
  t.notOk(existsSync(`${daemon.stateDir}/control.sock`));
  t.notOk(readdirSync(daemon.stateDir).includes('workers.json'));
});

t.test(
  'what is in flight beyond the drain time is cut, and the exit code is still 0',
  async (t) => {
    const flags = { ...FOUR_WORKERS, 'data-plane-drain-timeout-ms': '1000' };
    const daemon = await startDaemon(t, { flags });
    await configureLong(t, daemon);
    const long = await startLong(t, daemon, 2);
    const toldAt = performance.now();
    t.equal(await daemon.stop('SIGTERM'), 0);
    const tookMs = performance.now() - toldAt;
    t.ok(tookMs >= 1_000 && tookMs < 3_500, `ended after ${tookMs.toFixed(0)} ms`);
    await Promise.allSettled(long);
  },
);

t.test('a second SIGTERM ends daemon and workers at once', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configureLong(t, daemon);
  const pids = await workerPids(daemon);
  const long = await startLong(t, daemon, 2);
  const toldAt = performance.now();
  const ended = daemon.stop('SIGTERM');
  await until(() => daemon.output.some((line) => line.includes('draining')));
  daemon.process.kill('SIGTERM');
  t.not(await ended, 0);
  await until(() => !pids.some(isAlive));
  const tookMs = performance.now() - toldAt;
  t.ok(tookMs < 1_500, `${tookMs.toFixed(0)} ms after the first signal`);
  await Promise.allSettled(long);
});

t.test('SIGINT to the workers too, as from a terminal, drains like SIGTERM', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configureLong(t, daemon);
  const pids = await workerPids(daemon);
  const long = await startLong(t, daemon, 2);
  for (const pid of pids) process.kill(pid, 'SIGINT');
  t.equal(await daemon.stop('SIGINT'), 0);
  await areWhole(t, long);
});

t.test('a second daemon is refused and disturbs nothing', async (t) => {
  const first = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, first, { a: 100 });
  const pids = await workerPids(first);
  const load = new Load(t, first, 4);
  await load.more(100);
  const serve = (stateDir: string, listen: string, admin: string): ReturnType<typeof runCommand> =>
    runCommand([
      ...['serve', '--state-dir', stateDir, '--data-plane-listen', listen],
      ...['--admin-listen', admin, '--data-plane-workers', '2'],
    ]);
  const own = `127.0.0.1:${String(first.dataPort)}`;
  const any = '127.0.0.1:0';
  const adminOwn = new URL(first.adminUrl).host;
  const cases = [
    { name: 'state_dir', run: serve(first.stateDir, any, any) },
    { name: 'data_plane.listen', run: serve(temporaryDirectory(t), own, any) },
    { name: 'admin.listen', run: serve(temporaryDirectory(t), any, adminOwn) },
  ];
  for (const { name, run } of cases) {
    const { code, stdout, stderr } = await run;
    t.equal(code, 1, name);
    t.match(stdout + stderr, name);
    t.notMatch(stdout + stderr, / at .*\.js:/, 'a message, not a stack');
  }
  await load.more(500);
  await load.stop();
  t.same(load.failures, []);
  t.same(await workerPids(first), pids);
});

t.test('nobody reads the log any more: orphans serve on', async (t) => {
  const first = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, first, { a: 100 });
  await killSupervisor(first);
  first.process.stdout?.destroy();
  first.process.stderr?.destroy();
  const second = await restart(t, first);
  t.equal((await second.invoke(PATH, { inputs: [1] })).status, 200);
});
