import t from 'tap';
import { RespawnPolicy } from '../../../src/supervisor/respawn.js';

t.test('single deaths are repaired at once, however many there are over time', (t) => {
  const policy = new RespawnPolicy();
  for (let day = 1; day <= 5; day += 1) {
    t.equal(policy.died(day * 86_400_000, 86_400_000, null), 0);
  }
  t.end();
});

t.test(
  'the first two respawns of a series come within a second, then the delay doubles up to 30 s',
  (t) => {
    const policy = new RespawnPolicy();
    const delays: number[] = [];
    let nowMs = 0;
    for (let death = 0; death < 10; death += 1) {
      // Each process lives for 100 ms.
      nowMs += 100;
      const delayMs = policy.died(nowMs, 100, 'SIGKILL');
      delays.push(delayMs);
      nowMs += delayMs;
    }
    const [first, second] = delays;
    t.equal(first, 0);
    t.ok(second !== undefined && second < 1_000);
    t.same(delays.slice(2), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    t.end();
  },
);

t.test('a worker that lived for ten seconds ends the series', (t) => {
  const policy = new RespawnPolicy();
  for (let nowMs = 0; nowMs < 5; nowMs += 1) policy.died(nowMs, 1, null);
  t.equal(policy.died(30_000, 10_000, null), 0);
  t.end();
});

t.test('three deaths spread over more than ten seconds are no series', (t) => {
  const policy = new RespawnPolicy();
  t.equal(policy.died(0, 5_000, null), 0);
  t.ok(policy.died(6_000, 5_900, null) < 1_000);
  t.ok(policy.died(12_000, 5_900, null) < 1_000);
  t.end();
});

t.test('two native crashes within a minute degrade the slot', (t) => {
  const policy = new RespawnPolicy();
  policy.died(0, 20_000, 'SIGSEGV');
  policy.died(30_000, 20_000, 'SIGKILL');
  policy.died(61_000, 20_000, 'SIGABRT');
  t.notOk(policy.degraded, 'more than a minute between them, and a kill is no crash');
  policy.died(90_000, 20_000, 'SIGBUS');
  t.ok(policy.degraded);
  policy.died(900_000, 800_000, null);
  t.ok(policy.degraded, 'until the daemon ends');
  t.end();
});
