/**
 * What workers must know to judge tokens by themselves, so that they go on while the supervisor is away: principals with
 * their groups, names of deleted ones, keyed hashes of access tokens, ids of OAuth secrets, and trusted keys. Endpoints'
 * grants are no part of it: they go with the snapshot.
 *
 * Everything at first, in parts, then what a change concerns, at once: the listener is called before the call that
 * changed it is answered, and told whether somebody may have lost a right by it. Losing is what empties caches, so a
 * daemon that makes tokens all day keeps them warm: a new credential, a new caller and one who is active again have no
 * verdict that could be too good. Memberships count as losses either way, because verdicts hold groups; new groups too,
 * because tokens of others may claim them; and keys, which seldom change.
 */
import type { AccessContent, AccessCredential, AccessPrincipal } from '../control/messages.js';
import { sameJson } from '../control/json.js';
import type { CredentialRow, DeletedName } from '../store/identity-tables.js';
import type { StoredIdentities } from './stored-identities.js';
import type { Trust } from './trust.js';
import type { TrustKeeper } from './trust-keeper.js';

/** Records of one message, so that none comes near the limit of a frame. */
export const ACCESS_RECORDS_MAX = 20_000;

const NOTHING: AccessContent = {
  whole: false,
  principals: [],
  removedPrincipals: [],
  credentials: [],
  removedCredentials: [],
  deletedNames: [],
  trustJson: '',
};

export type OnAccessChange = (change: AccessContent, takesAway: boolean) => void;

export class AccessFeed {
  /** What workers know of each principal. */
  readonly #told = new Map<number, AccessPrincipal>();
  readonly #identities: StoredIdentities;
  readonly #trust: Pick<TrustKeeper, 'current' | 'onChange'>;

  constructor(
    identities: StoredIdentities,
    trust: Pick<TrustKeeper, 'current' | 'onChange'>,
    onChange: OnAccessChange,
  ) {
    this.#identities = identities;
    this.#trust = trust;
    for (const principal of this.#principals()) this.#told.set(principal.id, principal);
    identities.onChange(({ kind, ids }) => {
      if (kind === 'principal') this.#tellPrincipals(ids, onChange);
      else if (kind === 'credential') this.#tellCredentials(ids, onChange);
    });
    trust.onChange((next) => {
      onChange({ ...NOTHING, trustJson: trustText(next) }, true);
    });
  }

  /** Everything; the first part says that what was known before is to be forgotten. */
  whole(): AccessContent[] {
    const { credentials } = this.#identities;
    const parts: AccessContent[] = [
      { ...NOTHING, whole: true, trustJson: trustText(this.#trust.current()) },
    ];
    for (const part of chunksOf(this.#principals())) parts.push({ ...NOTHING, principals: part });
    for (const part of chunksOf(credentials.rows().map(credentialOf))) {
      parts.push({ ...NOTHING, credentials: part });
    }
    for (const part of chunksOf(this.#identities.book.deletedNames.list())) {
      parts.push({ ...NOTHING, deletedNames: part });
    }
    return parts;
  }

  /** Nothing where workers would see no difference: a display name, entitlements. */
  #tellPrincipals(ids: readonly string[], onChange: OnAccessChange): void {
    const principals: AccessPrincipal[] = [];
    const removedPrincipals: number[] = [];
    const deletedNames: DeletedName[] = [];
    let takesAway = false;
    for (const id of new Set(ids)) {
      const number = Number(id);
      const before = this.#told.get(number) ?? null;
      const principal = this.#principal(id);
      if (principal === null) {
        removedPrincipals.push(number);
        const deleted = this.#identities.book.deletedNames.of(before?.name ?? '');
        if (deleted !== null) deletedNames.push(deleted);
        this.#told.delete(number);
        takesAway = true;
      } else if (before === null || !sameJson(before, principal)) {
        principals.push(principal);
        this.#told.set(number, principal);
        takesAway ||= !onlyAdds(before, principal);
      }
    }
    if (principals.length + removedPrincipals.length === 0) return;
    onChange({ ...NOTHING, principals, removedPrincipals, deletedNames }, takesAway);
  }

  #tellCredentials(ids: readonly string[], onChange: OnAccessChange): void {
    const credentials: AccessCredential[] = [];
    const removedCredentials: string[] = [];
    for (const id of new Set(ids)) {
      const row = this.#identities.credentials.row(id);
      if (row === null) removedCredentials.push(id);
      else credentials.push(credentialOf(row));
    }
    onChange({ ...NOTHING, credentials, removedCredentials }, removedCredentials.length > 0);
  }

  #principals(): AccessPrincipal[] {
    const kinds = ['user', 'service_principal', 'group'] as const;
    return kinds
      .flatMap((kind) => this.#identities.book.list(kind))
      .flatMap(({ id }) => this.#principal(id) ?? []);
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

/** No verdict of before could be too good, or lack something. */
function onlyAdds(before: AccessPrincipal | null, next: AccessPrincipal): boolean {
  if (before === null) return !next.isGroup;
  return !before.active && sameJson({ ...before, active: true }, next);
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
