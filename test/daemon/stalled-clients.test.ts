/** Clients that stop reading, or leave, in the middle of large answers: 200 of the one kind, 1,000 of the other. */
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Crowd, serve } from './crowd.js';
import { residentMiB, type TestDaemon } from './harness.js';
import { until } from './live.js';
import { descriptorsOf, quantile } from './process-stats.js';
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
