/** Keeps the sealed signing keys in one file of the state directory (0600), which is replaced as a whole. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseJson } from '../config/json-text.js';
import { STATE_FILES } from '../config/state-files.js';
import { replaceFile } from '../store/durable-file.js';
import { isObject } from './compact-token.js';
import type { KeyStore, StoredSigningKey } from './signing-keys.js';

export class KeyFile implements KeyStore {
  readonly #file: string;

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, STATE_FILES.signingKeys);
  }

  /** @throws Error that names the file when it is there and cannot be read: it must not be replaced then */
  loadSigningKeys(): readonly StoredSigningKey[] {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    try {
      const content = parseJson(text);
      const keys = isObject(content) ? content['keys'] : null;
      if (!Array.isArray(keys)) throw new Error('it has no list "keys"');
      return keys.map(readEntry);
    } catch (error) {
      throw new Error(`${this.#file} does not hold signing keys`, { cause: error });
    }
  }

  saveSigningKeys(keys: readonly StoredSigningKey[]): void {
    const entries = keys.map(({ kid, createdAtMs, usedFromMs, sealed }) => ({
      kid,
      created_at_ms: createdAtMs,
      used_from_ms: usedFromMs,
      sealed: Buffer.from(sealed).toString('base64url'),
    }));
    replaceFile(this.#file, `${JSON.stringify({ keys: entries })}\n`);
  }
}

function readEntry(entry: unknown): StoredSigningKey {
  if (!isObject(entry)) throw new Error('an entry is no object');
  const { kid, created_at_ms: createdAtMs, used_from_ms: usedFromMs, sealed } = entry;
  if (typeof kid !== 'string' || typeof sealed !== 'string')
    throw new Error('an entry lacks a key');
  if (typeof createdAtMs !== 'number' || typeof usedFromMs !== 'number') {
    throw new Error('an entry lacks a time');
  }
  return { kid, createdAtMs, usedFromMs, sealed: Buffer.from(sealed, 'base64url') };
}
