/**
 * A client whose upload had been stopped, because its request waited for a place or its replica took nothing, was not read, and
 * so was not noticed when it left: it kept its turn, or its replica and its place.
 */
import { connect, createServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { serve } from '../daemon/crowd.js';
import { until } from '../daemon/live.js';
import { Pump } from '../daemon/socket-queues.js';

const UPLOAD_BYTES = 8 * 1024 * 1024;
/** More than fits anywhere: a reset says so. An end comes behind the bytes, so they must fit. */
const SENT_BYTES = { reset: 6 * 1024 * 1024, closed: 350 * 1024 };
/** Nothing has moved for so long: nothing will. */
const STILL_MS = 500;
const NOTICED_MS_MAX = 2_000;

t.test('its request ends', async (t) => {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined);
    t.teardown(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const daemon = await serve(t, {
    urls: [`http://127.0.0.1:${String(port)}`],
    health: { type: 'tcp', interval_ms: 60_000 },
    flags: { 'data-plane-max-request-bytes': String(UPLOAD_BYTES) },
  });
  const inFlight = async (): Promise<number> => {
    const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
    const { workers } = body as { workers: { in_flight: number }[] };
    return workers.reduce((sum, worker) => sum + worker.in_flight, 0);
  };
  for (const how of ['reset', 'closed'] as const) {
    const client = connect({ port: daemon.dataPort, host: '127.0.0.1' });
    client.on('error', () => undefined);
    client.write(
      'POST /serving-endpoints/s/invocations HTTP/1.1\r\nHost: router\r\n' +
        `Content-Length: ${String(UPLOAD_BYTES)}\r\nAuthorization: Bearer ${daemon.queryToken}\r\n\r\n`,
    );
    const pump = new Pump(client, SENT_BYTES[how]);
    await until(() => pump.idleMs > STILL_MS);
    t.equal(await inFlight(), 1, how);
    if (how === 'reset') client.resetAndDestroy();
    else client.destroy();
    const leftAt = performance.now();
    let left = 1;
    while (left > 0 && performance.now() - leftAt < NOTICED_MS_MAX) left = await inFlight();
    t.equal(left, 0, `noticed after ${String(Math.round(performance.now() - leftAt))} ms`);
  }
});
