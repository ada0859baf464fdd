/**
 * Bounds on what a client may make the data port wait for and read: slow uploads, answers that are not read, bodies beyond
 * the limit, requests in the smallest pieces. The times are the documented ones; all of them run at once.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { until } from './live.js';
import { ok, post, startWireReplica, valuesOf, WireClient, type WireRequest } from './wire.js';

const MIB = 1024 * 1024;
/** A body must bring so much in every window, else 408. */
const BODY_WINDOW_MS = 10_000;
const BODY_WINDOW_BYTES_MIN = 4_096;
/** An answer of which the client takes nothing for so long is broken off. */
const WRITE_STALL_MS = 30_000;
const TOLERANCE = 1.2;
const BODY_MAX = MIB;
/** What may be read beyond the limit before the refusal. */
const OVER_LIMIT_BYTES_MAX = 65_536;
const INVOKE = '/serving-endpoints/s/invocations';

const received: WireRequest[] = [];
const openAnswers = new Map<string, Socket>();
const daemon = await startDaemon(t, {
  flags: { 'data-plane-workers': '1', 'data-plane-max-request-bytes': String(BODY_MAX) },
});
const replica = await startWireReplica(t, (request, socket) => {
  received.push(request);
  const lab = valuesOf(request, 'x-lab')[0] ?? '';
  if (lab === 'stall') {
    openAnswers.set(lab, socket);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(256 * MIB)}\r\n\r\n`);
    socket.write(Buffer.alloc(256 * MIB));
  } else {
    socket.write(ok(`${lab} ${String(request.body.length)}`));
  }
});
const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
  deployments: [
    {
      name: 's',
      serves: [{ entity_name: 'lab.ml.s', entity_version: '1' }],
      replicas: [{ url: replica.url }],
      health: { type: 'tcp', interval_ms: 60_000 },
    },
  ],
  endpoints: [endpointOf('s', { s: 100 })],
});
// Not an assertion: the first one would let the root test end with it.
if (applied.status !== 200) throw new Error(applied.text);
await daemon.settled('s');
t.jobs = 8;

function head(daemon: TestDaemon, fields: readonly string[]): string {
  const lines = [
    `POST ${INVOKE} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    ...fields,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function requestsOf(lab: string): WireRequest[] {
  return received.filter((request) => valuesOf(request, 'x-lab')[0] === lab);
}

t.test('an upload of 8 KB/s for 25 s is slow, and served', { buffered: true }, async (t) => {
  const seconds = 25;
  const piece = 'x'.repeat(8_192);
  const client = new WireClient(t, daemon.dataPort);
  const size = piece.length * seconds;
  client.send(head(daemon, [`Content-Length: ${String(size)}`, 'X-Lab: steady']));
  for (let second = 0; second < seconds; second += 1) {
    client.send(piece);
    await pause(1_000);
  }
  const answer = await client.answer();
  t.equal(answer.status, 200, answer.head);
  t.equal(answer.body.toString(), `steady ${String(size)}`);
});

t.test('an upload that hardly moves is given up with 408', { buffered: true }, async (t) => {
  const client = new WireClient(t, daemon.dataPort);
  const perSecond = BODY_WINDOW_BYTES_MIN / (BODY_WINDOW_MS / 1_000) / 2;
  client.send(head(daemon, ['Content-Length: 100000', 'X-Lab: drip']));
  const since = performance.now();
  const timer = setInterval(() => client.send('x'.repeat(perSecond)), 1_000);
  t.teardown(() => {
    clearInterval(timer);
  });
  const answer = await client.answer();
  const tookMs = performance.now() - since;
  t.equal(answer.status, 408, answer.head);
  t.same(valuesOf(answer, 'x-pointsman-error'), ['INVALID_PARAMETER_VALUE']);
  t.ok(tookMs > BODY_WINDOW_MS / TOLERANCE, `after ${tookMs.toFixed(0)} ms`);
  // The first window may have begun with more than the body.
  t.ok(tookMs < 2 * BODY_WINDOW_MS * TOLERANCE, `after ${tookMs.toFixed(0)} ms`);
  await client.closed;
  t.same(requestsOf('drip'), [], 'the replica never had a whole request of it');
});

t.test('a body that stops: 408 too', { buffered: true }, async (t) => {
  const client = new WireClient(t, daemon.dataPort);
  client.send(`${head(daemon, ['Transfer-Encoding: chunked', 'X-Lab: stop'])}5\r\nhello\r\n`);
  const since = performance.now();
  const answer = await client.answer();
  t.equal(answer.status, 408, answer.head);
  const tookMs = performance.now() - since;
  t.ok(tookMs < 2 * BODY_WINDOW_MS * TOLERANCE, `after ${tookMs.toFixed(0)} ms`);
  await client.closed;
  t.same(requestsOf('stop'), []);
});

t.test('an answer that nobody reads is broken off', { buffered: true }, async (t) => {
  const client = new WireClient(t, daemon.dataPort);
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(post(daemon, INVOKE, '{}', ['X-Lab: stall']));
  const since = performance.now();
  await until(() => openAnswers.has('stall'));
  const behind = openAnswers.get('stall');
  await new Promise((resolve) => behind?.once('close', resolve));
  const tookMs = performance.now() - since;
  t.ok(tookMs > WRITE_STALL_MS / TOLERANCE, `after ${tookMs.toFixed(0)} ms`);
  t.ok(tookMs < WRITE_STALL_MS * TOLERANCE, `after ${tookMs.toFixed(0)} ms`);
});

/** Sends pieces as fast as they go until the other side ends; resolves with the bytes that went out. */
async function flood(socket: Socket, piece: string, most: number): Promise<number> {
  let sent = 0;
  while (!socket.destroyed && socket.writable && sent < most) {
    sent += piece.length;
    if (socket.write(piece)) await new Promise((resolve) => setImmediate(resolve));
    else await Promise.race([drained(socket), pause(200)]);
  }
  return sent;
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) =>
    socket.once('drain', () => {
      resolve();
    }),
  );
}

t.test('a body beyond the limit is refused before it is read', { buffered: true }, async (t) => {
  const byLength = new WireClient(t, daemon.dataPort);
  byLength.send(head(daemon, [`Content-Length: ${String(BODY_MAX + 1)}`, 'X-Lab: huge']));
  const since = performance.now();
  const refusal = await byLength.answer();
  t.equal(refusal.status, 413);
  t.ok(performance.now() - since < 1_000, 'at once');
  await byLength.closed;

  // Chunks are counted as they come: what went out is what was read, and what buffers hold.
  const piece = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
  const chunked = new WireClient(t, daemon.dataPort);
  chunked.send(head(daemon, ['Transfer-Encoding: chunked', 'X-Lab: huge']));
  const flooding = flood(chunked.socket, piece, 64 * MIB);
  const answer = await chunked.answer();
  t.equal(answer.status, 413);
  await chunked.closed;
  const sent = await flooding;
  t.ok(sent < 32 * MIB, `the rest was not taken: ${String(sent)} bytes went out`);
  t.same(requestsOf('huge'), [], 'no replica had one of them whole');
});

t.test('exactly how much of it is read', { buffered: true }, async (t) => {
  // A client that sends the limit, then piece after piece, each after the one before was taken off the kernel.
  const client = new WireClient(t, daemon.dataPort);
  const piece = `1000\r\n${'x'.repeat(0x1000)}\r\n`;
  client.send(head(daemon, ['Transfer-Encoding: chunked', 'X-Lab: exact']));
  let body = 0;
  while (client.received === '' && body < 2 * BODY_MAX) {
    client.send(piece);
    body += 0x1000;
    await pause(1);
  }
  t.equal((await client.answer()).status, 413);
  t.ok(body > BODY_MAX, 'not before the limit');
  t.ok(body <= BODY_MAX + OVER_LIMIT_BYTES_MAX, `${String(body - BODY_MAX)} bytes beyond it`);
});

async function inTwo(t: Test, bytes: string, cut: number): Promise<string> {
  const client = new WireClient(t, daemon.dataPort);
  client.send(bytes.slice(0, cut));
  await pause(2);
  const answer = await client.send(bytes.slice(cut)).answer();
  client.socket.destroy();
  return `${String(answer.status)} ${answer.body.toString()}`;
}

t.test('a request in two pieces, at every position', { buffered: true }, async (t) => {
  const counted = post(daemon, INVOKE, '{"a":1}', ['X-Lab: cut']);
  const chunked = `${head(daemon, ['Transfer-Encoding: chunked', 'X-Lab: cut'])}3;x=y\r\n{"a\r\n4\r\n":1}\r\n0\r\nX-T: 1\r\n\r\n`;
  for (const bytes of [counted, chunked]) {
    const cuts = Array.from({ length: bytes.length - 1 }, (_, index) => index + 1);
    const wrong: string[] = [];
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let cut = cuts.shift(); cut !== undefined; cut = cuts.shift()) {
          const said = await inTwo(t, bytes, cut).catch(String);
          if (said !== '200 cut 7') wrong.push(`${String(cut)}: ${said}`);
        }
      }),
    );
    t.same(wrong.slice(0, 5), []);
  }
});

t.test('a request by single bytes', { buffered: true }, async (t) => {
  const socket = connect({ port: daemon.dataPort, host: '127.0.0.1', noDelay: true });
  t.teardown(() => socket.destroy());
  let said = '';
  socket.on('data', (data: Buffer) => (said += data.toString()));
  socket.on('error', () => undefined);
  for (const byte of post(daemon, INVOKE, '{"a":1}', ['X-Lab: bytes'])) {
    socket.write(byte);
    await pause(1);
  }
  await until(() => said.includes('bytes 7') || socket.destroyed);
  t.match(said, /^HTTP\/1\.1 200 /);
});
