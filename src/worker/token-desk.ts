/**
 * Where both doors bring tokens that the cache does not know: verdicts from the worker's own copy of identities and its
 * own verifier thread, the good ones remembered in native code.
 *
 * Owns the verifier pool, which is made with the setup, so that the first token does not wait for a thread's start.
 */
import { AccessBook } from '../auth/access-book.js';
import { CredentialChecker, tokenOf } from '../auth/credentials.js';
import { RememberingVerifier } from '../auth/remembering-verifier.js';
import { TokenJudge, type GoodToken, type Verdict } from '../auth/token-judge.js';
import type { TrustSource, Verified } from '../auth/trust.js';
import { VerifierPool } from '../auth/verifier-pool.js';
import type { Envelope, Setup } from '../control/messages.js';
import { systemClock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { Engine } from '../native/contract.js';
import type { SharedBlock } from '../native/shared-block.js';
import { KeyRefreshes } from './key-refreshes.js';
import { refusalNumber, type Refusal } from './refusals.js';
import { WantedUsers } from './wanted-users.js';

/** Between the loss of a lane and the next one; tokens take the way past it meanwhile. */
const LANE_INTERVAL_MS = 200;
/** One is enough: it verifies tens of thousands of tokens a second, and there are as many workers as cores. */
const VERIFIER_THREADS = 1;

export interface TokenDeskOptions {
  readonly engine: Pick<
    Engine,
    | 'rememberToken'
    | 'proofOf'
    | 'authorizationOf'
    | 'admit'
    | 'admitVerified'
    | 'reject'
    | 'openTokenLane'
    | 'closeTokenLane'
    | 'setTrustVersion'
  >;
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
  #tokens: TokenJudge | null = null;
  #localTokens: Setup['credentials'] = [];
  #isOpening = false;

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
    this.#localTokens = setup.credentials;
    this.#tokens = new TokenJudge({
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
      const { version } = this.#book.trust;
      this.#book.apply(access);
      if (this.#book.trust.version !== version) this.#onNewKeys();
      this.#wanted.clear();
    }
    if (issuedToken !== undefined) {
      const { token, verifiedJson } = issuedToken;
      this.#verifier.remember(token, JSON.parse(verifiedJson) as Verified);
    }
    if (keysRefreshed !== undefined) {
      this.#refreshes.onAnswer(keysRefreshed.issuer);
      this.#pool?.announceLook(keysRefreshed.issuer);
    }
  }

  /** Unknown tokens of the engine's front go to the verifier thread from now on, and to the next one when that dies. */
  openLane(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    this.#tryLane()
      .catch((error: unknown) => {
        this.#options.onFault(`no thread takes the token lane: ${messageOf(error)}`);
        this.#options.engine.closeTokenLane();
        this.#openLaneLater();
      })
      .finally(() => {
        this.#isOpening = false;
      });
  }

  /**
   * Decides on the token of a connection of the engine's front, as `OnUnknownToken` names it. What is verified, and can be
   * decided at once, never becomes a text of JavaScript: keeping and hashing those took as long as all the rest of it.
   */
  decide(connection: number, generation: number, verifiedJson: string): void {
    const { engine } = this.#options;
    const good = this.#judgeVerified(verifiedJson);
    if (good !== null) {
      const { epoch, expiresAtMs, terms, trustVersion } = good;
      engine.admitVerified(
        connection,
        generation,
        epoch,
        expiresAtMs,
        terms,
        verifiedJson,
        trustVersion,
      );
      return;
    }
    const authorization = engine.authorizationOf(connection, generation);
    void this.#judge(authorization, verifiedJson).then((refusal) => {
      if (refusal === null) engine.admit(connection, generation);
      else engine.reject(connection, generation, refusalNumber(refusal));
    });
  }

  /** Null: the token is good, and the engine knows what it opens. Never rejects. */
  async check(authorization: string): Promise<Refusal | null> {
    const proof = this.#options.engine.proofOf(authorization, this.#book.trust.version);
    const good = this.#judgeVerified(proof);
    if (good === null) return this.#judge(authorization, proof);
    this.#remember(authorization, good);
    return null;
  }

  /** Null: it is not good, or that cannot be said at once. */
  #judgeVerified(verifiedJson: string): GoodToken | null {
    if (verifiedJson === '' || this.#tokens === null) return null;
    return this.#tokens.judgeVerified(JSON.parse(verifiedJson) as Verified);
  }

  /** As `check`, with time to wait. `verifiedJson`: by the present trust; may be empty. */
  async #judge(authorization: string, verifiedJson: string): Promise<Refusal | null> {
    const token = verifiedJson === '' ? null : tokenOf(authorization);
    if (token !== null) this.#verifier.remember(token, JSON.parse(verifiedJson) as Verified);
    const verdict: Verdict = (await this.#tokens?.judge(authorization)) ?? { kind: 'busy' };
    if (verdict.kind === 'busy') return 'noVerdict';
    if (verdict.kind === 'bad') return 'tokenInvalid';
    this.#remember(authorization, verdict);
    return null;
  }

  #remember(authorization: string, good: GoodToken): void {
    const { epoch, expiresAtMs, terms, verified, trustVersion } = good;
    const verifiedJson = verified === null ? '' : JSON.stringify(verified);
    this.#options.engine.rememberToken(
      authorization,
      epoch,
      expiresAtMs,
      terms,
      verifiedJson,
      trustVersion,
    );
  }

  current(): ReturnType<TrustSource['current']> {
    return this.#book.trust;
  }

  refresh(issuer: string): Promise<void> {
    return this.#refreshes.refresh(issuer);
  }

  #onNewKeys(): void {
    this.#options.engine.setTrustVersion(this.#book.trust.version);
    // The lane's thread passes everything on until it has them. When it cannot be asked, the next batch brings them.
    this.#pool?.ready().catch(() => undefined);
  }

  /** A thread that runs closes its end when it dies, so that the engine hears of it; the descriptor goes to no other. */
  async #tryLane(): Promise<void> {
    const { engine } = this.#options;
    const pool = this.#poolOnce();
    await pool.ready();
    const lane = { isLost: false };
    const descriptor = engine.openTokenLane(() => {
      lane.isLost = true;
      if (!this.#isOpening) this.#openLaneLater();
    });
    if (descriptor < 0) throw new Error('no descriptor is to be had');
    engine.setTrustVersion(this.#book.trust.version);
    await pool.serveLane({ descriptor, localTokens: this.#localTokens });
    if (lane.isLost) throw new Error('it was lost at once');
  }

  #openLaneLater(): void {
    systemClock.after(LANE_INTERVAL_MS, () => {
      this.openLane();
    });
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
