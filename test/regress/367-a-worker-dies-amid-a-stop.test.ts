/**
 * A worker that died while a daemon was about to end had no successor, but its listening socket stayed: who connected to it
 * hung for the rest of `drain_delay_ms` and was reset then. Now the socket goes with it, and the others get the connections.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startDaemon, type TestDaemon } from '../daemon/harness.js';
import { configure, isAlive, PATH, until, workersOf } from '../daemon/live.js';
import { SLOWNESS } from '../daemon/slowness.js';
import { post, WireClient } from '../daemon/wire.js';

const CLIENTS = 24;
const DELAY_MS = 4_000 * SLOWNESS;
const ANSWER_MS_MAX = 2_000 * SLOWNESS;

async function start(t: Test): Promise<TestDaemon> {
  const daemon = await startDaemon(t, {
    flags: { 'data-plane-workers': '3', 'data-plane-drain-delay-ms': String(DELAY_MS) },
  });
  await configure(t, daemon, { a: 100 });
  return daemon;
}

async function kill(daemon: TestDaemon): Promise<void> {
  const pid = (await workersOf(daemon))[1]?.pid ?? 0;
  process.kill(pid, 'SIGKILL');
  await until(() => !isAlive(pid));
}

async function checkClients(t: Test, daemon: TestDaemon): Promise<void> {
  const since = performance.now();
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const clients = Array.from({ length: CLIENTS }, () =>
    new WireClient(t, daemon.dataPort).send(bytes),
  );
  const statuses = await Promise.all(clients.map(async (one) => (await one.answer()).status));
  t.same(new Set(statuses), new Set([200]));
  const tookMs = performance.now() - since;
  t.ok(tookMs < ANSWER_MS_MAX, `answered within ${tookMs.toFixed(0)} ms`);
}

t.test('behind the signal', async (t) => {
  const daemon = await start(t);
  const ended = daemon.stop('SIGTERM');
  await pause(200);
  await kill(daemon);
  await pause(100);
  await checkClients(t, daemon);
  t.equal(await ended, 0);
});

t.test('before it', async (t) => {
  const daemon = await start(t);
  await kill(daemon);
  const ended = daemon.stop('SIGTERM');
  await pause(300);
  await checkClients(t, daemon);
  t.equal(await ended, 0);
});
