/** Where the code of a worker lies: beside that of the supervisor. */
import { fileURLToPath } from 'node:url';

/** Arguments of node that start a worker. */
export function spawnEntry(): string[] {
  return [fileURLToPath(new URL('../worker/main.js', import.meta.url))];
}
