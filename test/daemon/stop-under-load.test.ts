/** SIGTERM while requests of two seconds come at 300 a second: all that were taken are answered, none hangs, exit code 0. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon } from './harness.js';
import { startReplicaProcess } from './replica-process.js';
import { BrokenAnswer, jsonOf, post, WireClient } from './wire.js';

const REQUEST_MS = 2_000;
const GAP_MS = 1_000 / 300;
const DRAIN_TIMEOUT_MS = 6_000;
const INVOKE = '/serving-endpoints/s/invocations';

interface Call {
  readonly sentAt: number;
  /** `refused`: no connection; `closed`: ended without a byte of answer. */
  readonly outcome: 'answered' | 'refused' | 'closed' | 'broken';
}

t.test('SIGTERM under load', async (t) => {
  const replica = await startReplicaProcess(t, 'a', { delayMs: REQUEST_MS });
  const daemon = await startDaemon(t, {
    flags: {
      'data-plane-workers': '2',
      'data-plane-drain-timeout-ms': String(DRAIN_TIMEOUT_MS),
    },
  });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const authorized = post(daemon, INVOKE, '{}', ['X-Lab: ID']);

  async function call(id: string): Promise<Call> {
    const sentAt = performance.now();
    const client = new WireClient(t, daemon.dataPort);
    const connected = new Set<string>();
    client.socket.once('connect', () => connected.add(id));
    try {
      const answer = await client.send(authorized.replace('ID', id)).answer();
      const isRight = answer.status === 200 && jsonOf(answer)['id'] === id;
      return { sentAt, outcome: isRight ? 'answered' : 'broken' };
    } catch (error) {
      if (!(error instanceof BrokenAnswer)) throw error;
      if (error.head !== '') return { sentAt, outcome: 'broken' };
      return { sentAt, outcome: connected.has(id) ? 'closed' : 'refused' };
    } finally {
      client.socket.destroy();
    }
  }

  const calls: Promise<Call>[] = [];
  const since = performance.now();
  let stoppedAt = 0;
  let ended: Promise<number | null> | null = null;
  while (performance.now() - since < 3_000) {
    while (calls.length < (performance.now() - since) / GAP_MS)
      calls.push(call(String(calls.length)));
    if (ended === null && performance.now() - since > 2_200) {
      stoppedAt = performance.now();
      ended = daemon.stop('SIGTERM');
    }
    await pause(2);
  }
  t.equal(await ended, 0);
  const tookMs = performance.now() - stoppedAt;
  t.ok(tookMs < DRAIN_TIMEOUT_MS, `ended after ${tookMs.toFixed(0)} ms`);
  const outcomes = await Promise.all(calls);
  // What was sent a moment before the signal may not have been accepted when the worker hears of it.
  const before = outcomes.filter(({ sentAt }) => sentAt < stoppedAt - 50);
  t.same([...new Set(before.map(({ outcome }) => outcome))], ['answered']);
  const counts = new Map<string, number>();
  for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  t.notOk(counts.has('broken'), 'nothing broke off');
  t.ok((counts.get('refused') ?? 0) > 0, 'who comes later is refused');
  t.comment(JSON.stringify([...counts]));
});
