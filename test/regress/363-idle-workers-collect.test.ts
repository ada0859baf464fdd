/**
 * Eight seconds after their start workers collected all garbage of their JavaScript, twice and with some 10 ms of no
 * request each, because V8 gives memory back when little happens.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { workersOf } from '../daemon/live.js';

const NS_PER_MS = 1e6;

/** CPU time of the thread that serves, in ms. */
function loopMs(pid: number): number {
  const text = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/schedstat`, 'utf8');
  return Number(text.split(' ')[0]) / NS_PER_MS;
}

t.test('an idle worker does nothing at length 8 seconds after its start', async (t) => {
  const daemon = await startDaemon(t);
  const [worker] = await workersOf(daemon);
  if (worker === undefined) throw new Error('no worker');
  const used: number[] = [];
  for (let second = 0; second < 11; second += 1) {
    const before = loopMs(worker.pid);
    await delay(1_000);
    used.push(loopMs(worker.pid) - before);
  }
  const busiest = Math.max(...used.slice(4));
  const usual = used.slice(4).sort((a, b) => a - b)[2] ?? 0;
  t.ok(busiest < usual + 6, `ms of each second: ${used.map((ms) => ms.toFixed(1)).join(', ')}`);
});
