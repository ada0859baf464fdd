/**
 * One timer per endpoint whose config update is in progress. The names it holds are exactly the
 * endpoints with a pending config that waits.
 */
import type { Clock } from '../core/clock.js';
import type { EndpointRecord } from './records.js';

export class Deadlines {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #onExpired: (name: string, startedAt: number) => void;
  readonly #timers = new Map<string, { startedAt: number; cancel: () => void }>();

  /** @param onExpired told the endpoint and the start of the update that ran out of time. */
  constructor(
    clock: Clock,
    deadlineMs: number,
    onExpired: (name: string, startedAt: number) => void,
  ) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.#onExpired = onExpired;
  }

  get size(): number {
    return this.#timers.size;
  }

  names(): string[] {
    return [...this.#timers.keys()];
  }

  /**
   * To be called with an endpoint's record after every change; null: deleted.
   * @param graceMs least time that an update gets from now on; a restart gives probes time to
   *   speak.
   */
  follow(name: string, record: EndpointRecord | null, graceMs = 0): void {
    const startedAt = record?.update === 'IN_PROGRESS' ? (record.pending?.startedAt ?? null) : null;
    const known = this.#timers.get(name);
    if (known?.startedAt === startedAt) return;
    known?.cancel();
    this.#timers.delete(name);
    if (startedAt === null) return;
    // No more than a whole one: the clock may have been set back since it began.
    const restMs = Math.min(startedAt + this.#deadlineMs - this.#clock.nowMs(), this.#deadlineMs);
    const leftMs = Math.max(graceMs, restMs);
    const cancel = this.#clock.after(leftMs, () => {
      this.#onExpired(name, startedAt);
    });
    this.#timers.set(name, { startedAt, cancel });
  }

  stop(): void {
    for (const { cancel } of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}
