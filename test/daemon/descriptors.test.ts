/** A worker that runs out of descriptors: it does not spin, the admin port answers, and it recovers by itself. */
import { execFileSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { Caller, serve } from './crowd.js';
import { until } from './live.js';
import { descriptorsOf, processorMs } from './process-stats.js';
import { startReplicaProcess } from './replica-process.js';
import { post } from './wire.js';

const DESCRIPTORS = 256;
const CLIENTS = 400;
const WATCHED_MS = 2_000;
const PROCESSOR_SHARE_MAX = 0.25;
const CONNECTIONS_MAX = 3;
const REFUSED = 5;
const ADMIN_MS_MAX = 1_000;
const INVOKE = '/serving-endpoints/s/invocations';

t.test(`${String(CLIENTS)} clients and ${String(DESCRIPTORS)} descriptors`, async (t) => {
  const replica = await startReplicaProcess(t, 'a');
  const daemon = await serve(t, { urls: [replica.url] });
  const pid = await daemon.workerPid();
  execFileSync('prlimit', [`--pid=${String(pid)}`, `--nofile=${String(DESCRIPTORS)}`]);
  const bytes = post(daemon, INVOKE, '{}');
  const sockets: Socket[] = [];
  const statuses: string[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let client = 0; client < CLIENTS; client += 1) {
    const socket = connect({ port: daemon.dataPort, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(data.toString('latin1'))?.[1];
      if (status !== undefined) statuses.push(status);
    });
    socket.write(bytes);
    sockets.push(socket);
  }
  await until(() => statuses.length > DESCRIPTORS / 4);
  const busyBefore = processorMs(pid);
  const since = performance.now();
  while (performance.now() - since < WATCHED_MS) {
    const askedAt = performance.now();
    const { status } = await daemon.admin('GET', '/api/2.0/pointsman/status');
    if (status !== 200) t.fail(`the admin port says ${String(status)}`);
    const tookMs = performance.now() - askedAt;
    if (tookMs > ADMIN_MS_MAX) t.fail(`the admin port took ${tookMs.toFixed(0)} ms`);
    await pause(100);
  }
  const share = (processorMs(pid) - busyBefore) / (performance.now() - since);
  t.ok(share < PROCESSOR_SHARE_MAX, `${(share * 100).toFixed(0)} % of a core`);
  t.ok(descriptorsOf(pid) <= DESCRIPTORS, `${String(descriptorsOf(pid))} descriptors`);
  t.ok(statuses.length < CLIENTS, `${String(statuses.length)} of ${String(CLIENTS)} were answered`);
  const kinds = [...new Set(statuses)].sort();
  t.same(
    kinds.filter((status) => status !== '200' && status !== '503'),
    [],
    kinds.join(),
  );
  for (const socket of sockets) socket.destroy();
  const caller = new Caller(t, daemon);
  await until(async () => (await caller.call('after')).status === 200);
  t.equal(await daemon.workerPid(), pid, 'the same worker serves again');
});

t.test('connections beyond max_connections are refused and counted', async (t) => {
  const replica = await startReplicaProcess(t, 'a');
  const flags = { 'data-plane-max-connections': String(CONNECTIONS_MAX) };
  const daemon = await serve(t, { urls: [replica.url], flags });
  const pid = await daemon.workerPid();
  const open = Array.from({ length: CONNECTIONS_MAX }, () => new Caller(t, daemon));
  for (const [number, caller] of open.entries()) {
    t.equal((await caller.call(String(number))).status, 200);
  }
  const refused = Array.from({ length: REFUSED }, () => new Caller(t, daemon));
  for (const caller of refused) t.equal((await caller.call('x')).status, 503);
  const counted = async (): Promise<[worker: unknown, metric: string | undefined]> => {
    const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
    const { text } = await daemon.admin('GET', '/metrics');
    return [
      (body as { workers: { connections_refused: number }[] }).workers[0]?.connections_refused,
      /^pointsman_refused_connections_total (\d+)$/m.exec(text)?.[1],
    ];
  };
  t.same(await counted(), [REFUSED, String(REFUSED)]);
  t.equal((await open[0]?.call('again'))?.status, 200, 'those that are open are served on');
  process.kill(pid, 'SIGKILL');
  await until(async () => {
    const now = await daemon.workerPid();
    return now > 0 && now !== pid;
  });
  t.same(await counted(), [0, String(REFUSED)], 'a worker that dies takes no count along');
});
