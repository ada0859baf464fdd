/**
 * Health of one address, fed by the results of its probes.
 *
 *   UNKNOWN  never decided: `healthy_after` successes lead to READY, `unhealthy_after` failures to
 *   DOWN READY    `unhealthy_after` failures in a row lead to DOWN
 *   DOWN     `healthy_after` successes in a row lead to READY
 */
export type HealthState = 'UNKNOWN' | 'READY' | 'DOWN';

export interface HealthThresholds {
  readonly healthy_after: number;
  readonly unhealthy_after: number;
}

export class AddressHealth {
  #state: HealthState = 'UNKNOWN';
  #sinceMs: number;
  #recoveredAtMs = 0;
  #wasReady = false;
  #lastError = '';
  #probed = false;
  /** Results in a row of the kind of the last one. */
  #streak = 0;
  #streakGood = false;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  get state(): HealthState {
    return this.#state;
  }

  /** Epoch milliseconds of the last change of `state`. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** Epoch milliseconds of the last return to READY from DOWN; 0: it was never ready before. */
  get recoveredAtMs(): number {
    return this.#recoveredAtMs;
  }

  /** What the last failed probe found; empty after a success. */
  get lastError(): string {
    return this.#lastError;
  }

  get probed(): boolean {
    return this.#probed;
  }

  /** The probes ask for something else from now on: the state stays until they have decided anew. */
  restart(): void {
    this.#streak = 0;
  }

  /** @param problem null for a success. @returns whether the state changed. */
  record(problem: string | null, thresholds: HealthThresholds, nowMs: number): boolean {
    const good = problem === null;
    this.#probed = true;
    this.#lastError = problem ?? '';
    this.#streak = good === this.#streakGood ? this.#streak + 1 : 1;
    this.#streakGood = good;
    const needed = good ? thresholds.healthy_after : thresholds.unhealthy_after;
    const next = good ? 'READY' : 'DOWN';
    if (this.#streak < needed || this.#state === next) return false;
    this.#state = next;
    this.#sinceMs = nowMs;
    if (good && this.#wasReady) this.#recoveredAtMs = nowMs;
    this.#wasReady ||= good;
    return true;
  }
}
