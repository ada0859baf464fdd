/**
 * Loaded into every process of a daemon by a test (`--import`): on SIGUSR2 a worker's threads end, as threads do that
 * run out of memory. THREAD_FAULT names a file that gets a line with their number.
 */
import { appendFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import type * as WorkerThreads from 'node:worker_threads';

const file = process.env['THREAD_FAULT'];
const threads = createRequire(import.meta.url)('node:worker_threads') as {
  Worker: typeof WorkerThreads.Worker;
  isMainThread: boolean;
};

if (file !== undefined && process.env['POINTSMAN_WORKER'] !== undefined && threads.isMainThread) {
  const alive = new Set<WorkerThreads.Worker>();
  threads.Worker = class extends threads.Worker {
    constructor(...args: ConstructorParameters<typeof WorkerThreads.Worker>) {
      super(...args);
      alive.add(this);
      this.once('exit', () => alive.delete(this));
    }
  };
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    appendFileSync(file, `${String(alive.size)}\n`);
    for (const thread of alive) void thread.terminate();
  });
}
