/** A deployment whose replica is the data port itself: each request went round until its head was too large. */
import t from 'tap';
import { endpointOf, startDaemon } from '../daemon/harness.js';
import { flagsOf, type DataMode } from '../daemon/data-modes.js';
import { jsonOf, post, valuesOf, WireClient } from '../daemon/wire.js';

const MODES: readonly DataMode[] = ['native', 'guarded', 'js'];
/** The client's own, one behind each hop of kHopsMax, and the one that has passed too many. */
const REQUESTS = 10;

for (const mode of MODES) {
  t.test(mode, async (t) => {
    const daemon = await startDaemon(t, {
      flags: { 'auth-mode': 'disabled', 'data-plane-workers': '1', ...flagsOf(mode) },
    });
    const url = `http://127.0.0.1:${String(daemon.dataPort)}/serving-endpoints/circle`;
    const { status, text } = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: [
        {
          name: 'm',
          serves: [{ entity_name: 'lab.ml.m', entity_version: '1' }],
          replicas: [{ url }],
          health: { type: 'tcp' },
        },
      ],
      endpoints: [endpointOf('circle', { m: 100 })],
    });
    t.equal(status, 200, text);
    await daemon.settled('circle');
    const client = new WireClient(t, daemon.dataPort);
    const answer = await client
      .send(post(daemon, '/serving-endpoints/circle/invocations', '{}'))
      .answer();
    t.equal(answer.status, 508, answer.head);
    t.same(valuesOf(answer, 'x-pointsman-error'), []);
    t.match(jsonOf(answer), {
      error_code: 'INTERNAL_ERROR',
      message: /loop: a replica of served entity m leads back/,
    });
    const metrics = await daemon.admin('GET', '/metrics');
    const rounds = metrics.text.matchAll(/^pointsman_requests_total\{endpoint="circle".* (\d+)$/gm);
    t.equal(
      [...rounds].reduce((sum, [, count]) => sum + Number(count), 0),
      REQUESTS,
    );
  });
}
