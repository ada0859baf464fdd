/**
 * A replica that promises to keep connections and closes each one behind its answer. What may be repeated is, and
 * the rest never hangs.
 */
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from '../daemon/harness.js';
import { ok, startWireReplica, WireClient } from '../daemon/wire.js';

const CLIENTS = 50;
const REQUESTS = 20;

async function statuses(
  t: Test,
  daemon: TestDaemon,
  method: string,
  name: string,
): Promise<Set<number>> {
  const seen = new Set<number>();
  const bytes =
    `${method} /serving-endpoints/${name}/invocations HTTP/1.1\r\nHost: a\r\n` +
    `Authorization: Bearer ${daemon.queryToken}\r\n\r\n`;
  const run = async (): Promise<void> => {
    const client = new WireClient(t, daemon.dataPort);
    for (let count = 0; count < REQUESTS; count += 1) {
      seen.add((await client.send(bytes).answer(method)).status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, run));
  return seen;
}

t.test('kept connections that are closed at once', async (t) => {
  let reset = false;
  const replica = await startWireReplica(t, (_request, socket) => {
    if (!reset) socket.end(ok('{}'));
    else socket.write(ok('{}'), () => setImmediate(() => socket.resetAndDestroy()));
  });
  const daemon = await startDaemon(t);
  const deployment = (name: string, replaySafe: boolean): object => ({
    name,
    protocol: 'raw',
    serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }],
    replicas: [{ url: replica.url }],
    replay_safe: replaySafe,
  });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [deployment('careful', false), deployment('safe', true)],
    endpoints: [endpointOf('careful', { careful: 100 }), endpointOf('safe', { safe: 100 })],
  });
  for (const name of ['careful', 'safe']) await daemon.settled(name);
  for (reset of [false, true]) {
    t.same([...(await statuses(t, daemon, 'GET', 'careful'))], [200], 'GET may be repeated');
    t.same(
      [...(await statuses(t, daemon, 'POST', 'safe'))],
      [200],
      'POST may, if the deployment says so',
    );
    const careful = await statuses(t, daemon, 'POST', 'careful');
    t.ok(
      [...careful].every((status) => status === 200 || status === 502),
      [...careful].join(),
    );
  }
});
