/**
 * Limits how often something happens per key: a bucket of tokens each, refilled steadily. Bounded: when there are
 * too many keys the one that was idle longest is forgotten, which makes its bucket full again.
 */
import type { Clock } from '../core/clock.js';
import { OldestKeys } from '../core/oldest-keys.js';

export interface TokenBucketsOptions {
  /** How many may come at once. */
  readonly burst: number;
  readonly perSecond: number;
  readonly keysMax: number;
  readonly clock: Clock;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class TokenBuckets {
  readonly #options: TokenBucketsOptions;
  readonly #buckets = new Map<string, Bucket>();
  readonly #idlest = new OldestKeys(this.#buckets);

  constructor(options: TokenBucketsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** 0: taken. Else nothing was taken, and the whole seconds until there is something again. */
  take(key: string): number {
    const { burst, perSecond, keysMax, clock } = this.#options;
    const nowMs = clock.nowMs();
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1000);
    bucket.atMs = nowMs;
    // Behind the others: the map's order is that of the last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > keysMax) this.#idlest.removeOne();
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / perSecond);
    bucket.tokens -= 1;
    return 0;
  }
}
