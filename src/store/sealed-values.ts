/**
 * Sealed values by name: bytes that sealed-box.ts made, e.g. signing keys. One transaction per call;
 * on disk when it returns.
 */
import type Database from 'better-sqlite3';

export interface SealedValue {
  readonly name: string;
  readonly value: Buffer;
}

export class SealedValues {
  readonly #select: Database.Statement<[string], { value: Buffer }>;
  readonly #selectAll: Database.Statement<[string, string], SealedValue>;
  readonly #put: Database.Statement<[string, Uint8Array]>;
  readonly #delete: Database.Statement<[string]>;

  constructor(db: Database.Database) {
    this.#select = db.prepare('SELECT value FROM sealed_values WHERE name = ?');
    this.#selectAll = db.prepare(
      'SELECT name, value FROM sealed_values WHERE substr(name, 1, length(?)) = ? ORDER BY name',
    );
    this.#put = db.prepare('INSERT OR REPLACE INTO sealed_values VALUES (?, ?)');
    this.#delete = db.prepare('DELETE FROM sealed_values WHERE name = ?');
  }

  get(name: string): Buffer | null {
    return this.#select.get(name)?.value ?? null;
  }

  /** All whose name begins so, in order of name. */
  list(prefix: string): SealedValue[] {
    return this.#selectAll.all(prefix, prefix);
  }

  put(name: string, value: Uint8Array): void {
    this.#put.run(name, value);
  }

  delete(name: string): void {
    this.#delete.run(name);
  }
}
