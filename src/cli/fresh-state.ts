/**
 * What a start makes in the state directory, so that one that is refused (a port that is taken, a wrong key) leaves no
 * credentials and no half-made state behind. Only names of ours that were not there before are taken away.
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { STATE_FILES } from '../config/state-files.js';
import { STORE_FILE } from '../store/store.js';

const TOKEN_FILES = [STATE_FILES.adminToken, STATE_FILES.queryToken];
const STORE_FILES = [
  STORE_FILE,
  `${STORE_FILE}-wal`,
  `${STORE_FILE}-shm`,
  STATE_FILES.masterKey,
  STATE_FILES.signingKeys,
  STATE_FILES.issuer,
];

export class FreshState {
  readonly #stateDir: string;
  readonly #tokens: readonly string[];
  #store: readonly string[];

  /** To be made by whoever holds the directory's lock, before anything else is made in it. */
  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    const missing = (name: string): boolean => !existsSync(path.join(stateDir, name));
    this.#tokens = TOKEN_FILES.filter(missing);
    this.#store = missing(STORE_FILE) ? STORE_FILES.filter(missing) : [];
  }

  /** Clients may have changed something: the store stays, whatever comes. */
  keepStore(): void {
    this.#store = [];
  }

  /** The start is refused; the store must be closed. */
  undo(): void {
    for (const name of [...this.#tokens, ...this.#store]) {
      rmSync(path.join(this.#stateDir, name), { force: true });
    }
  }
}
