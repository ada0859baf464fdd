/** Clients that leave at every possible moment leave nothing behind: no request in flight, no connection, no descriptor. */
import { readdirSync } from 'node:fs';
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startReplica,
  type TestDaemon,
} from '../daemon/harness.js';
import { post, WireClient } from '../daemon/wire.js';

const ROUNDS = 4;
const CLIENTS = 150;

function descriptors(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}

async function worker(
  daemon: TestDaemon,
): Promise<{ pid: number; connections: number; in_flight: number }> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  const [first] = (body as { workers: { pid: number; connections: number; in_flight: number }[] })
    .workers;
  if (first === undefined) throw new Error('there is no worker');
  return first;
}

t.test('abort storm', async (t) => {
  const replica = await startReplica(t, (request, response) => {
    request.on('error', () => undefined);
    request.resume();
    request.once('end', () => {
      response.write('x'.repeat(1_000));
      setTimeout(() => response.end('x'.repeat(1_000)), 2);
    });
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      { ...(deploymentsOf({ s: replica.url })[0] as object), timeouts: { keepalive_idle_ms: 100 } },
    ],
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const path = '/serving-endpoints/s/invocations';
  await daemon.invoke(path, {});
  const { pid } = await worker(daemon);
  const before = descriptors(pid);
  const whole = post(daemon, path, 'x'.repeat(50_000));
  for (let round = 0; round < ROUNDS; round += 1) {
    const storm = Array.from({ length: CLIENTS }, async (_, index) => {
      const client = new WireClient(t, daemon.dataPort);
      // From "nothing sent" over "half a body" to "the answer is just coming".
      client.send(whole.slice(0, Math.floor((whole.length * (index % 50)) / 40)));
      await new Promise((resolve) => setTimeout(resolve, index % 8));
      if (index % 2 === 0) client.socket.destroy();
      else client.socket.resetAndDestroy();
    });
    await Promise.all(storm);
  }
  // The status call has a connection of its own to the admin port only.
  let now = await worker(daemon);
  while (now.connections > 0 || now.in_flight > 0 || descriptors(pid) > before) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    now = await worker(daemon);
  }
  t.equal(now.pid, pid, 'the worker has lived through it');
  t.equal((await daemon.invoke(path, {})).status, 200);
});
