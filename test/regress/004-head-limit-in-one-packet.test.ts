/** The limit of a request's head held only for heads that came in pieces; one that came at once had none. */
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';
import { jsonOf, post, WireClient } from '../daemon/wire.js';

t.test('a head over the limit is refused, whichever part is too long', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-max-header-bytes': '8192' } });
  const replica = await startNamedReplica(t, 's');
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const path = '/serving-endpoints/s/invocations';
  const heads = {
    field: post(daemon, path, '{}', [`X-Large: ${'x'.repeat(8_192)}`]),
    fields: post(
      daemon,
      path,
      '{}',
      Array.from({ length: 60 }, (_, i) => `X-${String(i)}: ${'x'.repeat(200)}`),
    ),
    query: post(daemon, `${path}?${'q'.repeat(8_192)}`, '{}'),
  };
  for (const [title, bytes] of Object.entries(heads)) {
    const answer = await new WireClient(t, daemon.dataPort).send(bytes).answer();
    // A target that alone is too long has a status of its own (RFC 9112, 3).
    t.equal(answer.status, title === 'query' ? 414 : 431, title);
    t.match(jsonOf(answer), {
      error_code: 'INVALID_PARAMETER_VALUE',
      message: /max_header_bytes \(8192\)/,
    });
  }
  t.equal((await daemon.invoke(path, {})).status, 200);
});
