/**
 * Users of an issuer that the supervisor has been asked to make and that have not come. One is asked for again when as long
 * has passed as anybody waits for it: the supervisor says nothing of those it could not make.
 */
import { CATCH_UP_MS } from '../auth/access-book.js';
import type { WantedUser } from '../control/messages.js';
import type { Clock } from '../core/clock.js';

/** One more is not asked for, and its token is answered 503. */
export const WANTED_USERS_MAX = 64;

export class WantedUsers {
  readonly #clock: Clock;
  readonly #ask: (wanted: WantedUser) => void;
  /** Until when each may come, the oldest first. */
  readonly #untilMs = new Map<string, number>();

  constructor(clock: Clock, ask: (wanted: WantedUser) => void) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** False: too many are asked for. */
  want(wanted: WantedUser): boolean {
    const { name } = wanted;
    const nowMs = this.#clock.nowMs();
    for (const [known, untilMs] of this.#untilMs) {
      // One that lies too far ahead is from before the clock was set back.
      if (nowMs >= untilMs || untilMs > nowMs + CATCH_UP_MS) this.#untilMs.delete(known);
    }
    if (this.#untilMs.has(name)) return true;
    if (this.#untilMs.size >= WANTED_USERS_MAX) return false;
    this.#untilMs.set(name, nowMs + CATCH_UP_MS);
    this.#ask(wanted);
    return true;
  }

  /** All that were made have come. */
  clear(): void {
    this.#untilMs.clear();
  }
}
