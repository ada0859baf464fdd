/** Workers do not wait for a supervisor that is busy on their core: what the kernel knows of the time slices. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import t from 'tap';
import { startDaemon } from './harness.js';
import { FOUR_WORKERS, workersOf } from './live.js';

/** Slices of all threads in ns, that of the main thread first. */
function slicesOf(pid: number): number[] {
  const folder = `/proc/${String(pid)}/task`;
  const threads = readdirSync(folder).sort(
    (a, b) => Number(b === String(pid)) - Number(a === String(pid)),
  );
  return threads.map((thread) => {
    const text = readFileSync(`${folder}/${thread}/sched`, 'utf8');
    return Number(/^se\.slice\s*:\s*(\d+)$/m.exec(text)?.[1]);
  });
}

/** Why there is nothing to see here; empty when there is. */
function obstacle(): string {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (major < 6 || (major === 6 && minor < 12)) return 'the kernel is older than 6.12';
  try {
    return Number.isNaN(slicesOf(process.pid)[0]) ? 'the kernel does not show slices' : '';
  } catch {
    return 'the kernel does not show slices';
  }
}

const reason = obstacle();
t.test('slices', reason === '' ? {} : { skip: reason }, async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const [own = 0] = slicesOf(process.pid);
  const supervisor = slicesOf(daemon.process.pid ?? 0);
  t.ok(own < 20_000_000, 'the kernel’s own is shorter');
  t.ok(supervisor.length > 1);
  t.same(
    new Set(supervisor),
    new Set([20_000_000]),
    'every thread of the supervisor has a long one',
  );
  for (const { slot, pid } of await workersOf(daemon)) {
    const [main] = slicesOf(pid);
    t.equal(main, own, `the loop of worker ${String(slot)} has the kernel’s own`);
  }
});
