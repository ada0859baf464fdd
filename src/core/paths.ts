/** Finds the project's own files, wherever the compiled code lies (dist, or the tests' build folder). */
import { existsSync } from 'node:fs';
import path from 'node:path';

/** The file in `directory` or in the nearest folder above that has it. */
export function findUp(directory: string, relative: string): string | null {
  for (let at = directory; ; at = path.dirname(at)) {
    const file = path.join(at, relative);
    if (existsSync(file)) return file;
    if (at === path.dirname(at)) return null;
  }
}
