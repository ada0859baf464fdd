/**
 * A client that left behind a body of more than one read was not noticed: the kernel tells of the end once, two reads were
 * made for it, and the end lay behind a third. Its replica worked on for a client that was gone, until a timeout.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { serve } from '../daemon/crowd.js';
import { until } from '../daemon/live.js';
import { post } from '../daemon/wire.js';

const PATH = '/serving-endpoints/s/invocations';
/** From fewer than one read to more than the replica's side buffers. */
const SIZES_KIB = [40, 100, 200, 400];
const CANCEL_MS_MAX = 1_000;
const STOPPED_MS = 100;

/** Takes requests and never answers. */
async function startSilent(t: Test): Promise<{ url: string; open: Set<Socket> }> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket.resume());
    socket.on('error', () => undefined);
    socket.once('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, open };
}

t.test('its replica is released at once', async (t) => {
  const replica = await startSilent(t);
  const flags = { 'data-plane-max-request-bytes': String(1024 * 1024) };
  const daemon = await serve(t, {
    urls: [replica.url],
    health: { type: 'tcp', interval_ms: 60_000 },
    flags,
  });
  await until(() => replica.open.size === 0);
  const worker = await daemon.workerPid();
  for (const kib of SIZES_KIB) {
    const client = connect({ port: daemon.dataPort, host: '127.0.0.1', noDelay: true });
    // Reset, when the daemon closes what it has not read.
    client.on('error', () => undefined);
    await new Promise((resolve) => client.once('connect', resolve));
    // Request and end have come before the worker looks.
    process.kill(worker, 'SIGSTOP');
    client.end(post(daemon, PATH, 'x'.repeat(kib * 1024)));
    await pause(STOPPED_MS);
    process.kill(worker, 'SIGCONT');
    const continuedAt = performance.now();
    await pause(STOPPED_MS);
    await until(() => replica.open.size === 0 || performance.now() - continuedAt > CANCEL_MS_MAX);
    t.equal(replica.open.size, 0, `${String(kib)} KiB`);
    client.destroy();
    for (const socket of replica.open) socket.destroy();
  }
});
