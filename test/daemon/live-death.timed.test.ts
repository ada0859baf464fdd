/** Workers that are killed, stopped, or crash under load. */
import { connect } from 'node:net';
import t from 'tap';
import {
  startDaemon,
  startStreamReplica,
  deploymentsOf,
  endpointOf,
  type TestDaemon,
} from './harness.js';
import {
  changeSplit,
  configure,
  FOUR_WORKERS,
  isAlive,
  Load,
  PATH,
  until,
  workersOf,
  type WorkerView,
} from './live.js';
import { SLOWNESS } from './slowness.js';
import { post, WireClient } from './wire.js';

const RESPAWN_MS = 1_000 * SLOWNESS;

async function requestsTotal(daemon: TestDaemon): Promise<number> {
  const { text } = await daemon.admin('GET', '/metrics');
  const lines = text.split('\n').filter((line) => line.startsWith('pointsman_requests_total{'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Milliseconds from the kill until the slot serves again. */
async function killAndAwait(
  daemon: TestDaemon,
  worker: WorkerView,
  signal: string,
): Promise<number> {
  const killedAt = performance.now();
  process.kill(worker.pid, signal);
  await until(async () => {
    const now = (await workersOf(daemon))[worker.slot];
    return now !== undefined && now.pid !== worker.pid && now.state === 'SERVING';
  });
  return performance.now() - killedAt;
}

t.test('a killed worker costs its requests in flight and nothing else', async (t) => {
  const connections = 16;
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, daemon, { a: 50, b: 50 });
  const load = new Load(t, daemon, connections);
  await load.more(2_000);
  const workers = await workersOf(daemon);
  const victim = workers.reduce((most, one) => (one.connections > most.connections ? one : most));
  const before = await requestsTotal(daemon);
  const backAfterMs = await killAndAwait(daemon, victim, 'SIGKILL');
  const failed = load.failures.length;
  t.ok(backAfterMs < RESPAWN_MS, `the slot serves again after ${backAfterMs.toFixed(0)} ms`);
  t.ok(failed <= victim.connections, `${String(failed)} of ${String(victim.connections)} failed`);
  t.ok((await requestsTotal(daemon)) >= before, 'no counter fell');
  await load.more(2_000);
  await load.stop();
  t.equal(load.failures.length, failed, 'nothing failed after it was back');
  const answered = load.answers;
  await until(async () => (await requestsTotal(daemon)) >= answered);
  t.pass('what the dead worker had counted is still counted');
  t.equal((await workersOf(daemon))[victim.slot]?.restarts, 1);
});

t.test('connections that wait in the slot’s socket survive its worker', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, daemon, { a: 100 });
  const [victim] = await workersOf(daemon);
  if (victim === undefined) throw new Error('no worker');
  process.kill(victim.pid, 'SIGSTOP');
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const clients = Array.from({ length: 40 }, () => new WireClient(t, daemon.dataPort).send(bytes));
  const answers = clients.map((client) => client.answer());
  let answered = 0;
  for (const answer of answers)
    void answer.then(
      () => (answered += 1),
      () => undefined,
    );
  // About a quarter waits; those of the other slots are answered.
  await until(async () => {
    const others = (await workersOf(daemon)).filter(({ slot }) => slot !== victim.slot);
    return (
      others.reduce((sum, { connections }) => sum + connections, 0) === answered && answered > 15
    );
  });
  t.ok(answered < 40, `${String(40 - answered)} connections wait`);
  await killAndAwait(daemon, victim, 'SIGKILL');
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  t.same(new Set(statuses), new Set([200]), 'all are answered');
});

t.test('two native crashes degrade the slot, and only it', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  for (let crash = 0; crash < 2; crash += 1) {
    const victim = (await workersOf(daemon))[2];
    if (victim === undefined) throw new Error('no worker');
    await killAndAwait(daemon, victim, 'SIGSEGV');
  }
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  const { workers } = body as { workers: { slot: number; degraded: boolean }[] };
  t.same(
    workers.map(({ degraded }) => degraded),
    [false, false, true, false],
  );
});

t.test('a worker that is stopped for 5 s during a change', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const chunks = 70;
  const replica = await startStreamReplica(t, chunks);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ stream: replica.url }),
    endpoints: [endpointOf('stream', { stream: 100 })],
  });
  await configure(t, daemon, { a: 100, b: 0 });
  await daemon.settled('stream');
  const victim = (await workersOf(daemon))[1];
  if (victim === undefined) throw new Error('no worker');
  const bytes = post(daemon, '/serving-endpoints/stream/invocations', '{"inputs":[1]}');
  const streams = Array.from({ length: 8 }, () => new WireClient(t, daemon.dataPort).send(bytes));
  const wholes = streams.map((stream) => stream.answer());
  await until(async () => {
    const all = await workersOf(daemon);
    return all.reduce((sum, one) => sum + one.in_flight, 0) === streams.length;
  });
  const before = await revisionOf(daemon);
  process.kill(victim.pid, 'SIGSTOP');
  const stopped = new Promise((resolve) => setTimeout(resolve, 5_000)).then(() => {
    process.kill(victim.pid, 'SIGCONT');
  });
  const status = await changeSplit(daemon, { a: 0, b: 100 });
  t.ok(status === 200 || status === 503, `the change answers ${String(status)}`);
  const revision = await revisionOf(daemon);
  if (status === 200) t.equal(revision, before + 1);
  await stopped;
  const expected = status === 200 ? 'b' : 'a';
  for (let count = 0; count < 100; count += 1) {
    const answer = await daemon.invoke(PATH, { inputs: [1] });
    t.equal(answer.headers.get('served-model-name'), expected);
  }
  for (const whole of await Promise.all(wholes)) {
    const lines = whole.body.toString().split('\n').filter(Boolean);
    t.equal(lines.length, chunks, 'no stream is cut');
  }
  t.equal((await workersOf(daemon))[1]?.pid, victim.pid, 'the stopped worker was not killed');
});

t.test(
  'a worker whose loop stands still is killed after 10 s, and the change goes through',
  async (t) => {
    const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
    await configure(t, daemon, { a: 100, b: 0 });
    const victim = (await workersOf(daemon))[3];
    if (victim === undefined) throw new Error('no worker');
    process.kill(victim.pid, 'SIGSTOP');
    const stoppedAt = performance.now();
    await until(() => !isAlive(victim.pid));
    const afterMs = performance.now() - stoppedAt;
    t.ok(afterMs > 9_000 && afterMs < 13_000, `killed after ${afterMs.toFixed(0)} ms`);
    t.equal(await changeSplit(daemon, { a: 0, b: 100 }), 200);
    await until(async () => (await workersOf(daemon))[3]?.state === 'SERVING');
    for (let count = 0; count < 100; count += 1) {
      const answer = await daemon.invoke(PATH, { inputs: [1] });
      t.equal(answer.headers.get('served-model-name'), 'b', 'the new worker too has the new split');
    }
  },
);

t.test('clients that only connect do not stop a respawn', async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const idle = Array.from({ length: 20 }, () => connect(daemon.dataPort, '127.0.0.1'));
  t.teardown(() => {
    for (const socket of idle) socket.destroy();
  });
  for (const socket of idle) socket.on('error', () => undefined);
  const [victim] = await workersOf(daemon);
  if (victim === undefined) throw new Error('no worker');
  t.ok((await killAndAwait(daemon, victim, 'SIGKILL')) < RESPAWN_MS);
});

async function revisionOf(daemon: TestDaemon): Promise<number> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  return (body as { revision: number }).revision;
}
