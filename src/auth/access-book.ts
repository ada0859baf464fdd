/**
 * A worker's copy of who may call (access-feed.ts), its version, and the auth epoch that it belongs to.
 *
 * The supervisor sends a change, raises the version in shared memory, and the epoch too if it takes something away, and
 * answers the call that made it. From that store on no verdict is made by this copy until it has caught up, and after a
 * change of the epoch none of before is used anywhere: what was revoked is refused everywhere when the call is answered,
 * and what was made is known.
 */
import type { Access, AccessCredential, AccessPrincipal } from '../control/messages.js';
import type { Clock } from '../core/clock.js';
import type { TokenTerms } from '../native/contract.js';
import { BUILTIN_IDS } from '../store/identity-tables.js';
import { DeletedNames } from './deleted-names.js';
import { isReserved } from './identity-book.js';
import type { Trust, Verified } from './trust.js';

/** How long a verdict waits for a change that is on its way. */
export const CATCH_UP_MS = 2_000;
/** Credentials that come between two looks at those that have expired. */
const PRUNE_INTERVAL = 1_024;

const NO_TRUST: Trust = { version: 0, issuers: [] };

/** What a verified token says of its caller beside the name (trust.ts). */
export type CallerClaims = Pick<Verified, 'kind' | 'groups' | 'isAdmin' | 'endpoints'>;

export interface AccessBookOptions {
  readonly clock: Clock;
  /** The version in shared memory. */
  readonly version: () => number;
}

export class AccessBook {
  readonly #options: AccessBookOptions;
  readonly #principals = new Map<number, AccessPrincipal>();
  /** Of users and service principals, by name in lower case: two that differ in case only cannot be made. */
  readonly #callersByName = new Map<string, number>();
  readonly #groupsByName = new Map<string, number>();
  readonly #credentials = new Map<string, AccessCredential>();
  readonly #byHash = new Map<string, AccessCredential>();
  readonly #deletedNames = new DeletedNames();
  readonly #waiting = new Set<() => void>();
  #epoch = -1;
  #version = -1;
  #trust = NO_TRUST;
  #unpruned = 0;

  constructor(options: AccessBookOptions) {
    this.#options = options;
  }

  get trust(): Trust {
    return this.#trust;
  }

  /** Auth epoch of what is known here; rises to that of shared memory with the message that is on its way. */
  get epoch(): number {
    return this.#epoch;
  }

  /** A `version` of 0 says that more of it follows. */
  apply(access: Access): void {
    if (access.whole) this.#clear();
    for (const principal of access.principals) this.#setPrincipal(principal);
    for (const id of access.removedPrincipals) this.#removePrincipal(id);
    for (const deleted of access.deletedNames) this.#deletedNames.add(deleted);
    for (const credential of access.credentials) this.#setCredential(credential);
    for (const id of access.removedCredentials) this.#removeCredential(id);
    if (access.trustJson !== '') this.#trust = JSON.parse(access.trustJson) as Trust;
    if (access.version === 0) return;
    this.#epoch = access.epoch;
    this.#version = access.version;
    for (const wake of this.#waiting) wake();
  }

  /** No change is on its way. */
  get isCaughtUp(): boolean {
    return this.#version >= this.#options.version();
  }

  /** Resolves to false when the change that is on its way does not come in time. */
  async caughtUp(): Promise<boolean> {
    const { clock } = this.#options;
    const deadlineMs = clock.nowMs() + CATCH_UP_MS;
    while (!this.isCaughtUp) {
      const leftMs = deadlineMs - clock.nowMs();
      if (leftMs <= 0) return false;
      await this.#nextChange(leftMs);
    }
    return true;
  }

  /** Resolves at the next change, or after the time. */
  #nextChange(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      const cancel = this.#options.clock.after(waitMs, wake);
      this.#waiting.add(wake);
    });
  }

  /** Verdicts that wait for a change. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Id of the active principal; null: there is none. */
  activeCaller(id: number): number | null {
    const principal = this.#principals.get(id);
    return principal?.active === true && !principal.isGroup ? id : null;
  }

  /**
   * By user name or application id, letter by letter. The users of the daemon's own two tokens are not found: no other
   * issuer speaks for them.
   */
  callerNamed(name: string): number | null {
    const id = this.#callersByName.get(name.toLowerCase());
    if (id === undefined || isLocalTokenUser(id)) return null;
    return this.#principals.get(id)?.name === name ? this.activeCaller(id) : null;
  }

  /** No user of this name can be made: there is one already, if only an inactive one, or nobody may have it. */
  isTaken(name: string): boolean {
    return this.#callersByName.has(name.toLowerCase()) || isReserved(name);
  }

  /** A user of this name may be made for a token that was issued then. */
  mayBeMade(name: string, issuedAtS: number): boolean {
    return !this.isTaken(name) && !this.#deletedNames.mayPredate(name, issuedAtS);
  }

  /** Resolves when the name is taken, or after the time. */
  async callerComing(name: string): Promise<void> {
    const deadlineMs = this.#options.clock.nowMs() + CATCH_UP_MS;
    while (!this.isTaken(name)) {
      const leftMs = deadlineMs - this.#options.clock.nowMs();
      if (leftMs <= 0) return;
      await this.#nextChange(leftMs);
    }
  }

  /** Null: unknown or expired. */
  credential(id: string): AccessCredential | null {
    return this.#valid(this.#credentials.get(id));
  }

  /** By the keyed hash of the token, in hex; null: unknown or expired. */
  accessToken(hash: string): AccessCredential | null {
    return this.#valid(this.#byHash.get(hash));
  }

  /** What the caller may open. The claimed groups count beside those that it belongs to. */
  termsOf(caller: number, claims: CallerClaims): TokenTerms {
    const { kind, groups, isAdmin, endpoints } = claims;
    const holders = new Set([caller, BUILTIN_IDS.users]);
    const named = groups.flatMap((name) => this.#groupsByName.get(name) ?? []);
    this.#addGroups(holders, this.#principals.get(caller)?.groups ?? [], null);
    this.#addGroups(holders, named, BUILTIN_IDS.admins);
    if (isAdmin) this.#addGroups(holders, [BUILTIN_IDS.admins], null);
    return {
      everything: holders.has(BUILTIN_IDS.admins) || caller === BUILTIN_IDS.query,
      limited: endpoints !== null,
      holders: [...holders],
      endpoints: endpoints ?? [],
      // Another issuer knows no ids of ours, or only by hearsay.
      byName: kind === 'external',
    };
  }

  /** The groups and all that they belong to, without the one that is barred and what only it leads to. */
  #addGroups(holders: Set<number>, groups: readonly number[], barred: number | null): void {
    const open = [...groups];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const group = this.#principals.get(at);
      if (group === undefined || at === barred || holders.has(at)) continue;
      holders.add(at);
      open.push(...group.groups);
    }
  }

  #valid(credential: AccessCredential | undefined): AccessCredential | null {
    if (credential === undefined || this.#isOver(credential)) return null;
    return credential;
  }

  #isOver({ expiresAtMs }: AccessCredential): boolean {
    return expiresAtMs !== 0 && expiresAtMs <= this.#options.clock.nowMs();
  }

  #setPrincipal(principal: AccessPrincipal): void {
    this.#forgetName(principal.id);
    this.#principals.set(principal.id, principal);
    this.#namesOf(principal).set(keyOf(principal), principal.id);
  }

  #removePrincipal(id: number): void {
    this.#forgetName(id);
    this.#principals.delete(id);
    for (const credential of [...this.#credentials.values()]) {
      if (credential.principal === id) this.#removeCredential(credential.id);
    }
  }

  #forgetName(id: number): void {
    const before = this.#principals.get(id);
    if (before === undefined) return;
    const names = this.#namesOf(before);
    // Another one may have taken the name already.
    if (names.get(keyOf(before)) === id) names.delete(keyOf(before));
  }

  #namesOf({ isGroup }: AccessPrincipal): Map<string, number> {
    return isGroup ? this.#groupsByName : this.#callersByName;
  }

  #setCredential(credential: AccessCredential): void {
    this.#credentials.set(credential.id, credential);
    if (credential.hash.length > 0) this.#byHash.set(hexOf(credential.hash), credential);
    this.#unpruned += 1;
    if (this.#unpruned < PRUNE_INTERVAL) return;
    this.#unpruned = 0;
    for (const one of [...this.#credentials.values()]) {
      if (this.#isOver(one)) this.#removeCredential(one.id);
    }
  }

  #removeCredential(id: string): void {
    const credential = this.#credentials.get(id);
    if (credential === undefined) return;
    this.#credentials.delete(id);
    this.#byHash.delete(hexOf(credential.hash));
  }

  #clear(): void {
    this.#principals.clear();
    this.#callersByName.clear();
    this.#groupsByName.clear();
    this.#credentials.clear();
    this.#byHash.clear();
    this.#deletedNames.clear();
    this.#unpruned = 0;
    this.#epoch = -1;
    this.#version = -1;
  }
}

/** Groups are found letter by letter. */
function keyOf({ isGroup, name }: AccessPrincipal): string {
  return isGroup ? name : name.toLowerCase();
}

function isLocalTokenUser(id: number): boolean {
  return id === BUILTIN_IDS.admin || id === BUILTIN_IDS.query;
}

/** An empty field may come as an empty list, which has no buffer. */
function hexOf(hash: Uint8Array): string {
  return Buffer.from(hash).toString('hex');
}
