/**
 * Who calls, and what it may do: principals and credentials of the store, grants of the endpoints.
 * One listener hears of everything that may take an access away.
 */
import type { GrantBook } from '../control/grant-book.js';
import { strongerLevel } from '../control/grants.js';
import type { Clock } from '../core/clock.js';
import { BUILTIN_IDS, type IdentityTables } from '../store/identity-tables.js';
import type { Sealer } from '../store/sealed-box.js';
import { CredentialBook, type Credential } from './credential-book.js';
import { ADMINS, CREATE_ENDPOINTS, type IdentityBook } from './identity-book.js';
import type { Identities, KnownCredential, PermissionLevel, Principal } from './principal.js';

/** What changed, by id: whatever was allowed because of it must be asked for anew. */
export interface AccessChange {
  readonly kind: 'principal' | 'credential' | 'endpoint';
  readonly ids: readonly string[];
}

export interface StoredIdentitiesOptions {
  readonly tables: IdentityTables;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly book: IdentityBook;
  readonly grants: Pick<GrantBook, 'of' | 'onChange'>;
}

export class StoredIdentities implements Identities {
  readonly book: IdentityBook;
  readonly credentials: CredentialBook;
  readonly #grants: Pick<GrantBook, 'of'>;
  readonly #listeners: ((change: AccessChange) => void)[] = [];

  constructor({ tables, sealer, clock, book, grants }: StoredIdentitiesOptions) {
    this.book = book;
    this.credentials = new CredentialBook({ tables, sealer, clock });
    this.#grants = grants;
    book.onChange((ids) => {
      for (const id of ids) if (book.record(id) === null) this.credentials.forgetAll(id);
      this.#tell({ kind: 'principal', ids });
    });
    this.credentials.onChange((ids) => {
      this.#tell({ kind: 'credential', ids });
    });
    grants.onChange((ids) => {
      this.#tell({ kind: 'endpoint', ids });
    });
  }

  /** Called after every change, when it is on disk and visible to the methods of this class. */
  onChange(listener: (change: AccessChange) => void): void {
    this.#listeners.push(listener);
  }

  principal(id: string): Principal | null {
    return this.book.principal(id);
  }

  byName(name: string): Principal | null {
    return this.book.byName(name);
  }

  byClientSecret(clientId: string, secret: string): KnownCredential | null {
    const named = this.book.byName(clientId);
    const principal = named?.kind === 'service_principal' ? named : null;
    return this.#known(this.credentials.clientSecret(principal?.id ?? null, secret));
  }

  byAccessToken(token: string): KnownCredential | null {
    return this.#known(this.credentials.accessToken(token));
  }

  credential(id: string): KnownCredential | null {
    const row = this.credentials.row(id);
    return this.#known(row === null ? null : { ...row, principalId: String(row.principalId) });
  }

  endpointId(endpoint: string): string | null {
    return this.#grants.of(endpoint)?.id ?? null;
  }

  permission(principal: Principal, endpoint: string): PermissionLevel | null {
    const found = this.#grants.of(endpoint);
    if (found === null || !principal.active) return null;
    if (isAdmin(principal)) return 'CAN_MANAGE';
    if (isQueryToken(principal)) return 'CAN_QUERY';
    let level: PermissionLevel | null = null;
    for (const grant of found.grants) {
      if (grant.principal !== principal.id && !principal.groupIds.includes(grant.principal))
        continue;
      level = strongerLevel(level, grant.level);
    }
    return level;
  }

  #known(
    credential: Pick<Credential, 'id' | 'principalId' | 'expiresAt'> | null,
  ): KnownCredential | null {
    const principal = credential === null ? null : this.book.principal(credential.principalId);
    if (credential === null || !principal?.active) return null;
    return { principal, credentialId: credential.id, expiresAtMs: credential.expiresAt };
  }

  #tell(change: AccessChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

export function isAdmin(principal: Principal): boolean {
  return principal.groups.includes(ADMINS);
}

/** The user of the query token: it may invoke every endpoint and do nothing else. */
export function isQueryToken(principal: Principal): boolean {
  return principal.id === String(BUILTIN_IDS.query);
}

export function mayCreateEndpoints(principal: Principal): boolean {
  return isAdmin(principal) || principal.entitlements.includes(CREATE_ENDPOINTS);
}
