/**
 * The durable state of the daemon: one SQLite file, `{state_dir}/pointsman.db`.
 *
 * Owns the file, its schema and its migrations. Knows records only as JSON text under a name, so
 * that the control plane alone says what a record holds. Synchronous: one `commit` is one
 * transaction, and it is on disk when it returns (WAL with synchronous=FULL;
 * reference/reliability.md 4.6). Used by the supervisor's main thread only; a commit costs one
 * fsync.
 */
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

export const STORE_FILE = 'pointsman.db';

/** Revisions whose change is kept for history; older rows go. */
export const REVISIONS_KEPT = 1_000;

/** The revision of a store that nothing was written to. Numbers below are never used. */
export const FIRST_REVISION = 1;

export type RecordKind = 'endpoint' | 'deployment';

/** `json: null` deletes. */
export interface RecordChange {
  readonly kind: RecordKind;
  readonly name: string;
  readonly json: string | null;
}

export interface StoredRecord {
  readonly name: string;
  readonly json: string;
}

export interface RevisionInput {
  readonly createdAt: number;
  readonly principal: string;
  readonly summary: string;
}

export interface RevisionRow extends RevisionInput {
  readonly number: number;
  /** What the revision changed: each record before and after (null: absent). */
  readonly changes: readonly RevisionDelta[];
}

export interface RevisionDelta {
  readonly kind: RecordKind;
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

export interface StoreCommit {
  readonly records: readonly RecordChange[];
  /** Present when routing changes: takes the next revision number. */
  readonly revision?: RevisionInput;
}

/** Index + 1 is the `user_version` that the step leads to. Steps are append-only. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO meta VALUES ('revision', ${String(FIRST_REVISION)});
  CREATE TABLE records (
    kind TEXT NOT NULL CHECK (kind IN ('endpoint', 'deployment')),
    name TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE revisions (
    number INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    summary TEXT NOT NULL
  ) STRICT;
  CREATE TABLE revision_changes (
    number INTEGER NOT NULL REFERENCES revisions (number) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (number, kind, name)
  ) STRICT, WITHOUT ROWID;
  `,
];

export class Store {
  readonly #db: Database.Database;
  readonly #selectRecords: Database.Statement<[RecordKind], StoredRecord>;
  readonly #selectOne: Database.Statement<[RecordKind, string], { json: string }>;
  readonly #commit: (change: StoreCommit) => number;

  private constructor(db: Database.Database) {
    this.#db = db;
    this.#selectRecords = db.prepare('SELECT name, json FROM records WHERE kind = ? ORDER BY name');
    this.#selectOne = db.prepare('SELECT json FROM records WHERE kind = ? AND name = ?');
    const write = db.transaction((change: StoreCommit) => this.#write(change));
    this.#commit = (change) => write.immediate(change);
  }

  /**
   * Opens or creates the store in a directory (made 0700 when absent).
   * @throws Error when the file is not a store, is damaged, or was written by a newer pointsman.
   */
  static open(stateDir: string): Store {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const path = join(stateDir, STORE_FILE);
    // Made before SQLite opens it: SQLite gives the -wal and -shm files the mode of the main file.
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
    const db = new Database(path);
    try {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
      db.pragma('foreign_keys = ON');
      migrate(db, path);
      return new Store(db);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  /** Number of the newest persisted revision. */
  get revision(): number {
    const row = this.#db
      .prepare<[], { value: number }>("SELECT value FROM meta WHERE key = 'revision'")
      .get();
    if (row === undefined) throw new Error('store: no revision counter');
    return row.value;
  }

  /** All records of a kind in order of name. */
  records(kind: RecordKind): StoredRecord[] {
    return this.#selectRecords.all(kind);
  }

  /**
   * Writes all or nothing; answers with the newest revision number, raised when `revision` was
   * given.
   */
  commit(change: StoreCommit): number {
    return this.#commit(change);
  }

  /** The newest revisions first. */
  revisions(limit: number): RevisionRow[] {
    const rows = this.#db
      .prepare<[number], RevisionInput & { number: number }>(
        `SELECT number, created_at AS createdAt, principal, summary FROM revisions
         ORDER BY number DESC LIMIT ?`,
      )
      .all(limit);
    const changesOf = this.#db.prepare<[number], RevisionDelta>(
      'SELECT kind, name, before, after FROM revision_changes WHERE number = ? ORDER BY kind, name',
    );
    return rows.map((row) => ({ ...row, changes: changesOf.all(row.number) }));
  }

  close(): void {
    this.#db.close();
  }

  #write(change: StoreCommit): number {
    const number =
      change.revision === undefined ? this.revision : this.#nextRevision(change.revision);
    const put = this.#db.prepare(
      `INSERT INTO records (kind, name, json) VALUES (?, ?, ?)
       ON CONFLICT (kind, name) DO UPDATE SET json = excluded.json`,
    );
    const remove = this.#db.prepare('DELETE FROM records WHERE kind = ? AND name = ?');
    const log = this.#db.prepare('INSERT INTO revision_changes VALUES (?, ?, ?, ?, ?)');
    for (const { kind, name, json } of change.records) {
      if (change.revision !== undefined) {
        const before = this.#selectOne.get(kind, name)?.json ?? null;
        log.run(number, kind, name, before, json);
      }
      if (json === null) remove.run(kind, name);
      else put.run(kind, name, json);
    }
    return number;
  }

  #nextRevision(input: RevisionInput): number {
    const number = this.revision + 1;
    this.#db.prepare("UPDATE meta SET value = ? WHERE key = 'revision'").run(number);
    this.#db
      .prepare('INSERT INTO revisions VALUES (?, ?, ?, ?)')
      .run(number, input.createdAt, input.principal, input.summary);
    this.#db.prepare('DELETE FROM revisions WHERE number <= ?').run(number - REVISIONS_KEPT);
    return number;
  }
}

function migrate(db: Database.Database, path: string): void {
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > MIGRATIONS.length) {
    throw new Error(
      `${path} has schema ${String(version)}, this pointsman knows up to ` +
        `${String(MIGRATIONS.length)}: use the newer version`,
    );
  }
  for (let step = version; step < MIGRATIONS.length; step += 1) {
    db.transaction(() => {
      db.exec(MIGRATIONS[step] ?? '');
      db.pragma(`user_version = ${String(step + 1)}`);
    })();
  }
}
