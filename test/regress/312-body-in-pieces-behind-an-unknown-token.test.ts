/**
 * The JS door asked once more for a verdict with every piece of a body that came while the first was made, and sent a
 * request per verdict: the replica carried out one without the body.
 */
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { deploymentsOf, endpointOf, startDaemon } from '../daemon/harness.js';
import { flagsOf, pathOf, startRecordingReplica } from '../daemon/data-modes.js';
import { ok, WireClient } from '../daemon/wire.js';

const RAW = pathOf('raw');
const ROUNDS = 20;
const CHUNKS = ['hello', ' ', 'world', '!'];

t.test('one request, with the whole body', async (t) => {
  const replica = await startRecordingReplica(t, (_request, socket) => socket.write(ok('{}')));
  const issuer = new ExternalIssuer(t);
  const flags = { ...issuer.flags, ...flagsOf('js'), 'data-plane-workers': '1' };
  const daemon = await startDaemon(t, { flags });
  const [deployment] = deploymentsOf({ raw: replica.url });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [{ ...(deployment as object), protocol: 'raw' }],
    endpoints: [endpointOf('raw', { raw: 100 })],
  });
  await daemon.admin('POST', '/api/2.0/preview/scim/v2/Users', { userName: 'mia' });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/raw', {
    access_control_list: [{ user_name: 'mia', permission_level: 'CAN_QUERY' }],
  });
  await daemon.settled('raw');
  const chunked = CHUNKS.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join('');
  for (let round = 0; round < ROUNDS; round += 1) {
    const answer = await new WireClient(t, daemon.dataPort)
      .send(
        `POST ${RAW} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${issuer.token('mia')}\r\n` +
          `Transfer-Encoding: chunked\r\n\r\n${chunked}0\r\n\r\n`,
      )
      .answer();
    t.equal(answer.status, 200);
  }
  t.same(
    replica.requests.map(({ body }) => body.toString()),
    Array.from({ length: ROUNDS }, () => CHUNKS.join('')),
  );
});
