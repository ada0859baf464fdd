/** Workers do not wait for a supervisor that is busy on their core: what the kernel knows of priorities and slices. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, release } from 'node:os';
import t from 'tap';
import { startDaemon } from './harness.js';
import { FOUR_WORKERS, until, workersOf } from './live.js';

/** All threads, the main one first. */
function threadsOf(pid: number): string[] {
  const threads = readdirSync(`/proc/${String(pid)}/task`);
  return threads.sort((a, b) => Number(b === String(pid)) - Number(a === String(pid)));
}

/** Slices in ns, that of the main thread first. */
function slicesOf(pid: number): number[] {
  return threadsOf(pid).map((thread) => {
    const text = readFileSync(`/proc/${String(pid)}/task/${thread}/sched`, 'utf8');
    return Number(/^se\.slice\s*:\s*(\d+)$/m.exec(text)?.[1]);
  });
}

/** Nice values, that of the main thread first. */
function nicesOf(pid: number): number[] {
  return threadsOf(pid).map((thread) => getPriority(Number(thread)));
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

/** Of the supervisor and of threads that verify tokens. */
const NICE_ADDED = 10;

t.test('the supervisor is nicer than its workers, respawned ones too', async (t) => {
  const own = getPriority();
  if (own + NICE_ADDED > 19) {
    t.comment('this process is as nice as can be');
    return;
  }
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const nices = nicesOf(daemon.process.pid ?? 0);
  t.equal(nices[0], own + NICE_ADDED);
  t.same(
    nices.filter((nice) => nice !== own + NICE_ADDED),
    [own],
    'all its threads but the one that starts workers',
  );
  const before = await workersOf(daemon);
  for (const { slot, pid } of before) {
    const [main, ...others] = nicesOf(pid);
    t.equal(main, own, `the loop of worker ${String(slot)} is as before`);
    const nicer = others.filter((nice) => nice === own + NICE_ADDED);
    t.ok(nicer.length > 4, 'what verifies tokens and what compiles is nicer');
  }
  const [first] = before;
  if (first === undefined) throw new Error('no worker');
  process.kill(first.pid, 'SIGKILL');
  await until(async () => {
    const worker = (await workersOf(daemon)).find(({ slot }) => slot === first.slot);
    if (worker?.state !== 'SERVING' || worker.pid === first.pid) return false;
    t.equal(nicesOf(worker.pid)[0], own, 'and so is the one that comes after it');
    return true;
  });
});

const reason = obstacle();
t.test('slices', reason === '' ? {} : { skip: reason }, async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const [own = 0] = slicesOf(process.pid);
  const supervisor = slicesOf(daemon.process.pid ?? 0);
  t.ok(own < 20_000_000, 'the kernel’s own is shorter');
  t.ok(own > 100_000, 'and longer than the shortest');
  t.same(
    supervisor.filter((slice) => slice !== 20_000_000),
    [own],
    'every thread of the supervisor but the one that starts workers has a long one',
  );
  for (const { slot, pid } of await workersOf(daemon)) {
    const [main, ...others] = slicesOf(pid);
    t.equal(main, 100_000, `the loop of worker ${String(slot)} has the shortest`);
    t.same(new Set(others), new Set([own]), 'its helpers have the kernel’s own');
  }
});
