/**
 * Any number of spaces stood between a token and its scheme, and each spelling was remembered as a token of its own: who had
 * one good token could push those of everybody else out of the workers' caches.
 */
import t from 'tap';
import { flagsOf, type DataMode } from '../daemon/data-modes.js';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';

const PATH = '/serving-endpoints/live/invocations';
const ME = '/api/2.0/preview/scim/v2/Me';
const MODES: readonly DataMode[] = ['native', 'guarded', 'js'];

for (const mode of MODES) {
  t.test(`one space stands before the token, ${mode}`, async (t) => {
    const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1', ...flagsOf(mode) } });
    const replica = await startNamedReplica(t, 'a');
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: replica.url }),
      endpoints: [endpointOf('live', { a: 100 })],
    });
    await daemon.settled('live');
    const { adminToken } = daemon;
    const basic = Buffer.from(`token:${adminToken}`).toString('base64');
    for (const [scheme, value] of [
      ['Bearer', adminToken],
      ['BEARER', adminToken],
      ['Basic', basic],
    ] as const) {
      for (const [spaces, status] of [
        [' ', 200],
        ['  ', 401],
        [' '.repeat(100), 401],
      ] as const) {
        const headers = { authorization: `${scheme}${spaces}${value}` };
        const what = `${scheme} and ${String(spaces.length)} spaces`;
        t.equal((await daemon.invoke(PATH, {}, headers)).status, status, what);
        t.equal((await daemon.admin('GET', ME, undefined, headers)).status, status, what);
      }
    }
  });
}
