/** An answer whose length stands for a body that is not sent (HEAD, 304) leaves the client's connection usable. */
import t, { type Test } from 'tap';
import { endpointOf, startDaemon } from '../daemon/harness.js';
import { startWireReplica, valuesOf, WireClient } from '../daemon/wire.js';

t.test('requests behind an answer without body', async (t) => {
  let bytes = '';
  const replica = await startWireReplica(t, (_request, socket) => socket.write(bytes));
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      {
        name: 'raw',
        protocol: 'raw',
        serves: [{ entity_name: 'lab.ml.raw', entity_version: '1' }],
        replicas: [{ url: replica.url }],
      },
    ],
    endpoints: [endpointOf('raw', { raw: 100 })],
  });
  await daemon.settled('raw');

  async function ask(t: Test, method: string, path: string, length: RegExp): Promise<void> {
    const client = new WireClient(t, daemon.dataPort);
    const request = [
      `${method} ${path} HTTP/1.1`,
      'Host: router',
      `Authorization: Bearer ${daemon.queryToken}`,
    ];
    for (let count = 0; count < 3; count += 1) {
      const answer = await client.send(`${request.join('\r\n')}\r\n\r\n`).answer('HEAD');
      t.match(valuesOf(answer, 'content-length'), [length]);
    }
  }

  const invoke = '/serving-endpoints/raw/invocations';
  bytes = 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n';
  await ask(t, 'HEAD', invoke, /^1234$/);
  bytes = 'HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n';
  await ask(t, 'GET', invoke, /^6$/);
  await ask(t, 'HEAD', '/serving-endpoints/nobody/invocations', /^[1-9][0-9]+$/);
  await ask(t, 'HEAD', '/healthz', /^15$/);
});
