/** Field values in UTF-8 were encoded once more on their way to the client, and read as latin1 on their way to the replica. */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon } from '../daemon/harness.js';
import { ok, post, startWireReplica, valuesOf, WireClient } from '../daemon/wire.js';

t.test('values go through byte by byte in both directions', async (t) => {
  const inUtf8 = Buffer.from('x\u00e9\u20ac\u{1f600}y').toString('latin1');
  const inLatin1 = 'caf\xe9 \xff';
  let seen: string[] = [];
  const replica = await startWireReplica(t, (request, socket) => {
    seen = valuesOf(request, 'x-author');
    socket.write(ok('{}', [`X-Back: ${inUtf8}`, `X-Old: ${inLatin1}`]), 'latin1');
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const request = post(daemon, '/serving-endpoints/s/invocations', '{}', [`X-Author: ${inUtf8}`]);
  const answer = await new WireClient(t, daemon.dataPort).send(request).answer();
  t.same(seen, [inUtf8]);
  t.same(valuesOf(answer, 'x-back'), [inUtf8]);
  t.same(valuesOf(answer, 'x-old'), [inLatin1]);
});
