/** No replica works: what clients see, how soon, how often the replicas are tried, and that it ends by itself. */
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Caller, Crowd, readyOf, serve, statusesOf, type Outcome } from './crowd.js';
import type { TestDaemon } from './harness.js';
import { until } from './live.js';
import { fillBacklog, startReplicaProcess } from './replica-process.js';
import { ok, startWireReplica, valuesOf } from './wire.js';

/** What the timer wheel and a busy event loop may add to a timeout. */
const LATE_MS_MAX = 100;
const STORM_MS = 2_000;
const ATTEMPTS_PER_REQUEST_MAX = 1.2;

t.test('all of them swallow connections', async (t) => {
  const connectMs = 300;
  const a = await startReplicaProcess(t, 'a', { backlog: 1 });
  const daemon = await serve(t, {
    urls: [a.url],
    health: { type: 'http', interval_ms: 60_000 },
    timeouts: { connect_ms: connectMs },
  });
  a.signal('SIGSTOP');
  await fillBacklog(t, a.port);
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, number) => new Caller(t, daemon).call(String(number))),
  );
  t.same(statusesOf(outcomes, 503, 504), [503, 504]);
  const slowest = Math.max(...outcomes.map(({ tookMs }) => tookMs));
  t.ok(slowest <= connectMs + LATE_MS_MAX, `${slowest.toFixed(0)} of ${String(connectMs)} ms`);
});

async function connectFailures(daemon: TestDaemon): Promise<number> {
  const { text } = await daemon.admin('GET', '/metrics');
  const lines = text.split('\n').filter((line) => /^pointsman_address_connect_failures/.test(line));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** 200 requests a second for as long; what became of them. */
async function storm(t: Test, daemon: TestDaemon, ms: number): Promise<Outcome[]> {
  const calls: Promise<Outcome>[] = [];
  const since = performance.now();
  while (performance.now() - since < ms) {
    while (calls.length < (performance.now() - since) / 5) {
      calls.push(new Caller(t, daemon).call(String(calls.length)));
    }
    await pause(5);
  }
  return Promise.all(calls);
}

t.test('all of them refuse connections: no avalanche', async (t) => {
  const replicas = await Promise.all(['a', 'b', 'c'].map((name) => startReplicaProcess(t, name)));
  const daemon = await serve(t, {
    urls: replicas.map(({ url }) => url),
    health: { type: 'http', interval_ms: 60_000 },
  });
  await until(async () => (await readyOf(daemon)).length === 3);
  for (const replica of replicas) replica.signal('SIGKILL');
  await Promise.all(replicas.map(({ ended }) => ended));
  const before = await connectFailures(daemon);
  const outcomes = await storm(t, daemon, STORM_MS);
  const attempts = (await connectFailures(daemon)) - before;
  t.same(statusesOf(outcomes, 502, 503), [502, 503]);
  const rate = attempts / outcomes.length;
  t.ok(rate > 0, 'attempts are counted');
  t.ok(rate <= ATTEMPTS_PER_REQUEST_MAX, `${rate.toFixed(2)} attempts per request`);
  await Promise.all(replicas.map(({ port }) => startReplicaProcess(t, 'new', { port })));
  const caller = new Caller(t, daemon);
  await until(async () => (await caller.call('again')).status === 200);
  t.pass('it serves again, though no probe has looked');
});

t.test('all of them reset every request: no avalanche', async (t) => {
  let attempts = 0;
  let isSick = false;
  const start = () =>
    startWireReplica(t, (request, socket) => {
      if (isSick) {
        attempts += 1;
        socket.resetAndDestroy();
        return;
      }
      const id = valuesOf(request, 'x-lab')[0] ?? '';
      socket.write(ok(JSON.stringify({ served: 'x', id })));
    });
  const replicas = [await start(), await start()];
  const daemon = await serve(t, {
    urls: replicas.map(({ url }) => url),
    health: { type: 'tcp', interval_ms: 100 },
    replaySafe: true,
  });
  const crowd = new Crowd(t, daemon, 16);
  await crowd.more(200);
  await crowd.stop();
  isSick = true;
  const outcomes = await storm(t, daemon, STORM_MS);
  t.same(statusesOf(outcomes, 502, 503), [502, 503]);
  const rate = attempts / outcomes.length;
  t.ok(rate <= ATTEMPTS_PER_REQUEST_MAX, `${rate.toFixed(2)} attempts per request`);
  isSick = false;
  const caller = new Caller(t, daemon);
  await until(async () => (await caller.call('again')).status === 200);
  t.pass('it serves again');
});
