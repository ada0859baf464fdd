/**
 * uWebSockets.js writes "Connection: close" at the moment it is asked to close. Asked at the end of a streamed
 * answer, it wrote the field between the chunks of the body.
 */
import { connect } from 'node:net';
import { once } from 'node:events';
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startReplica } from '../daemon/harness.js';

t.test('a streamed answer that came before the whole request ends as it should', async (t) => {
  const replica = await startReplica(t, (request, response) => {
    request.resume();
    // Before the request's body is there whole.
    response.write('first,');
    setTimeout(() => response.end('last'), 50);
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PUT', '/api/2.0/pointsman/manifest?wait=all', {
    deployments: deploymentsOf({ early: replica.url }),
    endpoints: [endpointOf('early', { early: 100 })],
  });
  const socket = connect(daemon.dataPort, '127.0.0.1');
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(
    `POST /serving-endpoints/early/invocations HTTP/1.1\r\nHost: x\r\n` +
      `Authorization: Bearer ${daemon.queryToken}\r\nContent-Length: 100\r\n\r\nhalf`,
  );
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  while (!text.endsWith('\r\n0\r\n\r\n')) await once(socket, 'data');
  const [head, body] = text.split('\r\n\r\n', 2);
  t.match(head, /^connection: close$/im, 'the client is told to close');
  t.match(body, /^\r?\n?6\r\nfirst,\r\n4\r\nlast\r\n0$/, 'nothing but chunks in the body');
});
