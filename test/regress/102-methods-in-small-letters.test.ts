/** A raw deployment was sent `get`, which RFC 9110 tells from GET, and a replica might not. */
import t from 'tap';
import { flagsOf, GUARDED_MODES, pathOf, startRecordingReplica } from '../daemon/data-modes.js';
import { deploymentsOf, endpointOf, startDaemon } from '../daemon/harness.js';
import { ok, post, WireClient } from '../daemon/wire.js';

for (const mode of GUARDED_MODES) {
  t.test(mode, async (t) => {
    const replica = await startRecordingReplica(t, (_request, socket) => {
      socket.write(ok('{}'));
    });
    const daemon = await startDaemon(t, { flags: flagsOf(mode) });
    const [deployment] = deploymentsOf({ raw: replica.url });
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: [{ ...(deployment as object), protocol: 'raw' }],
      endpoints: [endpointOf('raw', { raw: 100 })],
    });
    await daemon.settled('raw');
    for (const method of ['get', 'Post', 'A1', 'A!']) {
      const bytes = post(daemon, pathOf('raw'), '').replace('POST', method);
      const client = new WireClient(t, daemon.dataPort).send(bytes);
      t.equal((await client.answer()).status, 501, method);
    }
    const bytes = post(daemon, pathOf('raw'), '').replace('POST', 'M-SEARCH');
    t.equal((await new WireClient(t, daemon.dataPort).send(bytes).answer()).status, 200);
    t.same(
      replica.requests.map(({ method }) => method),
      ['M-SEARCH'],
    );
  });
}
