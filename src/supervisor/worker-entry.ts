/** Where the code of a worker lies: beside that of the supervisor. */
import { fileURLToPath } from 'node:url';

/**
 * Threads that collect garbage beside the loop compete with it where there are as many workers as cores: collecting took 3 to
 * 4 ms of waiting instead of 1 ms of work, twice a second in a flood of bad tokens. A worker has little for them to
 * do: what it serves by is in native memory.
 */
const ONE_THREAD_COLLECTS = '--single-threaded-gc';
/**
 * Eight seconds after a start, and whenever little is allocated later, V8 would collect everything to give memory back:
 * twice 10 ms, in which no request goes on. The heap of a worker, some 10 MB, is not worth them.
 */
const NO_COLLECTING_WHEN_IDLE = '--no-memory-reducer';

/** Arguments of node that start a worker. */
export function spawnEntry(): string[] {
  const script = fileURLToPath(new URL('../worker/main.js', import.meta.url));
  return [ONE_THREAD_COLLECTS, NO_COLLECTING_WHEN_IDLE, script];
}
