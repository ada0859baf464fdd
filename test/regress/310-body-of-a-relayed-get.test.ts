/**
 * The body of a GET that the data port relays to the supervisor went out behind a head that did not announce it: its bytes
 * were read as the next request on a connection of the worker's, which is other clients' too. Whoever was next gave his
 * credential to it.
 */
import { request } from 'node:http';
import t from 'tap';
import { relaySocketPath } from '../../src/control/relay-socket.js';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';
import { flagsOf, type DataMode } from '../daemon/data-modes.js';
import { jsonOf, WireClient } from '../daemon/wire.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const MODES: readonly DataMode[] = ['native', 'guarded', 'js'];

for (const mode of MODES) {
  t.test(`${mode}: a body is not the next request`, async (t) => {
    const flags = { 'data-plane-workers': '1', ...flagsOf(mode) };
    const daemon = await startDaemon(t, { flags });
    const replica = await startNamedReplica(t, 'a');
    const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: replica.url }),
      endpoints: [endpointOf('prod', { a: 100 })],
    });
    t.equal(applied.status, 200);
    const hidden = `DELETE ${ENDPOINTS}/prod HTTP/1.1\r\nHost: a\r\nX-Swallow: `;
    const credential = `Authorization: Bearer ${daemon.adminToken}\r\n`;
    for (const method of ['GET', 'HEAD']) {
      for (let round = 0; round < 3; round += 1) {
        const attacker = new WireClient(t, daemon.dataPort).send(
          `${method} /oidc/jwks.json HTTP/1.1\r\nHost: a\r\n` +
            `Content-Length: ${String(hidden.length)}\r\n\r\n${hidden}`,
        );
        t.equal((await attacker.answer(method)).status, 200);
        const victim = await new WireClient(t, daemon.dataPort)
          .send(`GET ${ENDPOINTS} HTTP/1.1\r\nHost: a\r\n${credential}\r\n`)
          .answer('GET');
        t.equal(victim.status, 200);
        t.match(jsonOf(victim), { endpoints: [{ name: 'prod' }] }, 'his own answer');
      }
    }
    t.equal((await daemon.admin('GET', `${ENDPOINTS}/prod`)).status, 200, 'nothing was deleted');
  });
}

t.test('the socket of the workers has what the data port has', async (t) => {
  const daemon = await startDaemon(t);
  const statusOf = (method: string, path: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const call = request({
        socketPath: relaySocketPath(daemon.stateDir),
        method,
        path,
        headers: { authorization: `Bearer ${daemon.adminToken}` },
      });
      call.once('error', reject);
      call.once('response', (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      call.end();
    });
  t.equal(await statusOf('GET', ENDPOINTS), 200);
  t.equal(await statusOf('GET', `${ENDPOINTS}?x=1`), 200);
  t.equal(await statusOf('DELETE', `${ENDPOINTS}/prod`), 404);
  t.equal(await statusOf('POST', ENDPOINTS), 404);
  t.equal(await statusOf('GET', '/metrics'), 404);
  t.equal(await statusOf('GET', '/api/2.0/pointsman/status'), 404);
});
