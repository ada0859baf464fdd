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
import { HOST_SCHEMA, HostTable } from './host-table.js';
import { DELETED_NAMES_SCHEMA, IDENTITY_SCHEMA, IdentityTables } from './identity-tables.js';
import { SealedValues } from './sealed-values.js';

export const STORE_FILE = 'pointsman.db';

/** Revisions whose change is kept for history; older rows go. */
export const REVISIONS_KEPT = 1_000;

/** Bytes of records that revisions before the newest one keep for it; those that take it beyond go. */
export const REVISION_BYTES_KEPT = 64 * 1024 * 1024;

/**
 * Accepted configs that are kept of each endpoint, by config version. One more is stored, so that an
 * acceptance that is taken back costs no older config.
 */
export const CONFIGS_KEPT = 100;

/** Configs that have served are kept longer: updates that fail must not push out what a rollback needs. */
export const SERVED_CONFIGS_KEPT = 10;

/** Bytes of configs that are kept of each endpoint; those that served last are kept beyond them, and the newest. */
export const CONFIG_BYTES_KEPT = 4 * 1024 * 1024;

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

/** An endpoint's config was accepted. A version that is there already is replaced. */
export interface AcceptedConfig {
  readonly kind: 'accepted';
  readonly endpointId: string;
  readonly version: number;
  readonly acceptedAt: number;
  readonly principal: string;
  readonly json: string;
}

/** An accepted config became active, or (`at: null`) did not after all. */
export interface ActivatedConfig {
  readonly kind: 'activated';
  readonly endpointId: string;
  readonly version: number;
  readonly at: number | null;
}

export type ConfigChange = AcceptedConfig | ActivatedConfig;

export interface StoredConfig {
  readonly version: number;
  readonly acceptedAt: number;
  readonly principal: string;
  /** Null: never was active. */
  readonly activatedAt: number | null;
  readonly json: string;
}

export interface StoreCommit {
  readonly records: readonly RecordChange[];
  /** In order; an activation comes after the acceptance. */
  readonly configs?: readonly ConfigChange[];
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
  `
  CREATE TABLE configs (
    endpoint_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    activated_at INTEGER,
    json TEXT NOT NULL,
    PRIMARY KEY (endpoint_id, version)
  ) STRICT;
  INSERT INTO configs
    SELECT json ->> '$.id', json ->> '$.active.version', json ->> '$.updatedAt',
      json ->> '$.creator', json ->> '$.updatedAt', json -> '$.active'
    FROM records WHERE kind = 'endpoint' AND json ->> '$.active' IS NOT NULL;
  `,
  IDENTITY_SCHEMA,
  HOST_SCHEMA,
  DELETED_NAMES_SCHEMA,
  // Bytes of all changes up to and with this one, so that what is beyond the bound is found without adding up.
  'ALTER TABLE revisions ADD COLUMN written INTEGER NOT NULL DEFAULT 0',
];

export class Store {
  readonly identities: IdentityTables;
  readonly hosts: HostTable;
  readonly sealedValues: SealedValues;
  readonly #db: Database.Database;
  readonly #selectRecords: Database.Statement<[RecordKind], StoredRecord>;
  readonly #selectOne: Database.Statement<[RecordKind, string], { json: string }>;
  readonly #commit: (change: StoreCommit) => number;
  /** As on disk: nobody else writes to the file. */
  #revision: number;
  /** Compiled once each: a change runs some ten statements. */
  readonly #statements = new Map<string, Database.Statement>();

  private constructor(db: Database.Database) {
    this.#db = db;
    this.identities = new IdentityTables(db);
    this.hosts = new HostTable(db);
    this.sealedValues = new SealedValues(db);
    this.#selectRecords = db.prepare('SELECT name, json FROM records WHERE kind = ? ORDER BY name');
    this.#selectOne = db.prepare('SELECT json FROM records WHERE kind = ? AND name = ?');
    const write = db.transaction((change: StoreCommit) => this.#write(change));
    this.#commit = (change) => write.immediate(change);
    this.#revision = this.#readRevision();
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
    return this.#revision;
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
    this.#revision = this.#commit(change);
    return this.#revision;
  }

  /** The newest revisions first. */
  revisions(limit: number): RevisionRow[] {
    const rows = this.#prepared<[number], RevisionInput & { number: number }>(
      `SELECT number, created_at AS createdAt, principal, summary FROM revisions
         ORDER BY number DESC LIMIT ?`,
    ).all(limit);
    const changesOf = this.#prepared<[number], RevisionDelta>(
      'SELECT kind, name, before, after FROM revision_changes WHERE number = ? ORDER BY kind, name',
    );
    return rows.map((row) => ({ ...row, changes: changesOf.all(row.number) }));
  }

  /**
   * The accepted configs of an endpoint, newest version first. The newest ones may belong to changes
   * that were taken back: versions above the record's last one are to be passed over.
   */
  configs(endpointId: string): StoredConfig[] {
    return this.#prepared<[string], StoredConfig>(
      `SELECT version, accepted_at AS acceptedAt, principal, activated_at AS activatedAt, json
         FROM configs WHERE endpoint_id = ? ORDER BY version DESC`,
    ).all(endpointId);
  }

  /** Drops the configs of endpoints that are not named, in a transaction of its own. */
  keepConfigsOf(endpointIds: readonly string[]): void {
    this.#prepared<[string]>(
      'DELETE FROM configs WHERE endpoint_id NOT IN (SELECT value FROM json_each(?))',
    ).run(JSON.stringify(endpointIds));
  }

  /** Drops the configs of a deleted endpoint, in a transaction of its own. */
  forgetConfigsOf(endpointId: string): void {
    this.#prepared<[string]>('DELETE FROM configs WHERE endpoint_id = ?').run(endpointId);
  }

  close(): void {
    this.#db.close();
  }

  #write(change: StoreCommit): number {
    const number =
      change.revision === undefined ? this.revision : this.#nextRevision(change.revision);
    this.#writeConfigs(change.configs ?? []);
    const put = this.#prepared(
      `INSERT INTO records (kind, name, json) VALUES (?, ?, ?)
       ON CONFLICT (kind, name) DO UPDATE SET json = excluded.json`,
    );
    const remove = this.#prepared('DELETE FROM records WHERE kind = ? AND name = ?');
    const log = this.#prepared('INSERT INTO revision_changes VALUES (?, ?, ?, ?, ?)');
    let bytes = 0;
    for (const { kind, name, json } of change.records) {
      if (change.revision !== undefined) {
        const before = this.#selectOne.get(kind, name)?.json ?? null;
        log.run(number, kind, name, before, json);
        bytes += Buffer.byteLength(before ?? '') + Buffer.byteLength(json ?? '');
      }
      if (json === null) remove.run(kind, name);
      else put.run(kind, name, json);
    }
    if (change.revision !== undefined) this.#pruneRevisions(number, bytes);
    return number;
  }

  #pruneRevisions(newest: number, bytes: number): void {
    const written = this.#writtenUpTo(newest - 1) + bytes;
    this.#prepared('UPDATE revisions SET written = ? WHERE number = ?').run(written, newest);
    this.#prepared('DELETE FROM revisions WHERE number < ? AND (number <= ? OR written < ?)').run(
      newest,
      newest - REVISIONS_KEPT,
      written - REVISION_BYTES_KEPT,
    );
  }

  #writtenUpTo(revision: number): number {
    const row = this.#prepared<[number], { written: number }>(
      'SELECT written FROM revisions WHERE number = ?',
    ).get(revision);
    return row?.written ?? 0;
  }

  #writeConfigs(changes: readonly ConfigChange[]): void {
    if (changes.length === 0) return;
    const put = this.#prepared('INSERT OR REPLACE INTO configs VALUES (?, ?, ?, ?, NULL, ?)');
    const prune = this.#prepared(
      `WITH own AS (
         SELECT version, activated_at, sum(octet_length(json)) OVER (ORDER BY version DESC) AS bytes
         FROM configs WHERE endpoint_id = $id)
       DELETE FROM configs WHERE endpoint_id = $id AND version < $version
         AND (version <= $oldest
           OR version IN (SELECT version FROM own WHERE bytes > $bytes))
         AND version NOT IN (
           SELECT version FROM own WHERE activated_at IS NOT NULL
           ORDER BY version DESC LIMIT $served)`,
    );
    const activate = this.#prepared(
      'UPDATE configs SET activated_at = ? WHERE endpoint_id = ? AND version = ?',
    );
    for (const change of changes) {
      const { endpointId, version } = change;
      if (change.kind === 'activated') {
        activate.run(change.at, endpointId, version);
      } else {
        put.run(endpointId, version, change.acceptedAt, change.principal, change.json);
        prune.run({
          id: endpointId,
          version,
          oldest: version - CONFIGS_KEPT - 1,
          bytes: CONFIG_BYTES_KEPT,
          served: SERVED_CONFIGS_KEPT,
        });
      }
    }
  }

  #readRevision(): number {
    const row = this.#prepared<[], { value: number }>(
      "SELECT value FROM meta WHERE key = 'revision'",
    ).get();
    if (row === undefined) throw new Error('store: no revision counter');
    return row.value;
  }

  #nextRevision(input: RevisionInput): number {
    const number = this.revision + 1;
    this.#prepared("UPDATE meta SET value = ? WHERE key = 'revision'").run(number);
    this.#prepared('INSERT INTO revisions VALUES (?, ?, ?, ?, 0)').run(
      number,
      input.createdAt,
      input.principal,
      input.summary,
    );
    return number;
  }

  #prepared<Bind extends unknown[], Row = unknown>(sql: string): Database.Statement<Bind, Row> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement as Database.Statement<Bind, Row>;
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
