/**
 * Keeps the sealed signing keys in one file of the state directory (0600). The file is replaced as a whole: written
 * beside it, synced, renamed, and the folder synced, so that a power cut leaves the old keys or the new ones.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { parseJson } from '../config/json-text.js';
import { isObject } from './compact-token.js';
import type { KeyStore, StoredSigningKey } from './signing-keys.js';

const FILE = 'signing-keys.json';

export class KeyFile implements KeyStore {
  readonly #file: string;

  constructor(stateDir: string) {
    this.#file = path.join(stateDir, FILE);
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
    const fresh = `${this.#file}.new`;
    try {
      const fd = openSync(fresh, 'w', 0o600);
      try {
        writeFileSync(fd, `${JSON.stringify({ keys: entries })}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(fresh, this.#file);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
    syncFolder(path.dirname(this.#file));
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

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
