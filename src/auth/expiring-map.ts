import { OldestKeys } from '../core/oldest-keys.js';

/** A map of bounded size whose entries are forgotten after a fixed time; the oldest goes when it is full. */
export class ExpiringMap<K, V> {
  readonly #entries = new Map<K, { readonly value: V; readonly untilMs: number }>();
  readonly #oldest = new OldestKeys(this.#entries);
  readonly #entriesMax: number;
  readonly #ttlMs: number;

  constructor(entriesMax: number, ttlMs: number) {
    this.#entriesMax = entriesMax;
    this.#ttlMs = ttlMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs < entry.untilMs) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: K, value: V, nowMs: number): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#entriesMax) this.#oldest.removeOne();
    this.#entries.set(key, { value, untilMs: nowMs + this.#ttlMs });
  }

  clear(): void {
    this.#entries.clear();
  }
}
