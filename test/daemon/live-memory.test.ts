/** Thousands of changes leave nothing behind; bench/updates.mjs makes a hundred thousand. */
import t from 'tap';
import { residentMiB, startDaemon } from './harness.js';
import { changeSplit, configure, FOUR_WORKERS, Load, until, workersOf } from './live.js';

const WARM_UP = 300;
const UPDATES = 2_000;
/** Garbage that is not collected yet; a leak of 16 KiB per update would show as 32 MiB. */
const GROWTH_MIB_MAX = 24;

t.test('2,000 updates under load', { timeout: 120_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, daemon, { a: 50, b: 50 });
  const load = new Load(t, daemon, 4);
  const update = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) {
      const share = count % 101;
      const status = await changeSplit(daemon, { a: share, b: 100 - share });
      if (status !== 200) throw new Error(`update ${String(count)}: ${String(status)}`);
    }
  };
  const pids = [daemon.process.pid ?? 0, ...(await workersOf(daemon)).map(({ pid }) => pid)];
  await update(WARM_UP);
  const before = pids.map(residentMiB);
  await update(UPDATES);
  const after = pids.map(residentMiB);
  await load.stop();
  t.same(load.failures, []);
  for (const [index, size] of after.entries()) {
    const growth = size - (before[index] ?? 0);
    const name = index === 0 ? 'supervisor' : `worker ${String(index - 1)}`;
    t.ok(growth < GROWTH_MIB_MAX, `${name}: ${size.toFixed(0)} MiB, ${growth.toFixed(1)} more`);
  }
  await until(async () => (await workersOf(daemon)).every((worker) => worker.revisions_held === 0));
  t.pass('no worker holds an old revision');
});
