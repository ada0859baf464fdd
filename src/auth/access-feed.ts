/**
 * What workers must know to judge tokens by themselves, so that they go on while the supervisor is away: principals with
 * their groups, keyed hashes of access tokens, ids of OAuth secrets, and trusted keys. Endpoints' grants are no part of
 * it: they go with the snapshot.
 *
 * Everything at first, in parts, then what a change concerns, at once: the listener is called before the call that
 * changed it is answered.
 */
import type { Access, AccessCredential, AccessPrincipal } from '../control/messages.js';
import type { CredentialRow } from '../store/identity-tables.js';
import type { StoredIdentities } from './stored-identities.js';
import type { Trust } from './trust.js';
import type { TrustKeeper } from './trust-keeper.js';

/** Without the epoch, which is the sender's. */
export type AccessUpdate = Omit<Access, 'epoch'>;

/** Records of one message, so that none comes near the limit of a frame. */
export const ACCESS_RECORDS_MAX = 20_000;

const NOTHING: AccessUpdate = {
  whole: false,
  principals: [],
  removedPrincipals: [],
  credentials: [],
  removedCredentials: [],
  trustJson: '',
};

export class AccessFeed {
  readonly #identities: StoredIdentities;
  readonly #trust: Pick<TrustKeeper, 'current' | 'onChange'>;

  constructor(
    identities: StoredIdentities,
    trust: Pick<TrustKeeper, 'current' | 'onChange'>,
    onChange: (change: AccessUpdate) => void,
  ) {
    this.#identities = identities;
    this.#trust = trust;
    identities.onChange(({ kind, ids }) => {
      if (kind === 'principal') onChange(this.#principalsOf(ids));
      else if (kind === 'credential') onChange(this.#credentialsOf(ids));
    });
    trust.onChange((next) => {
      onChange({ ...NOTHING, trustJson: trustText(next) });
    });
  }

  /** Everything; the first part says that what was known before is to be forgotten. */
  whole(): AccessUpdate[] {
    const { book, credentials } = this.#identities;
    const kinds = ['user', 'service_principal', 'group'] as const;
    const principals = kinds
      .flatMap((kind) => book.list(kind))
      .flatMap(({ id }) => this.#principal(id) ?? []);
    const parts: AccessUpdate[] = [
      { ...NOTHING, whole: true, trustJson: trustText(this.#trust.current()) },
    ];
    for (const part of chunksOf(principals)) parts.push({ ...NOTHING, principals: part });
    for (const part of chunksOf(credentials.rows().map(credentialOf))) {
      parts.push({ ...NOTHING, credentials: part });
    }
    return parts;
  }

  #principalsOf(ids: readonly string[]): AccessUpdate {
    const principals: AccessPrincipal[] = [];
    const removedPrincipals: number[] = [];
    for (const id of new Set(ids)) {
      const principal = this.#principal(id);
      if (principal === null) removedPrincipals.push(Number(id));
      else principals.push(principal);
    }
    return { ...NOTHING, principals, removedPrincipals };
  }

  #credentialsOf(ids: readonly string[]): AccessUpdate {
    const credentials: AccessCredential[] = [];
    const removedCredentials: string[] = [];
    for (const id of new Set(ids)) {
      const row = this.#identities.credentials.row(id);
      if (row === null) removedCredentials.push(id);
      else credentials.push(credentialOf(row));
    }
    return { ...NOTHING, credentials, removedCredentials };
  }

  #principal(id: string): AccessPrincipal | null {
    const { book } = this.#identities;
    const record = book.record(id);
    if (record === null) return null;
    return {
      id: Number(id),
      name: record.name,
      isGroup: record.kind === 'group',
      active: record.profile.active,
      groups: book.directGroupsOf(id).map((group) => Number(group.id)),
    };
  }
}

function credentialOf({ id, kind, principalId, hash, expiresAt }: CredentialRow): AccessCredential {
  const isToken = kind === 'access_token';
  return {
    id,
    principal: principalId,
    hash: isToken ? hash : new Uint8Array(0),
    expiresAtMs: expiresAt ?? 0,
  };
}

function trustText(trust: Trust): string {
  return JSON.stringify(trust);
}

function chunksOf<T>(items: readonly T[]): T[][] {
  const chunks: T[][] = [];
  for (let at = 0; at < items.length; at += ACCESS_RECORDS_MAX) {
    chunks.push(items.slice(at, at + ACCESS_RECORDS_MAX));
  }
  return chunks;
}
