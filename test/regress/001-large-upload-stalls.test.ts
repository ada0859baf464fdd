/**
 * A request whose first piece was already more than the engine holds for a replica stood still for ever: the client
 * was paused, and nobody said when to go on, because all of it had left at the moment the replica was connected.
 */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startReplica } from '../daemon/harness.js';
import { post, WireClient } from '../daemon/wire.js';

t.test('four megabytes at once, on a fresh and on a kept connection', async (t) => {
  const replica = await startReplica(t, (request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.once('end', () => response.end(String(bytes)));
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const body = 'x'.repeat(4 * 1024 * 1024);
  const client = new WireClient(t, daemon.dataPort);
  for (let count = 0; count < 5; count += 1) {
    const answer = await client
      .send(post(daemon, '/serving-endpoints/s/invocations', body))
      .answer();
    t.equal(answer.body.toString(), String(body.length));
  }
});
