/**
 * Where both doors bring tokens that the cache does not know: verdicts from the worker's own copy of identities and its
 * own verifier thread, the good ones remembered in native code.
 *
 * Owns the verifier pool, which is made with the setup, so that the first token does not wait for a thread's start.
 */
import { AccessBook } from '../auth/access-book.js';
import { CredentialChecker } from '../auth/credentials.js';
import { RememberingVerifier } from '../auth/remembering-verifier.js';
import { TokenJudge, type Verdict } from '../auth/token-judge.js';
import type { TrustSource, Verified } from '../auth/trust.js';
import { VerifierPool } from '../auth/verifier-pool.js';
import type { Envelope, Setup } from '../control/messages.js';
import { systemClock } from '../core/clock.js';
import type { Engine } from '../native/contract.js';
import type { SharedBlock } from '../native/shared-block.js';
import { KeyRefreshes } from './key-refreshes.js';
import type { Refusal } from './refusals.js';
import { WantedUsers } from './wanted-users.js';

/** One is enough: it verifies tens of thousands of tokens a second, and there are as many workers as cores. */
const VERIFIER_THREADS = 1;

export interface TokenDeskOptions {
  readonly engine: Pick<Engine, 'rememberToken'>;
  readonly block: Pick<SharedBlock, 'accessVersion'>;
  readonly send: (envelope: Envelope) => void;
  readonly onFault: (problem: string) => void;
}

export class TokenDesk implements TrustSource {
  readonly #options: TokenDeskOptions;
  readonly #book: AccessBook;
  readonly #verifier: RememberingVerifier;
  readonly #refreshes: KeyRefreshes;
  readonly #wanted: WantedUsers;
  #pool: VerifierPool | null = null;
  #judge: TokenJudge | null = null;

  constructor(options: TokenDeskOptions) {
    this.#options = options;
    this.#book = new AccessBook({
      clock: systemClock,
      version: () => options.block.accessVersion(),
    });
    this.#verifier = new RememberingVerifier({
      trust: this,
      clock: systemClock,
      pool: () => this.#poolOnce(),
    });
    this.#wanted = new WantedUsers(systemClock, (wantedUser) => {
      options.send({ wantedUser });
    });
    this.#refreshes = new KeyRefreshes({
      clock: systemClock,
      ask: (issuer) => {
        options.send({ refreshKeys: { issuer } });
      },
    });
  }

  setUp(setup: Setup): void {
    if (setup.authRequired) this.#poolOnce();
    this.#judge = new TokenJudge({
      localTokens: new CredentialChecker(setup.credentials),
      accessTokenKey: setup.accessTokenKey,
      book: this.#book,
      clock: systemClock,
      verifier: this.#verifier,
      wantUser: (wanted) => this.#wanted.want(wanted),
    });
  }

  onEnvelope({ access, issuedToken, keysRefreshed }: Envelope): void {
    if (access !== undefined) {
      this.#book.apply(access);
      this.#wanted.clear();
    }
    if (issuedToken !== undefined) {
      const { token, verifiedJson } = issuedToken;
      this.#verifier.remember(token, JSON.parse(verifiedJson) as Verified);
    }
    if (keysRefreshed !== undefined) this.#refreshes.onAnswer(keysRefreshed.issuer);
  }

  /** Null: the token is good, and the engine knows what it opens. Never rejects. */
  async check(authorization: string): Promise<Refusal | null> {
    const verdict: Verdict = (await this.#judge?.judge(authorization)) ?? { kind: 'busy' };
    if (verdict.kind === 'busy') return 'noVerdict';
    if (verdict.kind === 'bad') return 'tokenInvalid';
    const { epoch, expiresAtMs, terms } = verdict;
    this.#options.engine.rememberToken(authorization, epoch, expiresAtMs, terms);
    return null;
  }

  current(): ReturnType<TrustSource['current']> {
    return this.#book.trust;
  }

  refresh(issuer: string): Promise<void> {
    return this.#refreshes.refresh(issuer);
  }

  #poolOnce(): VerifierPool {
    this.#pool ??= new VerifierPool({
      trust: this,
      clock: systemClock,
      threads: VERIFIER_THREADS,
      onFault: this.#options.onFault,
    });
    return this.#pool;
  }
}
