/**
 * Clients that hold on to connections and send next to nothing: 500 that send their heads by one byte a second, 2,000 that
 * send nothing at all. Others are served as if they were not there.
 */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Crowd, serve } from './crowd.js';
import { residentMiB, type TestDaemon } from './harness.js';
import { until } from './live.js';
import { descriptorsOf, quantile } from './process-stats.js';
import { startReplicaProcess } from './replica-process.js';

const SLOW_HEADS = 500;
const IDLE = 2_000;
/** From the first byte of a head to its last, as documented, and what tests allow on top of it. */
const HEAD_MS = 10_000;
const TOLERANCE = 1.2;
const CALLERS = 4;
/** Callers pause, so that latencies are those of a daemon that is not saturated. */
const CALL_GAP_MS = 2;
/** Per connection that has sent less than a head: the head's buffer, and what allocators keep. */
const KIB_PER_CONNECTION_MAX = 32;
const DESCRIPTORS_SLACK = 3;

async function start(t: Test): Promise<TestDaemon> {
  const replica = await startReplicaProcess(t, 'a');
  return serve(t, { urls: [replica.url] });
}

async function openMany(t: Test, daemon: TestDaemon, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  while (sockets.length < count) {
    const socket = connect({ port: daemon.dataPort, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => undefined);
    socket.resume();
    sockets.push(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
  }
  return sockets;
}

interface Figures {
  readonly p50: number;
  readonly p99: number;
}

/** Latencies of plain requests while `during` runs, all of which must be answered right. */
async function measure(
  t: Test,
  daemon: TestDaemon,
  during: (crowd: Crowd) => Promise<unknown>,
): Promise<Figures> {
  const crowd = new Crowd(t, daemon, CALLERS, CALL_GAP_MS);
  await during(crowd);
  const outcomes = await crowd.stop();
  t.same(crowd.failures().slice(0, 3), [], `${String(outcomes.length)} requests, all answered`);
  const times = outcomes.map(({ tookMs }) => tookMs);
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

function tell(t: Test, baseline: Figures, loaded: Figures): void {
  const text = ({ p50, p99 }: Figures): string => `p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)} ms`;
  t.comment(`alone: ${text(baseline)}; beside them: ${text(loaded)}`);
}

/** What has to hold when they are gone. */
async function checkRecovery(t: Test, pid: number, descriptorsBefore: number): Promise<void> {
  await until(() => descriptorsOf(pid) <= descriptorsBefore + DESCRIPTORS_SLACK);
  t.pass('their descriptors are given back');
}

t.test(`${String(SLOW_HEADS)} heads of one byte a second`, async (t) => {
  const daemon = await start(t);
  const pid = await daemon.workerPid();
  const baseline = await measure(t, daemon, (crowd) => crowd.more(1_000));
  const descriptors = descriptorsOf(pid);
  const memory = residentMiB(pid);
  const head = `POST /serving-endpoints/s/invocations HTTP/1.1\r\nHost: ${'x'.repeat(100)}`;
  let grown = 0;
  const closedAfter: number[] = [];
  const loaded = await measure(t, daemon, async () => {
    const sockets = await openMany(t, daemon, SLOW_HEADS);
    for (const socket of sockets) {
      let sent = 0;
      const since = performance.now();
      const drip = (): void => {
        socket.write(head.charAt(sent));
        sent += 1;
      };
      drip();
      const timer = setInterval(drip, 1_000);
      socket.once('close', () => {
        clearInterval(timer);
        closedAfter.push(performance.now() - since);
      });
    }
    const since = performance.now();
    await until(
      () =>
        closedAfter.length === sockets.length ||
        performance.now() - since > HEAD_MS * TOLERANCE + 1_000,
    );
    grown = residentMiB(pid) - memory;
    for (const socket of sockets) socket.destroy();
  });
  tell(t, baseline, loaded);
  t.equal(closedAfter.length, SLOW_HEADS, 'each is closed by its deadline');
  t.ok(Math.min(...closedAfter) > HEAD_MS / TOLERANCE, 'and not before it');
  t.ok(Math.max(...closedAfter) < HEAD_MS * TOLERANCE, `${Math.max(...closedAfter).toFixed(0)} ms`);
  const most = (SLOW_HEADS * KIB_PER_CONNECTION_MAX) / 1_024;
  t.ok(grown < most, `grew by ${grown.toFixed(1)} of ${most.toFixed(0)} MiB`);
  await checkRecovery(t, pid, descriptors);
});

t.test(`${String(IDLE)} idle connections`, async (t) => {
  const daemon = await start(t);
  const pid = await daemon.workerPid();
  const baseline = await measure(t, daemon, (crowd) => crowd.more(1_000));
  const descriptors = descriptorsOf(pid);
  const memory = residentMiB(pid);
  const sockets = await openMany(t, daemon, IDLE);
  await until(() => descriptorsOf(pid) >= descriptors + IDLE);
  const loaded = await measure(t, daemon, (crowd) => crowd.more(1_000));
  tell(t, baseline, loaded);
  const grown = residentMiB(pid) - memory;
  const most = (IDLE * KIB_PER_CONNECTION_MAX) / 1_024;
  t.ok(grown < most, `grew by ${grown.toFixed(1)} of ${most.toFixed(0)} MiB`);
  t.ok(
    sockets.every((socket) => !socket.destroyed),
    'none is closed for being idle for so short a time',
  );
  for (const socket of sockets) socket.destroy();
  await checkRecovery(t, pid, descriptors);
});
