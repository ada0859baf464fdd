/**
 * Addresses of replicas' host names. Every name in use is resolved again each RESOLVE_INTERVAL_MS;
 * a failed or empty answer keeps the last good set, so that a resolver's hiccup takes nothing out
 * of service, and a daemon that starts during one serves with the set that was stored.
 * Addresses that no replica may have count as not answered.
 */
import { lookup } from 'node:dns/promises';
import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import { ADDRESSES_PER_REPLICA_MAX, RESOLVE_INTERVAL_MS } from '../core/limits.js';
import { isRefusedAddress } from '../core/refused-addresses.js';
import { Slots } from './slots.js';

/** Answers with IP literals. May reject. */
export type Resolve = (host: string) => Promise<string[]>;

/** Where the last good sets outlive the daemon; none, the name is forgotten. `write` may throw. */
export interface HostMemory {
  all(): ReadonlyMap<string, readonly string[]>;
  write(changes: ReadonlyMap<string, readonly string[]>): void;
}

/** Sets that change within this time are stored in one transaction. */
const STORE_DELAY_MS = 1_000;
/** After a write that failed: what fails once, as on a full disk, mostly fails for a while. */
const STORE_AGAIN_MS = 60_000;

/** getaddrinfo blocks one of libuv's four threads; half of them stay free for everything else. */
const LOOKUPS_IN_FLIGHT_MAX = 2;

export const resolveHost: Resolve = async (host) => {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
};

interface Entry {
  addresses: readonly string[];
  failed: boolean;
  refused: boolean;
  users: number;
  cancel: () => void;
  first: Promise<void>;
}

export interface HostBookOptions {
  readonly clock: Clock;
  readonly resolve: Resolve;
  /** The set of addresses of a name changed, or its first look-up failed. */
  readonly onChange: (host: string) => void;
  readonly memory: HostMemory;
  readonly onFault: (problem: string) => void;
}

export class HostBook {
  readonly #options: HostBookOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #slots = new Slots(LOOKUPS_IN_FLIGHT_MAX);
  /** As stored, or as it will be when `#unstored` has been written. */
  readonly #remembered: Map<string, readonly string[]>;
  readonly #unstored = new Set<string>();
  #cancelStore: () => void = () => undefined;
  #stopped = false;

  constructor(options: HostBookOptions) {
    this.#options = options;
    this.#remembered = new Map(options.memory.all());
  }

  /** The last good set; empty when the name never resolved. */
  addresses(host: string): readonly string[] {
    return this.#entries.get(host)?.addresses ?? [];
  }

  /** True when the name was looked up and never resolved. */
  failed(host: string): boolean {
    const entry = this.#entries.get(host);
    return entry !== undefined && entry.failed && entry.addresses.length === 0;
  }

  /** True when the last look-up found nothing but addresses that no replica may have. */
  refused(host: string): boolean {
    return this.#entries.get(host)?.refused ?? false;
  }

  /** Keeps a name resolved until as many `release` calls, and to the end of the turn of the last one. */
  retain(host: string): void {
    this.#entry(host).users += 1;
  }

  release(host: string): void {
    const entry = this.#entries.get(host);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    // When the change is through: it may give the name to somebody else.
    queueMicrotask(() => {
      if (entry.users <= 0 && this.#entries.get(host) === entry) this.#drop(host, entry);
    });
  }

  /** Resolves when every name had its first look-up, or after `boundMs`. */
  async prepare(hosts: Iterable<string>, boundMs: number): Promise<void> {
    const firsts = [...hosts].map((host) => this.#entry(host).first);
    if (firsts.length === 0) return;
    let cancel: () => void = () => undefined;
    const bound = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(boundMs, resolve);
    });
    await Promise.race([Promise.all(firsts), bound]);
    cancel();
  }

  /** Forgets stored names that nobody uses; to be called once, when all users of before the start are back. */
  forgetUnused(): void {
    for (const host of this.#remembered.keys()) if (!this.#entries.has(host)) this.#forget(host);
  }

  /** Forgets names that were prepared for a change that did not happen. */
  prune(): void {
    for (const [host, entry] of this.#entries) if (entry.users <= 0) this.#drop(host, entry);
  }

  stop(): void {
    this.#stopped = true;
    for (const entry of this.#entries.values()) entry.cancel();
    this.#entries.clear();
    this.#store();
  }

  #entry(host: string): Entry {
    const known = this.#entries.get(host);
    if (known !== undefined) return known;
    const entry: Entry = {
      addresses: (this.#remembered.get(host) ?? []).filter(isUsable),
      failed: false,
      refused: false,
      users: 0,
      cancel: () => undefined,
      first: Promise.resolve(),
    };
    this.#entries.set(host, entry);
    entry.first = this.#lookUp(host, entry);
    return entry;
  }

  #drop(host: string, entry: Entry): void {
    entry.cancel();
    this.#entries.delete(host);
    this.#forget(host);
  }

  #forget(host: string): void {
    if (this.#remembered.delete(host)) this.#storeSoon(host);
  }

  #storeSoon(host: string): void {
    if (this.#unstored.size === 0) this.#storeIn(STORE_DELAY_MS);
    this.#unstored.add(host);
  }

  #storeIn(delayMs: number): void {
    this.#cancelStore = this.#options.clock.after(delayMs, () => {
      this.#store();
    });
  }

  #store(): void {
    this.#cancelStore();
    if (this.#unstored.size === 0) return;
    const changes = [...this.#unstored].map(
      (host) => [host, this.#remembered.get(host) ?? []] as const,
    );
    try {
      this.#options.memory.write(new Map(changes));
      this.#unstored.clear();
    } catch (error) {
      this.#options.onFault(`addresses of host names are not stored: ${messageOf(error)}`);
      if (!this.#stopped) this.#storeIn(STORE_AGAIN_MS);
    }
  }

  async #lookUp(host: string, entry: Entry): Promise<void> {
    const found = await this.#slots.run(async () => {
      // Others wait for the slot; a change that was refused left many names behind, maybe.
      if (this.#entries.get(host) !== entry) return [];
      try {
        return await this.#options.resolve(host);
      } catch {
        // Any failure of a look-up means the same: keep what is known.
        return [];
      }
    });
    if (this.#stopped || this.#entries.get(host) !== entry) return;
    const usable = found.filter(isUsable);
    const next = [...new Set(usable)].sort().slice(0, ADDRESSES_PER_REPLICA_MAX);
    entry.refused = found.length > 0 && usable.length === 0;
    const firstFailure = next.length === 0 && !entry.failed;
    const changed = next.length > 0 && next.join() !== entry.addresses.join();
    entry.failed = next.length === 0;
    if (changed) {
      entry.addresses = next;
      this.#remembered.set(host, next);
      this.#storeSoon(host);
    }
    if (changed || firstFailure) this.#options.onChange(host);
    entry.cancel = this.#options.clock.after(RESOLVE_INTERVAL_MS, () => {
      void this.#lookUp(host, entry);
    });
  }
}

function isUsable(address: string): boolean {
  return !isRefusedAddress(address);
}
