/**
 * A change that waited for a worker's answer when SIGTERM came went on to wait 10 s for the next process of the slot,
 * which nobody starts any more, and the end of the daemon waited for the change.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { CONFIG, FaultyDaemon, markedConfig } from '../daemon/faulty-daemon.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, until, workersOf } from '../daemon/live.js';

function isStopped(pid: number): boolean {
  return readFileSync(`/proc/${String(pid)}/stat`, 'latin1').includes(') T ');
}

t.test('SIGTERM while workers do not answer a change', { timeout: 25_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const flags = { ...faulty.options.flags, 'data-plane-drain-timeout-ms': '1000' };
  const daemon = await startDaemon(t, { ...faulty.options, flags });
  await configure(t, daemon, { a: 100 });
  const pids = (await workersOf(daemon)).map(({ pid }) => pid);
  faulty.inject('stop');
  const change = daemon.admin('PUT', CONFIG, markedConfig()).catch(() => undefined);
  await until(() => pids.every(isStopped));
  const toldAt = performance.now();
  t.equal(await daemon.stop(), 0);
  const tookMs = performance.now() - toldAt;
  t.ok(tookMs < 3_500, `ended ${tookMs.toFixed(0)} ms after the signal`);
  await change;
});
