/**
 * Verification that is done once per token: what a signature proved stays true until the token expires or the trusted
 * keys change, whatever becomes of principals and permissions. So a change of those, which empties the caches of
 * verdicts, costs no second look at a signature. Bounded; the token that was added first goes first. Beside it the
 * engine's cache keeps what was proved of the tokens that it knows (native/front/token_cache.h): this is for those that have just
 * been issued, and for those that wait for a verdict.
 */
import type { Clock } from '../core/clock.js';
import { OldestKeys } from '../core/oldest-keys.js';
import type { TrustSource, Verified, VerifyAnswer } from './trust.js';
import type { VerifierPool } from './verifier-pool.js';

/** Tokens that are remembered; longer ones than this are verified each time. */
export const REMEMBERED_TOKENS_MAX = 16_384;
const REMEMBERED_CHARS_MAX = 4_096;

export interface RememberingVerifierOptions {
  readonly trust: Pick<TrustSource, 'current'>;
  /** Made at the first token that must be verified. */
  readonly pool: () => Pick<VerifierPool, 'verify'>;
  readonly clock: Clock;
}

export class RememberingVerifier {
  readonly #options: RememberingVerifierOptions;
  readonly #good = new Map<string, Verified>();
  readonly #oldest = new OldestKeys(this.#good);
  #trustVersion = -1;

  constructor(options: RememberingVerifierOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async verify(token: string): Promise<VerifyAnswer> {
    const known = this.#known(token);
    if (known !== null) return known;
    const answer = await this.#options.pool().verify(token);
    if (answer.ok) this.remember(token, answer);
    return answer;
  }

  /** A token whose content is known to be true: verified, or made here. */
  remember(token: string, verified: Verified): void {
    if (token.length > REMEMBERED_CHARS_MAX || this.#isOver(verified)) return;
    this.#followTrust();
    if (this.#good.size >= REMEMBERED_TOKENS_MAX) this.#oldest.removeOne();
    this.#good.set(token, verified);
  }

  #known(token: string): Verified | null {
    this.#followTrust();
    const known = this.#good.get(token);
    if (known === undefined) return null;
    if (!this.#isOver(known)) return known;
    this.#good.delete(token);
    return null;
  }

  #isOver({ exp }: Verified): boolean {
    return exp <= this.#options.clock.nowMs() / 1000;
  }

  #followTrust(): void {
    const { version } = this.#options.trust.current();
    if (version === this.#trustVersion) return;
    this.#trustVersion = version;
    this.#good.clear();
  }
}
