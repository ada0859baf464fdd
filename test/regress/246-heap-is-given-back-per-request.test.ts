/**
 * The buffers of large requests lay at the end of the heap, were given back to the kernel with every request and faulted in anew
 * for the next: a third of the processor time of requests of 64 KiB, or none of it, by what happened to lie behind them.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';
import { pageFaults } from '../daemon/process-stats.js';
import { SLOWNESS } from '../daemon/slowness.js';

const KIB = 1024;
/** Which size lies badly depends on the heap of that process. */
const SIZES_KIB = [24, 40, 56, 64, 80, 96, 112, 127];
const REQUESTS = 400;
const CALLERS = 8;
/** It was up to 18. A sanitizer's allocator holds back what was freed, so every request gets new pages. */
const FAULTS_PER_REQUEST_MAX = SLOWNESS === 1 ? 1 : 100;

t.test('a worker keeps the memory that the next request needs', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  const pid = await daemon.workerPid();
  for (const kib of SIZES_KIB) {
    const body = { inputs: ['x'.repeat(kib * KIB)] };
    const send = async (requests: number): Promise<void> => {
      let left = requests;
      const one = async (): Promise<void> => {
        for (; left > 0; left -= 1) {
          const { status } = await daemon.invoke(PATH, body);
          if (status !== 200) t.fail(`status ${String(status)}`);
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, one));
    };
    await send(REQUESTS / 4);
    const before = pageFaults(pid);
    await send(REQUESTS);
    const perRequest = (pageFaults(pid) - before) / REQUESTS;
    t.ok(
      perRequest < FAULTS_PER_REQUEST_MAX,
      `${String(kib)} KiB: ${perRequest.toFixed(2)} a request`,
    );
  }
});
