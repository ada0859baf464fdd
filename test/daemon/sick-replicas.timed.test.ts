/**
 * One of two replicas is killed, hung, swallowed by the network, or comes and goes: what clients see and how long it
 * takes them.
 */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { Crowd, readyOf, servedBy, serve, statusesOf } from './crowd.js';
import { until } from './live.js';
import { fillBacklog, startReplicaProcess } from './replica-process.js';
import { ok, startWireReplica, valuesOf, type WireRequest } from './wire.js';

/** What the timer wheel and a busy event loop may add to a timeout. */
const LATE_MS_MAX = 100;
/** A wait begins when the worker collected the event: on a busy machine, while it still handed out what came before. */
const EARLY_MS_MAX = 20;

t.test('one of two is killed, and comes back', async (t) => {
  const size = 16;
  const a = await startReplicaProcess(t, 'a', { delayMs: 5 });
  const b = await startReplicaProcess(t, 'b', { delayMs: 5 });
  const daemon = await serve(t, { urls: [a.url, b.url] });
  const crowd = new Crowd(t, daemon, size);
  await crowd.more(200);
  a.signal('SIGKILL');
  await a.ended;
  const killedAt = performance.now();
  await crowd.more(400);
  const failed = crowd.failures();
  t.ok(failed.length <= size, `${String(failed.length)} of ${String(size)} in flight failed`);
  t.same(statusesOf(failed, 502), [502]);
  // A request that was not sent yet goes to the other one; only what was on the way can fail.
  const late = failed.filter(({ endedAt }) => endedAt > killedAt + LATE_MS_MAX);
  t.same(late, [], 'none failed later');
  await until(async () => (await readyOf(daemon)).length === 1);
  await startReplicaProcess(t, 'a again', { port: a.port });
  await until(() => servedBy(crowd.outcomes, 'a again') > 20);
  t.pass('it takes its share again');
  await crowd.stop();
  t.equal(crowd.failures().length, failed.length, 'nothing failed after that');
});

t.test('one of two hangs, and goes on', async (t) => {
  const headerMs = 1_000;
  const a = await startReplicaProcess(t, 'a');
  const b = await startReplicaProcess(t, 'b');
  const daemon = await serve(t, {
    urls: [a.url, b.url],
    timeouts: { response_header_ms: headerMs },
  });
  const size = 8;
  const crowd = new Crowd(t, daemon, size, 2);
  await crowd.more(100);
  a.signal('SIGSTOP');
  await until(async () => (await readyOf(daemon)).length === 1);
  const foundAt = performance.now();
  await until(() => performance.now() > foundAt + headerMs + LATE_MS_MAX);
  const failed = crowd.failures();
  t.ok(failed.length > 0, 'some had been sent to it');
  t.same(statusesOf(failed), [504]);
  t.ok(failed.length <= size, `${String(failed.length)} of ${String(size)} callers waited once`);
  const waits = failed.map(({ tookMs }) => tookMs).sort((one, other) => one - other);
  const quickest = waits[0] ?? 0;
  t.ok(quickest >= headerMs - EARLY_MS_MAX, `not before: ${quickest.toFixed(1)} ms`);
  const slowest = waits.at(-1) ?? 0;
  t.ok(slowest <= headerMs + LATE_MS_MAX, `after ${slowest.toFixed(0)} of ${String(headerMs)} ms`);
  const before = servedBy(crowd.outcomes, 'a');
  a.signal('SIGCONT');
  await until(() => servedBy(crowd.outcomes, 'a') > before + 20);
  t.pass('it takes its share again, without a restart');
  await crowd.stop();
  t.equal(crowd.failures().length, failed.length, 'nothing failed after it was found out');
});

t.test('one of two swallows connections', async (t) => {
  const connectMs = 300;
  const a = await startReplicaProcess(t, 'a', { backlog: 1 });
  const b = await startReplicaProcess(t, 'b');
  const daemon = await serve(t, {
    urls: [a.url, b.url],
    // Nobody but the traffic itself finds out.
    health: { type: 'http', interval_ms: 60_000 },
    timeouts: { connect_ms: connectMs },
  });
  await until(async () => (await readyOf(daemon)).length === 2);
  a.signal('SIGSTOP');
  await fillBacklog(t, a.port);
  const crowd = new Crowd(t, daemon, 16);
  await crowd.more(400);
  const outcomes = await crowd.stop();
  t.same(crowd.failures().slice(0, 3), [], 'no client notices');
  t.equal(servedBy(outcomes, 'b'), outcomes.length);
  const slowest = Math.max(...outcomes.map(({ tookMs }) => tookMs));
  t.ok(slowest >= connectMs - EARLY_MS_MAX, 'some had to wait for it');
  t.ok(slowest <= connectMs + LATE_MS_MAX, `${slowest.toFixed(0)} of ${String(connectMs)} ms`);
});

t.test('one of two comes and goes every 500 ms', async (t) => {
  const flapMs = 500;
  const flaps = 4;
  const size = 8;
  const sockets = new Set<Socket>();
  const deliveries = new Map<string, number>();
  const answer = (name: string) => (request: WireRequest, socket: Socket) => {
    sockets.add(socket);
    const id = valuesOf(request, 'x-lab')[0] ?? '';
    deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
    socket.write(ok(JSON.stringify({ served: name, id })));
  };
  const a = await startWireReplica(t, answer('a'));
  const b = await startReplicaProcess(t, 'b');
  const port = Number(new URL(a.url).port);
  const daemon = await serve(t, { urls: [a.url, b.url] });
  const crowd = new Crowd(t, daemon, size, 1);
  await crowd.more(100);
  for (let flap = 0; flap < flaps; flap += 1) {
    if (flap % 2 === 0) {
      a.server.close();
      for (const socket of sockets) socket.resetAndDestroy();
      sockets.clear();
    } else {
      await new Promise<void>((resolve) => a.server.listen(port, '127.0.0.1', resolve));
    }
    await pause(flapMs);
  }
  const seen = servedBy(crowd.outcomes, 'a');
  await until(() => servedBy(crowd.outcomes, 'a') > seen + 20);
  const outcomes = await crowd.stop();
  const failed = crowd.failures();
  t.same(statusesOf(failed, 502), [502]);
  const most = (flaps / 2) * size;
  t.ok(failed.length <= most, `${String(failed.length)} of ${String(outcomes.length)} failed`);
  t.equal(Math.max(...deliveries.values()), 1, 'nothing is delivered twice');
  const slowest = Math.max(...outcomes.map(({ tookMs }) => tookMs));
  t.ok(slowest < 500, `nobody waits: ${slowest.toFixed(0)} ms`);
});
