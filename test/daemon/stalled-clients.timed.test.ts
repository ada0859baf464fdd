/**
 * Clients that stop reading, or leave, in the middle of large answers: 200 of the one kind, 1,000 of the other. How much a
 * side may send that the other does not take, in either direction.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Crowd, serve } from './crowd.js';
import { residentMiB, type TestDaemon } from './harness.js';
import { until } from './live.js';
import { descriptorsOf, quantile } from './process-stats.js';
import { Pump, queuesOf } from './socket-queues.js';
import { ok, post, startWireReplica, valuesOf } from './wire.js';

const MIB = 1024 * 1024;
const STALLED = 200;
const LARGE_BYTES = 10 * MIB;
const ABORTS = 1_000;
const ABORTS_AT_ONCE = 50;
/** Until a replica sees that its client has left. */
const CANCEL_MS_MAX = 200;
/** Bound of what is held back per connection, both directions. */
const KIB_PER_CONNECTION_MAX = 256;
const READ_AGAIN = 20;
const HUGE_BYTES = 50 * MIB;
/**
 * Of an answer, in the daemon and in the kernel: what a client that takes nothing lets a replica send. The replica's window of
 * 1 MiB, which the kernel doubles, and 128 KiB each of the engine and not sent. How far it opens the window depends on
 * how fast the first bytes were read: 550 to 1,360 KiB in all were seen.
 */
const ANSWER_HELD_BYTES_MAX = 2.3 * MIB;
/** Nothing has moved for so long: nothing will. */
const STILL_MS = 1_000;
const DESCRIPTORS_SLACK = 3;
const INVOKE = '/serving-endpoints/s/invocations';

/** Bytes whose place in the answer can be told from their value. */
const LARGE = Buffer.alloc(LARGE_BYTES);
for (let at = 0; at < LARGE_BYTES; at += 4) LARGE.writeUInt32BE(at, at);
const HEAD = `HTTP/1.1 200 OK\r\nContent-Length: ${String(LARGE_BYTES)}\r\n\r\n`;

interface Setting {
  readonly daemon: TestDaemon;
  /** The replica's connections, by the x-lab of the request that each answers. */
  readonly answering: Map<string, Socket>;
}

/** Small answers with the id for everybody; for ids that begin with "large" 10 MB, "endless" what never ends. */
async function start(t: Test): Promise<Setting> {
  const answering = new Map<string, Socket>();
  const replica = await startWireReplica(t, (request, socket) => {
    const id = valuesOf(request, 'x-lab')[0] ?? '';
    if (id.startsWith('large')) {
      answering.set(id, socket);
      socket.write(HEAD);
      socket.write(LARGE);
    } else if (id.startsWith('endless')) {
      answering.set(id, socket);
      socket.write(HEAD);
      socket.write(LARGE.subarray(0, 100_000));
    } else {
      socket.write(ok(JSON.stringify({ served: 'a', id })));
    }
  });
  // The replica is this process, which is busy enough to miss probes.
  const health = { type: 'tcp', interval_ms: 60_000 };
  return { daemon: await serve(t, { urls: [replica.url], health }), answering };
}

function open(t: Test, daemon: TestDaemon, id: string): Socket {
  const socket = connect({ port: daemon.dataPort, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined);
  socket.write(post(daemon, INVOKE, '{}', [`X-Lab: ${id}`]));
  t.teardown(() => socket.destroy());
  return socket;
}

async function p99(t: Test, daemon: TestDaemon, requests: number): Promise<number> {
  const crowd = new Crowd(t, daemon, 4, 2);
  await crowd.more(requests);
  const outcomes = await crowd.stop();
  t.same(crowd.failures().slice(0, 3), [], `${String(outcomes.length)} requests, all answered`);
  return quantile(
    outcomes.map(({ tookMs }) => tookMs),
    0.99,
  );
}

/** Reads the rest of an answer; resolves with the offset of the first wrong byte, -1 when all is right. */
async function readWhole(socket: Socket): Promise<number> {
  let before = Buffer.alloc(0);
  let bodyAt = -1;
  let received = 0;
  let wrongAt = -1;
  for await (const data of socket as AsyncIterable<Buffer>) {
    let chunk = data;
    if (bodyAt < 0) {
      before = Buffer.concat([before, data]);
      const end = before.indexOf('\r\n\r\n');
      if (end < 0) continue;
      bodyAt = end + 4;
      chunk = before.subarray(bodyAt);
    }
    const expected = LARGE.subarray(received, received + chunk.length);
    if (wrongAt < 0 && !chunk.equals(expected)) wrongAt = received;
    received += chunk.length;
    if (received >= LARGE_BYTES) break;
  }
  return received === LARGE_BYTES ? wrongAt : received;
}

t.test(`${String(STALLED)} readers of 10 MB stop reading`, async (t) => {
  const { daemon, answering } = await start(t);
  const pid = await daemon.workerPid();
  const alone = await p99(t, daemon, 500);
  const descriptors = descriptorsOf(pid);
  const memory = residentMiB(pid);
  const sockets = Array.from({ length: STALLED }, (_, number) =>
    open(t, daemon, `large${String(number)}`).pause(),
  );
  await until(() => answering.size === STALLED);
  const beside = await p99(t, daemon, 1_000);
  t.comment(`p99 alone ${alone.toFixed(2)} ms, beside them ${beside.toFixed(2)} ms`);
  const grown = residentMiB(pid) - memory;
  const most = (STALLED * KIB_PER_CONNECTION_MAX) / 1_024;
  t.ok(grown < most, `grew by ${grown.toFixed(1)} of ${most.toFixed(0)} MiB`);
  const read = await Promise.all(sockets.slice(0, READ_AGAIN).map(readWhole));
  t.same(new Set(read), new Set([-1]), 'who reads on gets every byte');
  for (const socket of sockets) socket.destroy();
  await until(() => descriptorsOf(pid) <= descriptors + READ_AGAIN + DESCRIPTORS_SLACK);
  t.pass('descriptors are given back; connections with a whole answer behind them are kept');
});

t.test(`${String(ABORTS)} clients leave in the middle of an answer`, async (t) => {
  const { daemon, answering } = await start(t);
  const pid = await daemon.workerPid();
  const alone = await p99(t, daemon, 500);
  const descriptors = descriptorsOf(pid);
  const memory = residentMiB(pid);
  const took: number[] = [];

  async function leave(id: string, reset: boolean): Promise<void> {
    const socket = open(t, daemon, id);
    await new Promise((resolve) => socket.once('data', resolve));
    const behind = answering.get(id);
    if (behind === undefined) throw new Error(`${id} is not at the replica`);
    const closed = new Promise((resolve) => behind.once('close', resolve));
    const leftAt = performance.now();
    if (reset) socket.resetAndDestroy();
    else socket.destroy();
    await closed;
    took.push(performance.now() - leftAt);
  }

  const crowd = new Crowd(t, daemon, 4, 2);
  let next = 0;
  await Promise.all(
    Array.from({ length: ABORTS_AT_ONCE }, async () => {
      while (next < ABORTS) {
        next += 1;
        await leave(`endless${String(next)}`, next % 2 === 0);
      }
    }),
  );
  const outcomes = await crowd.stop();
  t.same(crowd.failures().slice(0, 3), [], `${String(outcomes.length)} requests beside them`);
  const times = outcomes.map(({ tookMs }) => tookMs);
  t.comment(`p99 alone ${alone.toFixed(2)} ms, beside them ${quantile(times, 0.99).toFixed(2)} ms`);
  t.comment(`a replica learns of it after ${quantile(took, 0.5).toFixed(1)} ms (median)`);
  t.equal(took.length, ABORTS);
  t.ok(Math.max(...took) <= CANCEL_MS_MAX, `${Math.max(...took).toFixed(0)} ms at most`);
  await until(() => descriptorsOf(pid) <= descriptors + DESCRIPTORS_SLACK);
  t.pass('descriptors are given back');
  const grown = residentMiB(pid) - memory;
  const most = (ABORTS_AT_ONCE * KIB_PER_CONNECTION_MAX) / 1_024;
  t.ok(grown < most, `grew by ${grown.toFixed(1)} of ${most.toFixed(0)} MiB`);
});

/** The daemon before a replica that is `serveOne`, with settings. */
async function startBefore(
  t: Test,
  serveOne: (socket: Socket) => unknown,
  flags: Readonly<Record<string, string>>,
): Promise<TestDaemon> {
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    sockets.add(socket);
    serveOne(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  return serve(t, { urls: [url], health: { type: 'tcp', interval_ms: 60_000 }, flags });
}

/** The same for a request, which passes the engine twice where JS relays it. */
const DOORS = [
  { mode: 'native', flags: {}, requestHeldBytesMax: MIB },
  { mode: 'guarded', flags: { 'data-plane-fast-path': 'false' }, requestHeldBytesMax: 2 * MIB },
];

for (const { mode, flags, requestHeldBytesMax } of DOORS) {
  t.test(`a replica is stopped by a client that stops reading 50 MB, ${mode}`, async (t) => {
    const answers: { socket: Socket; pump: Pump }[] = [];
    const answerHuge = (socket: Socket): void => {
      socket.resume().once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(HUGE_BYTES)}\r\n\r\n`);
        answers.push({ socket, pump: new Pump(socket, HUGE_BYTES) });
      });
    };
    const daemon = await startBefore(t, answerHuge, flags);
    const client = open(t, daemon, 'huge').pause();
    await until(() => (answers[0]?.pump.idleMs ?? 0) > STILL_MS);
    for (const { socket, pump } of answers) {
      const left = pump.taken - queuesOf(socket).unacknowledged;
      const held = left - queuesOf(client).unread;
      t.comment(`${String(left >> 10)} KiB left the replica, ${String(held >> 10)} KiB are held`);
      t.ok(held <= ANSWER_HELD_BYTES_MAX, 'within 2.3 MiB');
      t.ok(held > 0, 'the client is what stops it');
    }
    t.equal(answers.length, 1);
  });

  t.test(`a client is stopped by a replica that does not read 50 MB, ${mode}`, async (t) => {
    const sockets: Socket[] = [];
    const daemon = await startBefore(t, (socket) => sockets.push(socket), {
      ...flags,
      'data-plane-max-request-bytes': String(HUGE_BYTES),
    });
    const client = connect({ port: daemon.dataPort, host: '127.0.0.1' });
    client.on('error', () => undefined);
    t.teardown(() => client.destroy());
    client.write(
      `POST ${INVOKE} HTTP/1.1\r\nHost: router\r\nContent-Length: ${String(HUGE_BYTES)}\r\n` +
        `Authorization: Bearer ${daemon.queryToken}\r\n\r\n`,
    );
    const pump = new Pump(client, HUGE_BYTES);
    await until(() => pump.idleMs > STILL_MS);
    const left = pump.taken - queuesOf(client).unacknowledged;
    // Probes have connections too, on which nothing waits.
    const unread = sockets.reduce((sum, socket) => sum + queuesOf(socket).unread, 0);
    t.comment(
      `${String(left >> 10)} KiB left the client, ${String((left - unread) >> 10)} KiB are held`,
    );
    t.ok(left - unread <= requestHeldBytesMax, `within ${String(requestHeldBytesMax / MIB)} MiB`);
    t.ok(unread > 0 && left > unread, 'the replica is what stops it');
  });
}
