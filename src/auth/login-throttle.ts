/**
 * Slows down who guesses credentials. Every address has a budget that failed logins use up and time
 * fills again; with an empty budget further bad credentials are answered 429.
 * Good credentials are never held up by it: behind one address there may be others, and a secret of
 * 256 bits is not guessed anyway. The same bad credential again is a client with an old token, no
 * guess, and costs little.
 *
 * Bounded: ADDRESSES_MAX budgets, of which the longest unused one goes first.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { OldestKeys } from '../core/oldest-keys.js';

export const ADDRESSES_MAX = 10_000;

const BUDGET = 1_000;
const REFILL_PER_S = 20;
/** 20 guesses at once, one each 2.5 s after that. */
const GUESS_COST = 50;
const REPETITION_COST = 1;
/** Different bad credentials that are remembered per address. */
const REMEMBERED_MAX = 8;

interface Budget {
  left: number;
  atMs: number;
  readonly seen: string[];
}

export class LoginThrottle {
  readonly #clock: Clock;
  readonly #budgets = new Map<string, Budget>();
  readonly #idlest = new OldestKeys(this.#budgets);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#budgets.size;
  }

  /** Whole seconds until the address may try again; null: it may now. */
  retryAfterS(address: string): number | null {
    const budget = this.#budgets.get(address);
    if (budget === undefined) return null;
    const left = this.#leftOf(budget);
    return left >= REPETITION_COST ? null : Math.ceil((GUESS_COST - left) / REFILL_PER_S);
  }

  /** A credential of this address was not good. */
  failed(address: string, credential: string): void {
    const print = createHash('sha256').update(credential).digest('base64');
    const budget = this.#budgets.get(address) ?? { left: BUDGET, atMs: 0, seen: [] };
    const isRepetition = budget.seen.includes(print);
    budget.left = this.#leftOf(budget) - (isRepetition ? REPETITION_COST : GUESS_COST);
    budget.atMs = this.#clock.nowMs();
    if (!isRepetition) {
      budget.seen.push(print);
      if (budget.seen.length > REMEMBERED_MAX) budget.seen.shift();
    }
    // Deleted first, so that the map's order is that of use.
    this.#budgets.delete(address);
    this.#budgets.set(address, budget);
    if (this.#budgets.size > ADDRESSES_MAX) this.#idlest.removeOne();
  }

  #leftOf({ left, atMs }: Budget): number {
    const passedMs = Math.max(0, this.#clock.nowMs() - atMs);
    return Math.min(BUDGET, left + (passedMs * REFILL_PER_S) / 1_000);
  }
}
