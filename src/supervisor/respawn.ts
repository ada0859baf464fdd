/**
 * When a dead worker's slot is started again, and whether without the fast path. One death is repaired at
 * once; a slot that keeps dying must not take the machine down with it.
 */

/** A worker that lived this long has broken the series. */
const SERIES_MS = 10_000;
const DEATHS_IN_SERIES = 3;
const SECOND_DELAY_MS = 250;
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;

const CRASHES_MS = 60_000;
const CRASHES_UNTIL_DEGRADED = 2;
const CRASH_SIGNALS: ReadonlySet<string> = new Set([
  'SIGSEGV',
  'SIGABRT',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
]);

export class RespawnPolicy {
  #deaths: number[] = [];
  #crashes: number[] = [];
  /** Delay before the last respawn when that was a back-off; 0: none. */
  #backoffMs = 0;
  #degraded = false;

  /** True once two native crashes fell into a minute; the daemon's restart ends it. */
  get degraded(): boolean {
    return this.#degraded;
  }

  /** True when the last death was one of a series: the next process is waited for with a growing delay. */
  get backsOff(): boolean {
    return this.#backoffMs > 0;
  }

  /**
   * Milliseconds until the slot is started again.
   * @param nowMs of a clock that only grows
   * @param livedMs how long the dead process ran
   */
  died(nowMs: number, livedMs: number, signal: string | null): number {
    if (signal !== null && CRASH_SIGNALS.has(signal)) this.#crashed(nowMs);
    this.#deaths = [...this.#deaths, nowMs].filter((at) => at > nowMs - SERIES_MS);
    const goesOn = this.#backoffMs > 0 && livedMs < SERIES_MS;
    if (!goesOn && this.#deaths.length < DEATHS_IN_SERIES) {
      this.#backoffMs = 0;
      return this.#deaths.length === 1 ? 0 : SECOND_DELAY_MS;
    }
    this.#backoffMs = goesOn ? Math.min(2 * this.#backoffMs, BACKOFF_MAX_MS) : BACKOFF_FIRST_MS;
    return this.#backoffMs;
  }

  #crashed(nowMs: number): void {
    this.#crashes = [...this.#crashes, nowMs].filter((at) => at > nowMs - CRASHES_MS);
    if (this.#crashes.length >= CRASHES_UNTIL_DEGRADED) this.#degraded = true;
  }
}
