/**
 * The last good addresses of replicas' host names: what serves after a restart while the resolver does not answer.
 * One transaction per call; on disk when it returns.
 */
import type Database from 'better-sqlite3';

export const HOST_SCHEMA = `
  CREATE TABLE host_addresses (host TEXT PRIMARY KEY, addresses TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Addresses by name; none: the name is forgotten. */
export type HostChanges = ReadonlyMap<string, readonly string[]>;

export class HostTable {
  readonly #selectAll: Database.Statement<[], { host: string; addresses: string }>;
  readonly #write: (changes: HostChanges) => void;

  constructor(db: Database.Database) {
    this.#selectAll = db.prepare('SELECT host, addresses FROM host_addresses');
    const put = db.prepare<[string, string]>('INSERT OR REPLACE INTO host_addresses VALUES (?, ?)');
    const forget = db.prepare<[string]>('DELETE FROM host_addresses WHERE host = ?');
    this.#write = db.transaction((changes: HostChanges) => {
      for (const [host, addresses] of changes) {
        if (addresses.length === 0) forget.run(host);
        else put.run(host, addresses.join(' '));
      }
    });
  }

  all(): Map<string, readonly string[]> {
    const rows = this.#selectAll.all();
    return new Map(rows.map(({ host, addresses }) => [host, addresses.split(' ')]));
  }

  write(changes: HostChanges): void {
    this.#write(changes);
  }
}
