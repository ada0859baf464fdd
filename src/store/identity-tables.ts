/**
 * Principals, memberships and credentials in the store. Rows in and out; what a principal's JSON
 * holds is known to src/auth alone. Ids are never given twice, so that a grant that outlives its
 * principal names nobody. Each call is one transaction and on disk when it returns.
 */
import type Database from 'better-sqlite3';

export type PrincipalKind = 'user' | 'service_principal' | 'group';
export type CredentialKind = 'access_token' | 'client_secret';

export interface PrincipalInput {
  readonly kind: PrincipalKind;
  /** User name, application id or group name; unique without regard to case (groups by themselves). */
  readonly name: string;
  readonly json: string;
}

export interface PrincipalRow extends PrincipalInput {
  readonly id: number;
}

export interface Membership {
  readonly groupId: number;
  readonly memberId: number;
}

export interface CredentialRow {
  readonly id: string;
  readonly kind: CredentialKind;
  readonly principalId: number;
  readonly hash: Buffer;
  readonly createdAt: number;
  /** Epoch milliseconds; null: never. */
  readonly expiresAt: number | null;
  readonly comment: string;
}

/** A user or service principal of this name was deleted. */
export interface DeletedName {
  /** In lower case. */
  readonly name: string;
  readonly deletedAtMs: number;
}

/** Deletions that are remembered; older ones go. */
export const DELETED_NAMES_MAX = 100_000;

/** What changes beside the principal's own row. */
export interface MembershipChange {
  readonly added: readonly Membership[];
  readonly removed: readonly Membership[];
}

/** Principals that every store has; nobody can delete or rename them. */
export const BUILTIN_IDS = { admin: 1, query: 2, admins: 3, users: 4 } as const;

/** Migration of the store: the tables and the built-in principals. */
export const IDENTITY_SCHEMA = `
  CREATE TABLE principals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('user', 'service_principal', 'group')),
    name TEXT NOT NULL COLLATE NOCASE,
    json TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX principals_name ON principals (name, kind = 'group');
  CREATE TABLE memberships (
    group_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    member_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, member_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX memberships_member ON memberships (member_id);
  CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('access_token', 'client_secret')),
    principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    comment TEXT NOT NULL
  ) STRICT;
  CREATE INDEX credentials_principal ON credentials (principal_id);
  CREATE TABLE sealed_values (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO principals VALUES
    (${String(BUILTIN_IDS.admin)}, 'user', 'admin', '{}'),
    (${String(BUILTIN_IDS.query)}, 'user', 'query', '{}'),
    (${String(BUILTIN_IDS.admins)}, 'group', 'admins', '{}'),
    (${String(BUILTIN_IDS.users)}, 'group', 'users', '{}');
  INSERT INTO memberships VALUES (${String(BUILTIN_IDS.admins)}, ${String(BUILTIN_IDS.admin)});
`;

/** A later migration. A name that is deleted again gets a new number: the newest have the highest. */
export const DELETED_NAMES_SCHEMA = `
  CREATE TABLE deleted_names (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    deleted_at INTEGER NOT NULL
  ) STRICT;
`;

export class IdentityTables {
  readonly #db: Database.Database;
  readonly #insert: Database.Statement<[string, string, string]>;
  readonly #update: Database.Statement<[string, string, number]>;
  readonly #addMember: Database.Statement<[number, number]>;
  readonly #removeMember: Database.Statement<[number, number]>;

  constructor(db: Database.Database) {
    this.#db = db;
    this.#insert = db.prepare('INSERT INTO principals (kind, name, json) VALUES (?, ?, ?)');
    this.#update = db.prepare('UPDATE principals SET name = ?, json = ? WHERE id = ?');
    this.#addMember = db.prepare('INSERT OR IGNORE INTO memberships VALUES (?, ?)');
    this.#removeMember = db.prepare('DELETE FROM memberships WHERE group_id = ? AND member_id = ?');
  }

  principals(): PrincipalRow[] {
    return this.#db
      .prepare<[], PrincipalRow>('SELECT id, kind, name, json FROM principals ORDER BY id')
      .all();
  }

  memberships(): Membership[] {
    return this.#db
      .prepare<[], Membership>('SELECT group_id AS groupId, member_id AS memberId FROM memberships')
      .all();
  }

  credentials(): CredentialRow[] {
    return this.#db
      .prepare<[], CredentialRow>(
        `SELECT id, kind, principal_id AS principalId, hash, created_at AS createdAt,
           expires_at AS expiresAt, comment FROM credentials ORDER BY created_at, id`,
      )
      .all();
  }

  /** The oldest first. */
  deletedNames(): DeletedName[] {
    return this.#db
      .prepare<[], DeletedName>(
        'SELECT name, deleted_at AS deletedAtMs FROM deleted_names ORDER BY number',
      )
      .all();
  }

  /**
   * @param changeOf the memberships that go with the new principal, by its id.
   * @returns the new id
   */
  insert(input: PrincipalInput, changeOf: (id: number) => MembershipChange): number {
    return this.#db
      .transaction(() => {
        const { kind, name, json } = input;
        const id = Number(this.#insert.run(kind, name, json).lastInsertRowid);
        this.#changeMemberships(changeOf(id));
        return id;
      })
      .immediate();
  }

  update(row: PrincipalRow, change: MembershipChange): void {
    this.#db
      .transaction(() => {
        this.#update.run(row.name, row.json, row.id);
        this.#changeMemberships(change);
      })
      .immediate();
  }

  /** Memberships and credentials go with it. `deleted`: what is to be remembered of it. */
  delete(id: number, deleted: DeletedName | null): void {
    this.#db
      .transaction(() => {
        this.#db.prepare<[number]>('DELETE FROM principals WHERE id = ?').run(id);
        if (deleted !== null) this.#rememberDeleted(deleted);
      })
      .immediate();
  }

  #rememberDeleted({ name, deletedAtMs }: DeletedName): void {
    const { lastInsertRowid } = this.#db
      .prepare<[string, number]>(
        'INSERT OR REPLACE INTO deleted_names (name, deleted_at) VALUES (?, ?)',
      )
      .run(name, deletedAtMs);
    this.#db
      .prepare<[number]>('DELETE FROM deleted_names WHERE number <= ?')
      .run(Number(lastInsertRowid) - DELETED_NAMES_MAX);
  }

  insertCredential(row: CredentialRow): void {
    const { id, kind, principalId, hash, createdAt, expiresAt, comment } = row;
    this.#db
      .prepare('INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(id, kind, principalId, hash, createdAt, expiresAt, comment);
  }

  deleteCredential(id: string): void {
    this.#db.prepare<[string]>('DELETE FROM credentials WHERE id = ?').run(id);
  }

  #changeMemberships({ added, removed }: MembershipChange): void {
    for (const { groupId, memberId } of removed) this.#removeMember.run(groupId, memberId);
    for (const { groupId, memberId } of added) this.#addMember.run(groupId, memberId);
  }
}
