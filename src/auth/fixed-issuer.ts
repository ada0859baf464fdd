/**
 * The issuer name of our own tokens where the configuration gives none: made of the data port's first address, kept in
 * the state directory from then on. The address may be another one after a restart (port 0, a moved port); tokens that
 * are still good, and whoever has written the name down, must not become strangers by it.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { STATE_FILES } from '../config/state-files.js';
import { replaceFile } from '../store/durable-file.js';

/**
 * The name that was kept, else `first`, which is kept then.
 * @throws Error that names the file when it holds something else
 */
export function fixedIssuer(stateDir: string, first: string): string {
  const file = path.join(stateDir, STATE_FILES.issuer);
  const kept = readKept(file);
  if (kept !== null) return kept;
  replaceFile(file, `${first}\n`);
  return first;
}

function readKept(file: string): string | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  if (URL.canParse(text) && /^https?:\/\/\S+$/.test(text)) return text;
  throw new Error(`${file} holds no issuer; remove it to get a new one, or set auth.issuer`);
}
