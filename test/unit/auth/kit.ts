/** Identities over a real store, with time by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { EMPTY_PROFILE, IdentityBook, type Profile } from '../../../src/auth/identity-book.js';
import { StoredIdentities, type AccessChange } from '../../../src/auth/stored-identities.js';
import type { EndpointGrants } from '../../../src/control/grant-book.js';
import { createSealer } from '../../../src/store/sealed-box.js';
import { Store } from '../../../src/store/store.js';
import { ManualClock } from '../control/harness.js';

export class IdentityKit {
  readonly store: Store;
  readonly clock = new ManualClock();
  readonly book: IdentityBook;
  readonly identities: StoredIdentities;
  readonly changes: AccessChange[] = [];
  /** By id and by name, as the control plane finds them. */
  readonly endpoints = new Map<string, EndpointGrants>();

  constructor(dir: string) {
    this.store = Store.open(dir);
    const tables = this.store.identities;
    this.book = new IdentityBook(tables, this.clock);
    this.identities = new StoredIdentities({
      tables,
      sealer: createSealer(Buffer.alloc(32, 1)),
      clock: this.clock,
      book: this.book,
      grants: {
        of: (endpoint) => this.endpoints.get(endpoint) ?? null,
        onChange: () => undefined,
      },
    });
    this.identities.onChange((change) => this.changes.push(change));
  }

  /** The id of a new user. */
  user(name: string, profile: Partial<Profile> = {}): string {
    return this.book.create('user', { name, profile: { ...EMPTY_PROFILE, ...profile } }).id;
  }

  group(name: string, members: readonly string[], profile: Partial<Profile> = {}): string {
    const draft = { name, members, profile: { ...EMPTY_PROFILE, ...profile } };
    return this.book.create('group', draft).id;
  }
}

/** @param dir a directory of an earlier kit, to start on its state. */
export function createKit(t: Test, dir = temporaryDirectory(t)): IdentityKit {
  const kit = new IdentityKit(dir);
  t.teardown(() => {
    kit.store.close();
  });
  return kit;
}

export function temporaryDirectory(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pm-identities-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}
