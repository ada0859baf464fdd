/** A 204 or 304 without Content-Length was sent on with one of 2^63, and its connection was lost. */
import t from 'tap';
import { endpointOf, startDaemon } from '../daemon/harness.js';
import { ok, startWireReplica, valuesOf, WireClient } from '../daemon/wire.js';

t.test('204 and 304 carry no length, and the connection lives on', async (t) => {
  const replica = await startWireReplica(t, (request, socket) => {
    if (request.method === 'DELETE') socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    else if (request.method === 'GET')
      socket.write('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n');
    else socket.write(ok('{}'));
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      {
        name: 'raw',
        protocol: 'raw',
        serves: [{ entity_name: 'lab.ml.s', entity_version: '1' }],
        replicas: [{ url: replica.url }],
        health: { interval_ms: 100 },
      },
    ],
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const client = new WireClient(t, daemon.dataPort);
  for (const [method, status] of [
    ['DELETE', 204],
    ['GET', 304],
    ['POST', 200],
    ['DELETE', 204],
  ] as const) {
    client.send(
      `${method} /serving-endpoints/s/invocations HTTP/1.1\r\nHost: a\r\n` +
        `Authorization: Bearer ${daemon.queryToken}\r\n\r\n`,
    );
    const answer = await client.answer(method);
    t.equal(answer.status, status);
    t.same(valuesOf(answer, 'content-length'), status === 200 ? ['2'] : []);
  }
});
