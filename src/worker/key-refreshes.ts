/**
 * A worker's asking its supervisor to look for an issuer's new keys. One question at a time for each issuer, however many
 * tokens wait for the answer, and a pause between two: who sends tokens with keys that nobody has would otherwise have
 * both processes do little else. Issuers are those of the configuration, so there are few.
 */
import type { Clock } from '../core/clock.js';

/** Between the beginnings of two questions about one issuer. The first one is asked at once. */
export const ASK_INTERVAL_MS = 20;
/** How long a token with an unknown key waits for the supervisor to have looked for it. */
export const ANSWER_TIMEOUT_MS = 4_000;

interface Refresh {
  readonly done: Promise<void>;
  readonly settle: () => void;
}

export interface KeyRefreshesOptions {
  readonly clock: Clock;
  readonly ask: (issuer: string) => void;
}

export class KeyRefreshes {
  readonly #options: KeyRefreshesOptions;
  readonly #underWay = new Map<string, Refresh>();
  readonly #askedAtMs = new Map<string, number>();

  constructor(options: KeyRefreshesOptions) {
    this.#options = options;
  }

  /** Resolves when the supervisor has looked, or does not answer. Never rejects. */
  refresh(issuer: string): Promise<void> {
    const known = this.#underWay.get(issuer);
    if (known !== undefined) return known.done;
    const { clock } = this.#options;
    const waitMs = (this.#askedAtMs.get(issuer) ?? -Infinity) + ASK_INTERVAL_MS - clock.nowMs();
    let settle = (): void => undefined;
    const done = new Promise<void>((resolve) => {
      settle = resolve;
    });
    this.#underWay.set(issuer, { done, settle });
    if (waitMs <= 0) this.#ask(issuer);
    // A clock that was set back must not make it wait longer than that.
    else
      clock.after(Math.min(waitMs, ASK_INTERVAL_MS), () => {
        this.#ask(issuer);
      });
    return done;
  }

  /** The supervisor's answer. */
  onAnswer(issuer: string): void {
    const refresh = this.#underWay.get(issuer);
    this.#underWay.delete(issuer);
    refresh?.settle();
  }

  #ask(issuer: string): void {
    const { clock, ask } = this.#options;
    const refresh = this.#underWay.get(issuer);
    this.#askedAtMs.set(issuer, clock.nowMs());
    const cancel = clock.after(ANSWER_TIMEOUT_MS, () => {
      if (this.#underWay.get(issuer) === refresh) this.onAnswer(issuer);
    });
    void refresh?.done.then(cancel);
    ask(issuer);
  }
}
