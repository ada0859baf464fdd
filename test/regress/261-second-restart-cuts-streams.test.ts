/**
 * A supervisor that came after two dead ones asked workers of the first for sockets that they had let go of long ago,
 * waited 5 s for them, and killed whoever was still finishing a stream.
 */
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startStreamReplica,
  type TestDaemon,
} from '../daemon/harness.js';
import { post, WireClient } from '../daemon/wire.js';
import { until, workersOf } from '../daemon/live.js';

const EVENTS = 100;

t.test('a stream outlives two supervisors', { timeout: 60_000 }, async (t) => {
  const flags = { 'data-plane-workers': '2' };
  const first = await startDaemon(t, { flags });
  const replica = await startStreamReplica(t, EVENTS);
  await first.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ stream: replica.url }),
    endpoints: [endpointOf('stream', { stream: 100 })],
  });
  await first.settled('stream');
  const path = '/serving-endpoints/stream/invocations';
  const answer = new WireClient(t, first.dataPort)
    .send(post(first, path, '{"inputs":[1]}'))
    .answer();
  // Handled at once, so that a failure before anybody waits is no unhandled rejection.
  answer.catch(() => undefined);
  await until(async () => (await workersOf(first)).some((worker) => worker.in_flight > 0));
  const restart = async (daemon: TestDaemon): Promise<TestDaemon> => {
    await daemon.stop('SIGKILL');
    const listen = `127.0.0.1:${String(first.dataPort)}`;
    const options = { stateDir: first.stateDir, flags: { ...flags, 'data-plane-listen': listen } };
    return startDaemon(t, options);
  };
  const second = await restart(first);
  // Answered when the old workers start no more requests: they have long let go of their sockets.
  const change = await second.admin('PATCH', '/api/2.0/pointsman/manifest', {
    endpoints: [endpointOf('other', { stream: 100 })],
  });
  t.equal(change.status, 200, change.text);
  const third = await restart(second);
  const { status, body } = await answer;
  t.equal(status, 200);
  t.equal(body.toString().split('\n').filter(Boolean).length, EVENTS, 'the stream is whole');
  t.equal(await third.stop(), 0);
});
