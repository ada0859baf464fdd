/** Finds files of the checkout from a compiled test, wherever the build put it. */
import { findUp } from '../../src/core/paths.js';

/** Absolute path of `path`, which is relative to the folder of package.json. */
export function projectFile(path: string): string {
  const file = findUp(import.meta.dirname, path);
  if (file === null) throw new Error(`${path} is not in the checkout`);
  return file;
}
