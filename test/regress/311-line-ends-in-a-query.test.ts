/**
 * Without the front, a query came to JS as UTF-8 and went on to the replica with the low byte of each character: U+010D and
 * U+010A became CR and LF, and with them a request of the client's choice.
 */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon } from '../daemon/harness.js';
import { flagsOf, pathOf, startRecordingReplica } from '../daemon/data-modes.js';
import { ok, WireClient } from '../daemon/wire.js';

const RAW = pathOf('raw');

t.test('a query holds nothing but what a target may', async (t) => {
  const replica = await startRecordingReplica(t, (_request, socket) => socket.write(ok('{}')));
  const daemon = await startDaemon(t, { flags: flagsOf('js') });
  const [deployment] = deploymentsOf({ raw: replica.url });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [{ ...(deployment as object), protocol: 'raw' }],
    endpoints: [endpointOf('raw', { raw: 100 })],
  });
  await daemon.settled('raw');
  const send = async (query: string) => {
    const head =
      `POST ${RAW}?${query} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n` +
      `Authorization: Bearer ${daemon.queryToken}\r\n\r\n{}`;
    return (await new WireClient(t, daemon.dataPort).send(Buffer.from(head)).answer()).status;
  };
  t.equal(await send('a=b'), 200);
  replica.forget();
  const hidden = 'x\u0120HTTP/1.1\u010d\u010aHost:y\u010d\u010a\u010d\u010aGET\u0120/admin';
  for (const query of [hidden, 'é', 'a\u0080b', 'a\x7fb', 'a#b']) {
    t.equal(await send(query), 400, JSON.stringify(query));
  }
  t.equal(replica.bytes(), '', 'nothing went on');
});
