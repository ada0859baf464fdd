/**
 * Gives out the numbers under which served entities and addresses are counted in the shared memory.
 *
 *   free ──make──► held ──last drop──► idle since revision r ──make of the same key──► held again
 *    ▲                                      │
 *    └── cleared, given to another key ◄────┘ when no worker dispatches or serves under less than r
 *
 * A number belongs to a key (endpoint id + entity, deployment + address, deployment) and is held by
 * things that name it: routes of an endpoint, the address list of a deployment, its spec. A thing is
 * held as often as somebody needs it: a snapshot being compiled, the published one, the newest update of addresses.
 *
 * State of the supervisor's life only: workers of another supervisor count in memory of their own.
 */
import { PointsmanError } from '../core/errors.js';
import type { Counters } from './data-plane.js';
import type { DeploymentAddresses, DeploymentSpec, EndpointRoutes } from './messages.js';

/** One kind of slot: what its numbers are for, and how one is made ready for another key. */
export interface SlotKind {
  /** In messages, e.g. `served entities`. */
  readonly what: string;
  readonly max: number;
  clear(slot: number): void;
  /** No worker dispatches, or has a request in flight, under a revision below this one. */
  oldestRevision(): number;
}

interface Entry {
  readonly key: string;
  readonly slot: number;
  users: number;
  /** First revision that does not name the key; 0: no published revision ever named it. */
  idleSince: number;
}

class SlotTable {
  readonly #kind: SlotKind;
  readonly #entries = new Map<string, Entry>();
  /** Entries without users, the one that is idle longest first. */
  readonly #idle = new Set<Entry>();
  /** Numbers that were never counted under. */
  readonly #unused: number[] = [];
  #firstFresh = 0;

  constructor(kind: SlotKind) {
    this.#kind = kind;
  }

  /** @throws PointsmanError INVALID_PARAMETER_VALUE when every number is in use. */
  acquire(key: string): number {
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.users += 1;
      this.#idle.delete(known);
      return known.slot;
    }
    const slot = this.#takeNumber();
    this.#entries.set(key, { key, slot, users: 1, idleSince: 0 });
    return slot;
  }

  /** @param since first revision that does not name the key; null: none that names it was published. */
  release(key: string, since: number | null): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new Error(`stats slots: ${key} is not held`);
    entry.users -= 1;
    if (since !== null) entry.idleSince = since;
    if (entry.users > 0) return;
    if (entry.idleSince > 0) {
      this.#idle.add(entry);
    } else {
      this.#entries.delete(key);
      this.#unused.push(entry.slot);
    }
  }

  /** Whether numbers could be used again if a revision after this one were published. */
  awaitsRevision(revision: number): boolean {
    return [...this.#idle].some(({ idleSince }) => idleSince > revision);
  }

  #takeNumber(): number {
    const unused = this.#unused.pop();
    if (unused !== undefined) return unused;
    // Before a fresh number, so that the memory that is touched stays small.
    const [longestIdle] = this.#idle;
    if (longestIdle !== undefined && this.#isOver(longestIdle)) return this.#reuse(longestIdle);
    if (this.#firstFresh < this.#kind.max) {
      this.#firstFresh += 1;
      return this.#firstFresh - 1;
    }
    for (const entry of this.#idle) if (this.#isOver(entry)) return this.#reuse(entry);
    throw new PointsmanError(
      'INVALID_PARAMETER_VALUE',
      `too many ${this.#kind.what}: at most ${String(this.#kind.max)} can be active at once, ` +
        'those with requests still in flight included',
    );
  }

  #isOver(entry: Entry): boolean {
    return this.#kind.oldestRevision() >= entry.idleSince;
  }

  #reuse(entry: Entry): number {
    this.#idle.delete(entry);
    this.#entries.delete(entry.key);
    this.#kind.clear(entry.slot);
    return entry.slot;
  }
}

interface Hold {
  count: number;
  readonly keys: readonly string[];
  /** First revision without the thing, as far as drops have said; null: none was published. */
  since: number | null;
}

/** Things of one sort that carry slot numbers, and how often each is held. */
export class SlotHolders<T extends object> {
  readonly #table: SlotTable;
  readonly #holds = new Map<T, Hold>();

  constructor(kind: SlotKind) {
    this.#table = new SlotTable(kind);
  }

  /**
   * A new thing, held once. Equal keys get equal numbers.
   * @throws PointsmanError INVALID_PARAMETER_VALUE when there are not enough numbers.
   */
  make(keys: readonly string[], build: (slots: readonly number[]) => T): T {
    const slots: number[] = [];
    try {
      for (const key of keys) slots.push(this.#table.acquire(key));
    } catch (error) {
      for (const key of keys.slice(0, slots.length)) this.#table.release(key, null);
      throw error;
    }
    const thing = build(slots);
    this.#holds.set(thing, { count: 1, keys, since: null });
    return thing;
  }

  /** Whether numbers could be used again if a revision after this one were published. */
  awaitsRevision(revision: number): boolean {
    return this.#table.awaitsRevision(revision);
  }

  /** True: its numbers are still its own. */
  has(thing: T): boolean {
    return this.#holds.has(thing);
  }

  /** Once more; only things that are held. */
  hold(thing: T): void {
    const held = this.#holds.get(thing);
    if (held === undefined) throw new Error('stats slots: a thing was held after its last drop');
    held.count += 1;
  }

  /** @param since first revision without the thing; null: no published revision had it. */
  drop(thing: T, since: number | null): void {
    const held = this.#holds.get(thing);
    if (held === undefined) return;
    held.count -= 1;
    if (since !== null) held.since = since;
    if (held.count > 0) return;
    this.#holds.delete(thing);
    for (const key of held.keys) this.#table.release(key, held.since);
  }
}

export class StatsSlots {
  readonly routes: SlotHolders<EndpointRoutes>;
  readonly addresses: SlotHolders<DeploymentAddresses>;
  readonly deployments: SlotHolders<DeploymentSpec>;

  constructor(counters: Counters) {
    this.routes = new SlotHolders({
      what: 'served entities',
      max: counters.entitySlotsMax,
      clear: (slot) => {
        counters.clearEntity(slot);
      },
      oldestRevision: () => counters.oldestRevision(),
    });
    this.addresses = new SlotHolders({
      what: 'addresses of replicas',
      max: counters.addressSlotsMax,
      clear: (slot) => {
        counters.clearAddress(slot);
      },
      oldestRevision: () => counters.oldestRevision(),
    });
    this.deployments = new SlotHolders({
      what: 'deployments in use',
      max: counters.deploymentSlotsMax,
      clear: (slot) => {
        counters.clearDeployment(slot);
      },
      oldestRevision: () => counters.oldestRevision(),
    });
  }
}
