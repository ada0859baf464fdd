/** Bodies flow through in both directions, held back by whoever is slower, and an end that was none never looks like one. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  residentMiB,
  startDaemon,
  startReplica,
  type TestDaemon,
} from './harness.js';
import { ok, post, startWireReplica, valuesOf, WireClient } from './wire.js';

const MIB = 1024 * 1024;
const STREAM_MIB = 64;
const RSS_GROWTH_MAX_MIB = 4;
const INVOKE = '/serving-endpoints/s/invocations';

async function serve(t: Test, url: string): Promise<TestDaemon> {
  const daemon = await startDaemon(t, {
    flags: { 'data-plane-max-request-bytes': String(1024 * MIB) },
  });
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  t.equal(applied.status, 200, applied.text);
  await daemon.settled('s');
  return daemon;
}

/** The largest resident memory of the worker while `work` runs, and what it was before. */
async function growthMiB(daemon: TestDaemon, work: () => Promise<void>): Promise<number> {
  const pid = await daemon.workerPid();
  const before = residentMiB(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, residentMiB(pid));
  }, 5);
  await work();
  clearInterval(timer);
  return Math.max(most, residentMiB(pid)) - before;
}

/** Waits until `bytes` has stood still for a while: the flow is held back. */
async function untilStill(bytes: () => number): Promise<void> {
  let still = 0;
  for (let last = -1; still < 10; last = bytes()) {
    still = bytes() === last ? still + 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Writes `mebibytes` of `letter`, never more than the socket takes. */
function pour(response: ServerResponse, mebibytes: number, counted: (bytes: number) => void): void {
  const piece = Buffer.alloc(64 * 1024, 'x');
  let left = mebibytes * 16;
  const step = (): void => {
    while (left > 0) {
      left -= 1;
      counted(piece.length);
      if (!response.write(piece)) {
        response.once('drain', step);
        return;
      }
    }
    response.end();
  };
  step();
}

/** Sends one request and reads its answer's body, pausing every MiB; resolves with the bytes read. */
async function readSlowly(
  t: Test,
  daemon: TestDaemon,
  chunked: boolean,
  poured: () => number,
): Promise<number> {
  const client = new WireClient(t, daemon.dataPort);
  client.socket.removeAllListeners('data');
  client.socket.pause();
  client.send(post(daemon, INVOKE, chunked ? 'chunked' : 'counted', ['Connection: close']));
  // The client reads nothing until everything between it and the replica is full.
  await untilStill(poured);
  const held = poured();
  t.ok(held > 0 && held < STREAM_MIB * MIB * 0.75, `held back after ${String(held)} bytes`);
  let read = 0;
  let pieces = 0;
  await new Promise<void>((resolve, reject) => {
    client.socket.on('data', (piece: Buffer) => {
      read += piece.length;
      pieces += 1;
      if (pieces % 16 !== 0) return;
      client.socket.pause();
      setImmediate(() => client.socket.resume());
    });
    client.socket.once('end', resolve);
    client.socket.once('error', reject);
    client.socket.resume();
  });
  return read;
}

t.test('a large answer to a slow reader', async (t) => {
  let poured = 0;
  const replica = await startReplica(t, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.once('end', () => {
      if (body === 'counted') response.setHeader('content-length', STREAM_MIB * MIB);
      poured = 0;
      pour(response, STREAM_MIB, (bytes) => (poured += bytes));
    });
  });
  const daemon = await serve(t, replica.url);
  for (const chunked of [false, true]) {
    await readSlowly(t, daemon, chunked, () => poured);
    await readSlowly(t, daemon, chunked, () => poured);
    const grown = await growthMiB(daemon, async () => {
      const read = await readSlowly(t, daemon, chunked, () => poured);
      t.ok(read >= STREAM_MIB * MIB, `${String(read)} bytes came through`);
    });
    t.ok(
      grown < RSS_GROWTH_MAX_MIB,
      `grew by ${grown.toFixed(1)} MiB, chunked: ${String(chunked)}`,
    );
  }
});

t.test('a large request to a slow replica', async (t) => {
  let received = 0;
  let release: () => void = () => undefined;
  const replica = await startReplica(t, (request, response) => {
    received = 0;
    request.pause();
    release = () => request.resume();
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    request.once('end', () => response.end(String(received)));
  });
  const daemon = await serve(t, replica.url);

  async function upload(chunked: boolean): Promise<void> {
    const client = new WireClient(t, daemon.dataPort);
    const length = STREAM_MIB * MIB;
    const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${String(length)}`;
    client.send(
      `POST ${INVOKE} HTTP/1.1\r\nHost: router\r\n${framing}\r\n` +
        `Authorization: Bearer ${daemon.queryToken}\r\n\r\n`,
    );
    const piece = Buffer.alloc(64 * 1024, 'x');
    const frame = chunked ? Buffer.from(`${piece.length.toString(16)}\r\n`) : Buffer.alloc(0);
    const frameEnd = chunked ? Buffer.from('\r\n') : Buffer.alloc(0);
    let sent = 0;
    const sending = (async () => {
      while (sent < length) {
        const room = client.socket.write(Buffer.concat([frame, piece, frameEnd]));
        sent += piece.length;
        if (!room)
          await new Promise<void>((resolve) =>
            client.socket.once('drain', () => {
              resolve();
            }),
          );
      }
      if (chunked) client.send('0\r\n\r\n');
    })();
    await untilStill(() => sent);
    t.ok(sent > 0 && sent < length * 0.75, `held back after ${String(sent)} bytes`);
    release();
    await sending;
    const answer = await client.answer();
    t.equal(answer.body.toString(), String(length));
    client.socket.destroy();
  }

  for (const chunked of [false, true]) {
    await upload(chunked);
    await upload(chunked);
    const grown = await growthMiB(daemon, () => upload(chunked));
    t.ok(
      grown < RSS_GROWTH_MAX_MIB,
      `grew by ${grown.toFixed(1)} MiB, chunked: ${String(chunked)}`,
    );
  }
});

t.test('server-sent events are relayed one by one', async (t) => {
  const held: ServerResponse[] = [];
  const replica = await startReplica(t, (request, response) => {
    request.resume();
    response.setHeader('content-type', 'text/event-stream');
    response.write('data: begin\n\n');
    held.push(response);
  });
  const daemon = await serve(t, replica.url);
  const client = new WireClient(t, daemon.dataPort);
  client.send(post(daemon, INVOKE, '{"stream":true}'));
  const begin = await client.takeThrough('data: begin\n\n');
  t.match(begin, /content-type: text\/event-stream\r\n/i);
  for (let count = 0; count < 100; count += 1) {
    // The next event is sent only after this one has arrived: nothing may wait for company.
    held[0]?.write(`data: ${String(count)}\n\n`);
    t.match(await client.takeThrough('\n\n'), `data: ${String(count)}\n\n`);
  }
  held[0]?.end('data: [DONE]\n\n');
  t.match(await client.takeThrough('0\r\n\r\n'), 'data: [DONE]\n\n');
});

t.test('silence is no fault: 14 s before the head, and between two events', async (t) => {
  const silenceMs = 14_000;
  const replica = await startReplica(t, (request, response) => {
    if (request.headers['x-lab'] === 'events') response.write('data: 1\n\n');
    request.resume();
    request.once('end', () => setTimeout(() => response.end('data: 2\n\n'), silenceMs));
  });
  const daemon = await serve(t, replica.url);
  const bodies = ['late', 'events'].map(async (lab) => {
    const client = new WireClient(t, daemon.dataPort);
    client.send(post(daemon, INVOKE, '{}', [`X-Lab: ${lab}`]));
    return (await client.answer()).body.toString();
  });
  t.same(await Promise.all(bodies), ['data: 2\n\n', 'data: 1\n\ndata: 2\n\n']);
});

t.test('a client that leaves: the replica sees its connection close at once', async (t) => {
  let onClose: () => void = () => undefined;
  let onRequest: () => void = () => undefined;
  const replica = await startReplica(t, (request: IncomingMessage, response: ServerResponse) => {
    response.once('close', () => {
      onClose();
    });
    request.on('error', () => undefined);
    if (request.headers['x-lab'] === 'mid-answer') response.write('some');
    if (request.headers['x-lab'] === 'flowing') pour(response, 512, () => undefined);
    request.resume();
    onRequest();
  });
  const daemon = await serve(t, replica.url);

  async function leave(when: string): Promise<number> {
    const closed = new Promise<void>((resolve) => (onClose = resolve));
    const begun = new Promise<void>((resolve) => (onRequest = resolve));
    const client = new WireClient(t, daemon.dataPort);
    const whole = post(daemon, INVOKE, 'x'.repeat(200_000), [`X-Lab: ${when}`]);
    client.send(when === 'mid-request' ? whole.slice(0, 100_000) : whole);
    await begun;
    if (when === 'mid-answer' || when === 'flowing') await client.takeThrough('\r\n\r\n');
    const leftAt = performance.now();
    client.socket.destroy();
    await closed;
    return performance.now() - leftAt;
  }

  for (const when of ['mid-request', 'before-the-head', 'mid-answer', 'flowing']) {
    const times: number[] = [];
    // The machine may be busy with something else for a moment, but not every time.
    while (times.length < 5 && !(Math.min(...times) < 50)) times.push(await leave(when));
    t.ok(Math.min(...times) < 50, `${when}: ${times.map((ms) => ms.toFixed(1)).join(', ')} ms`);
  }
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  t.match(body, { workers: [{ in_flight: 0 }] }, 'nothing is left over');
});

t.test('a replica that dies inside its answer: no clean end', async (t) => {
  const sockets: Socket[] = [];
  let begin = '';
  const replica = await startWireReplica(t, (_request, socket) => {
    sockets.push(socket);
    socket.write(begin);
  });
  const daemon = await serve(t, replica.url);
  const heads = {
    counted: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n',
    chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n',
    'until close': 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n',
  };
  for (const [framing, head] of Object.entries(heads)) {
    for (const death of ['fin', 'reset']) {
      if (framing === 'until close' && death === 'fin') continue;
      begin = `${head}some`;
      const client = new WireClient(t, daemon.dataPort);
      client.send(post(daemon, INVOKE, '{}'));
      await client.takeThrough('some');
      const socket = sockets.at(-1);
      if (death === 'fin') socket?.end();
      else socket?.resetAndDestroy();
      const rest = (await client.rest()).toString();
      t.notMatch(rest, /\r\n0\r\n\r\n/, `${framing}, ${death}: no last chunk`);
    }
  }
});

t.test('a replica that dies before its answer: 502', async (t) => {
  const replica = await startWireReplica(t, (_request, socket) => socket.resetAndDestroy());
  const daemon = await serve(t, replica.url);
  const answer = await daemon.invoke(INVOKE, {});
  t.match(answer, { status: 502, body: { error_code: 'INTERNAL_ERROR' } });
  t.equal(answer.headers.get('served-model-name'), 's');
  t.equal(answer.headers.get('x-pointsman-error'), 'INTERNAL_ERROR');
});

t.test('an answer that comes before the request is complete', async (t) => {
  const connections = new Set<number>();
  const replica = await startReplica(t, (request, response) => {
    connections.add((request.socket.address() as AddressInfo).port);
    if (request.headers['x-lab'] === 'early') response.writeHead(413).end('too much');
    else request.resume().once('end', () => response.end('whole'));
  });
  const daemon = await serve(t, replica.url);
  const client = new WireClient(t, daemon.dataPort);
  client.send(
    `POST ${INVOKE} HTTP/1.1\r\nHost: router\r\nX-Lab: early\r\nContent-Length: 10000000\r\n` +
      `Authorization: Bearer ${daemon.queryToken}\r\n\r\n${'x'.repeat(1000)}`,
  );
  const answer = await client.answer();
  t.equal(answer.status, 413);
  t.equal(answer.body.toString(), 'too much');
  t.equal(valuesOf(answer, 'x-pointsman-error').length, 0, "the error is the replica's own");
  await client.closed;
  const next = new WireClient(t, daemon.dataPort);
  const whole = await next.send(post(daemon, INVOKE, '{}')).answer();
  t.equal(whole.body.toString(), 'whole', 'the half-used connection is not used again');
});

t.test('connections to replicas are kept, unless bytes come that nobody asked for', async (t) => {
  const seen: [number, number][] = [];
  let extra = '';
  const replica = await startWireReplica(t, (request, socket) => {
    seen.push([request.connection, request.index]);
    socket.write(ok('{}') + extra);
  });
  const daemon = await serve(t, replica.url);
  const client = new WireClient(t, daemon.dataPort);
  for (let count = 0; count < 3; count += 1) await client.send(post(daemon, INVOKE, '{}')).answer();
  t.same(seen, [
    [0, 0],
    [0, 1],
    [0, 2],
  ]);
  extra = ok('{"stolen":true}');
  t.equal((await client.send(post(daemon, INVOKE, '{}')).answer()).body.toString(), '{}');
  extra = '';
  t.equal((await client.send(post(daemon, INVOKE, '{}')).answer()).body.toString(), '{}');
  t.same(seen.at(-1), [1, 0], 'the next request goes over a connection of its own');
});
