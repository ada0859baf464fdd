/**
 * After a restart the admin port answered while workers of the dead supervisor still started requests: what it took
 * away went on being granted by them on connections that were open, for up to a second.
 */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';
import { post, WireClient } from '../daemon/wire.js';

const PATH = '/serving-endpoints/live/invocations';

t.test('a token revoked right after a restart is refused everywhere', async (t) => {
  const flags = { 'data-plane-workers': '2' };
  const first = await startDaemon(t, { flags });
  const replica = await startNamedReplica(t, 'a');
  await first.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ a: replica.url }),
    endpoints: [endpointOf('live', { a: 100 })],
  });
  await first.settled('live');
  const made = await first.admin('POST', '/api/2.0/preview/scim/v2/ServicePrincipals', {
    displayName: 'm',
  });
  const { applicationId } = made.body as { applicationId: string };
  const { body: endpoint } = await first.admin('GET', '/api/2.0/serving-endpoints/live');
  const { id } = endpoint as { id: string };
  await first.admin('PUT', `/api/2.0/permissions/serving-endpoints/${id}`, {
    access_control_list: [{ service_principal_name: applicationId, permission_level: 'CAN_QUERY' }],
  });
  const { body } = await first.admin('POST', '/api/2.0/token-management/on-behalf-of/tokens', {
    application_id: applicationId,
  });
  const { token_value: token, token_info: info } = body as {
    token_value: string;
    token_info: { token_id: string };
  };
  const request = post({ queryToken: token }, PATH, '{"inputs":[1]}');
  const kept = Array.from({ length: 4 }, () => new WireClient(t, first.dataPort));
  for (const client of kept) t.equal((await client.send(request).answer()).status, 200);
  await first.stop('SIGKILL');
  const listen = `127.0.0.1:${String(first.dataPort)}`;
  const second = await startDaemon(t, {
    stateDir: first.stateDir,
    flags: { ...flags, 'data-plane-listen': listen },
  });
  const revoked = await second.admin('DELETE', `/api/2.0/token-management/tokens/${info.token_id}`);
  t.equal(revoked.status, 200);
  for (const client of kept) {
    // Whoever starts nothing any more closes the connection.
    const status = await client
      .send(request)
      .answer()
      .then(
        (answer) => answer.status,
        () => 'closed',
      );
    t.not(status, 200);
  }
  t.equal(await second.stop(), 0);
});
