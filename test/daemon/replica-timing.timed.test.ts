/** Replicas that fall silent at every stage, trickle, or answer before they were asked all: times that are set, each measured. */
import { createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon } from './harness.js';
import { until } from './live.js';
import {
  BrokenAnswer,
  ok,
  post,
  startWireReplica,
  valuesOf,
  WireClient,
  type WireAnswer,
} from './wire.js';

const RESPONSE_HEADER_MS = 600;
const BODY_IDLE_MS = 400;
const TOTAL_MS = 1_500;
/** What the timer wheel and a busy event loop may add to a timeout. */
const LATE_MS_MAX = 100;
const TRICKLE_MS = 100;

/** What the replica does with a request that asks for it by x-lab. */
const DEEDS: Readonly<Record<string, (socket: Socket) => void>> = {
  nothing: () => undefined,
  'half a status line': (socket) => socket.write('HTTP/1.1 2'),
  'half a head': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n'),
  'an interim answer': (socket) => socket.write('HTTP/1.1 100 Continue\r\n\r\n'),
  'a head by bytes': (socket) => {
    trickle(socket, `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(200)}\r\n\r\n`);
  },
  'interim answers without end': (socket) => {
    trickle(socket, 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(50), 25);
  },
  'a head': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'),
  'half a body': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe'),
  'half a chunk': (socket) => socket.write(`${CHUNKED}5\r\nhe`),
  'a chunk': (socket) => socket.write(`${CHUNKED}5\r\nhello\r\n`),
  'a last chunk without its end': (socket) => socket.write(`${CHUNKED}5\r\nhello\r\n0\r\n`),
  'a body by bytes': (socket) => {
    trickle(socket, 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', 1_000);
    trickle(socket, 'x'.repeat(100));
  },
};
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

function trickle(socket: Socket, text: string, bytes = 1): void {
  let at = 0;
  const timer = setInterval(() => {
    socket.write(text.slice(at, at + bytes));
    at += bytes;
    if (at >= text.length) clearInterval(timer);
  }, TRICKLE_MS);
  socket.once('close', () => {
    clearInterval(timer);
  });
}

async function start(t: Test, timeouts: object, onRequest: (lab: string, socket: Socket) => void) {
  const replica = await startWireReplica(t, (request, socket) => {
    onRequest(valuesOf(request, 'x-lab')[0] ?? '', socket);
  });
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      {
        name: 's',
        serves: [{ entity_name: 'lab.ml.s', entity_version: '1' }],
        replicas: [{ url: replica.url }],
        health: { type: 'tcp', interval_ms: 60_000 },
        timeouts,
      },
    ],
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  return daemon;
}

t.test('silence at every stage', async (t) => {
  const open = new Set<Socket>();
  const timeouts = {
    response_header_ms: RESPONSE_HEADER_MS,
    body_idle_ms: BODY_IDLE_MS,
    total_ms: TOTAL_MS,
  };
  const daemon = await start(t, timeouts, (lab, socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    DEEDS[lab]?.(socket);
  });
  const bytes = (lab: string) =>
    post(daemon, '/serving-endpoints/s/invocations', '{}', [`X-Lab: ${lab}`]);

  async function ask(lab: string): Promise<[WireAnswer | BrokenAnswer, number]> {
    const client = new WireClient(t, daemon.dataPort);
    const since = performance.now();
    const outcome = await client
      .send(bytes(lab))
      .answer()
      .catch((error: unknown) => {
        if (error instanceof BrokenAnswer) return error;
        throw error;
      });
    const tookMs = performance.now() - since;
    client.socket.destroy();
    return [outcome, tookMs];
  }

  const expected: Readonly<Record<string, number>> = {
    nothing: RESPONSE_HEADER_MS,
    'half a status line': RESPONSE_HEADER_MS,
    'half a head': RESPONSE_HEADER_MS,
    'an interim answer': RESPONSE_HEADER_MS,
    'a head by bytes': RESPONSE_HEADER_MS,
    'interim answers without end': RESPONSE_HEADER_MS,
    'a head': BODY_IDLE_MS,
    'half a body': BODY_IDLE_MS,
    'half a chunk': BODY_IDLE_MS,
    'a chunk': BODY_IDLE_MS,
    'a last chunk without its end': BODY_IDLE_MS,
    'a body by bytes': TOTAL_MS,
  };
  t.same(Object.keys(expected), Object.keys(DEEDS));
  for (const [lab, afterMs] of Object.entries(expected)) {
    await t.test(lab, async (t) => {
      const [outcome, tookMs] = await ask(lab);
      t.ok(tookMs >= afterMs - 1, `${tookMs.toFixed(0)} of ${String(afterMs)} ms`);
      t.ok(tookMs <= afterMs + LATE_MS_MAX, `${tookMs.toFixed(0)} of ${String(afterMs)} ms`);
      if (afterMs === RESPONSE_HEADER_MS) {
        t.notOk(outcome instanceof BrokenAnswer);
        if (outcome instanceof BrokenAnswer) return;
        t.equal(outcome.status, 504, outcome.head);
        t.match(JSON.parse(outcome.body.toString()), { error_code: 'DEADLINE_EXCEEDED' });
      } else {
        t.ok(outcome instanceof BrokenAnswer, 'no clean end');
      }
    });
  }
  await until(() => open.size === 0);
  t.pass('none of these connections was kept');
});

t.test('a body that flows slowly is no fault', async (t) => {
  const daemon = await start(t, { body_idle_ms: BODY_IDLE_MS }, (_lab, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n');
    trickle(socket, 'x'.repeat(15));
  });
  const client = new WireClient(t, daemon.dataPort);
  const answer = await client.send(post(daemon, '/serving-endpoints/s/invocations', '{}')).answer();
  t.equal(answer.body.toString(), 'x'.repeat(15), 'though it took longer than one silence may');
});

/**
 * Answers while the request is still on its way. The replica reads a bare socket, since the request is never whole.
 */
for (const then of ['keep', 'fin', 'reset'] as const) {
  t.test(`an answer before the request is whole, then ${then}`, async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (data: Buffer) => {
        // Once per connection; what comes later is dropped.
        const isEarly = /x-lab: early/i.test(data.toString('latin1'));
        socket.write(
          isEarly
            ? ok('early').replace('200 OK', '413 Too Large')
            : ok('whole', ['Connection: close']),
        );
        if (isEarly && then === 'fin') socket.end();
        if (isEarly && then === 'reset') setImmediate(() => socket.resetAndDestroy());
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.teardown(() => server.close());
    const { port } = server.address() as { port: number };
    const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: [
        {
          name: 's',
          serves: [{ entity_name: 'lab.ml.s', entity_version: '1' }],
          replicas: [{ url: `http://127.0.0.1:${String(port)}` }],
          health: { type: 'tcp', interval_ms: 60_000 },
        },
      ],
      endpoints: [endpointOf('s', { s: 100 })],
    });
    await daemon.settled('s');
    const path = '/serving-endpoints/s/invocations';
    const whole = post(daemon, path, 'x'.repeat(1_000_000), ['X-Lab: early']);
    for (const share of [0.1, 0.5, 0.99]) {
      const client = new WireClient(t, daemon.dataPort);
      client.send(whole.slice(0, whole.length * share));
      const answer = await client.answer().catch((error: unknown) => {
        if (error instanceof BrokenAnswer) return error;
        throw error;
      });
      if (answer instanceof BrokenAnswer) {
        t.equal(then, 'reset', 'broken off, though the replica had answered');
      } else {
        const isReplicas = answer.status === 413 && answer.body.toString() === 'early';
        t.ok(isReplicas || (then === 'reset' && answer.status === 502), answer.head);
      }
      // The rest of the request must not be read as the next one: the connection ends, or takes the rest first.
      client.send(whole.slice(whole.length * share));
      await Promise.race([client.closed, pause(500)]);
      t.notMatch(client.received, /HTTP\/1/, 'one request, one answer');
      client.socket.destroy();
      const next = new WireClient(t, daemon.dataPort);
      const { status, body } = await next.send(post(daemon, path, '{}')).answer();
      t.equal(`${String(status)} ${body.toString()}`, '200 whole');
      next.socket.destroy();
    }
  });
}
