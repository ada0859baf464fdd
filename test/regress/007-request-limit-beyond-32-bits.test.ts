/** A limit of 4 GiB and more, which the configuration allows, reached the workers cut to 32 bits: as 0, all was too large. */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';

t.test('the largest request limit that can be set', async (t) => {
  const limit = 16 * 1024 ** 3;
  const daemon = await startDaemon(t, { flags: { 'data-plane-max-request-bytes': String(limit) } });
  const replica = await startNamedReplica(t, 's');
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const answer = await daemon.invoke('/serving-endpoints/s/invocations', { inputs: [1] });
  t.equal(answer.status, 200, answer.text);
});
