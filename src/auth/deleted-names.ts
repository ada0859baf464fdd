/**
 * Names of users and service principals that were deleted, and when. An issuer goes on vouching for them by tokens that it gave
 * out before: for those no user is made (`auto_create`), so that who was deleted stays so until the issuer, or an
 * admin, says otherwise. Supervisor and workers judge by the same list.
 */
import { OldestKeys } from '../core/oldest-keys.js';
import { DELETED_NAMES_MAX, type DeletedName } from '../store/identity-tables.js';
import { CLOCK_LEEWAY_S } from './token-verifier.js';

export class DeletedNames {
  /** By name in lower case, the deletion that was first goes first. */
  readonly #deletedAtMs = new Map<string, number>();
  readonly #oldest = new OldestKeys(this.#deletedAtMs);

  add({ name, deletedAtMs }: DeletedName): void {
    const key = name.toLowerCase();
    this.#deletedAtMs.delete(key);
    if (this.#deletedAtMs.size >= DELETED_NAMES_MAX) this.#oldest.removeOne();
    this.#deletedAtMs.set(key, deletedAtMs);
  }

  clear(): void {
    this.#deletedAtMs.clear();
  }

  of(name: string): DeletedName | null {
    const deletedAtMs = this.#deletedAtMs.get(name.toLowerCase());
    return deletedAtMs === undefined ? null : { name: name.toLowerCase(), deletedAtMs };
  }

  list(): DeletedName[] {
    return [...this.#deletedAtMs].map(([name, deletedAtMs]) => ({ name, deletedAtMs }));
  }

  /** A token that was issued then may be from before the deletion: its issuer's clock may be ahead of ours. */
  mayPredate(name: string, issuedAtS: number): boolean {
    const deletedAtMs = this.#deletedAtMs.get(name.toLowerCase()) ?? -Infinity;
    return (issuedAtS - CLOCK_LEEWAY_S) * 1_000 <= deletedAtMs;
  }
}
