/**
 * A request that waited for a place in a worker of a dead supervisor was served although the next supervisor had revoked
 * its token meanwhile: only what was not dispatched yet was refused, and nobody tells an old worker what is revoked.
 */
import type { ServerResponse } from 'node:http';
import t from 'tap';
import { flagsOf, type DataMode } from '../daemon/data-modes.js';
import { deploymentsOf, endpointOf, startDaemon, startReplica } from '../daemon/harness.js';
import { until } from '../daemon/live.js';
import { jsonOf, post, WireClient } from '../daemon/wire.js';

const PATH = '/serving-endpoints/live/invocations';
const DEPLOYMENT = '/api/2.0/pointsman/deployments/a';
const MODES: readonly DataMode[] = ['native', 'guarded', 'js'];

for (const mode of MODES) {
  t.test(`who waits when the supervisor is another one, ${mode}`, async (t) => {
    const flags = { 'data-plane-workers': '1', ...flagsOf(mode) };
    const first = await startDaemon(t, { flags });
    const held: ServerResponse[] = [];
    const replica = await startReplica(t, (request, response) => {
      request.resume();
      held.push(response);
      if (held.length > 1) response.end('{}');
    });
    const [deployment] = deploymentsOf({ a: replica.url });
    const limits = { max_in_flight: 1, queue: 9, queue_ms: 60_000 };
    await first.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: [{ ...(deployment as object), limits }],
      endpoints: [endpointOf('live', { a: 100 })],
    });
    await first.settled('live');
    const { body } = await first.admin('POST', '/api/2.0/token/create', { comment: 'mine' });
    const { token_value: token, token_info: info } = body as {
      token_value: string;
      token_info: { token_id: string };
    };
    const send = (queryToken: string): WireClient =>
      new WireClient(t, first.dataPort).send(post({ queryToken }, PATH, '{}'));
    const holder = send(first.queryToken);
    await until(() => held.length === 1);
    const waiter = send(token);
    await until(async () => {
      const view = (await first.admin('GET', DEPLOYMENT)).body as { load: { waiting: number } };
      return view.load.waiting === 1;
    });
    await first.stop('SIGKILL');
    const listen = `127.0.0.1:${String(first.dataPort)}`;
    const second = await startDaemon(t, {
      stateDir: first.stateDir,
      flags: { ...flags, 'data-plane-listen': listen },
    });
    const revoked = await second.admin('POST', '/api/2.0/token/delete', {
      token_id: info.token_id,
    });
    t.equal(revoked.status, 200, revoked.text);
    held[0]?.end('{}');
    t.equal((await holder.answer()).status, 200, 'what was dispatched runs to its end');
    const refused = await waiter.answer();
    t.equal(refused.status, 503);
    t.match(jsonOf(refused), { error_code: 'TEMPORARILY_UNAVAILABLE' });
    t.equal(held.length, 1, 'no replica saw it');
    t.equal(await second.stop(), 0);
  });
}
