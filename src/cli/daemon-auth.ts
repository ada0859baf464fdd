/**
 * Who may call the daemon, put together: identities over the store, signing keys, trusted issuers, the token service,
 * and what the workers are told of it all.
 *
 *   identities, keys ── change ──► AccessFeed ──► supervisor ──► workers, auth epoch
 *   token service ──── issued ──────────────────► supervisor ──► workers' verifiers
 */
import type { Logger } from 'pino';
import { AccessFeed } from '../auth/access-feed.js';
import { Authenticator, type Caller } from '../auth/authenticator.js';
import { CredentialChecker, type TokenCredential } from '../auth/credentials.js';
import { EMPTY_PROFILE, type IdentityBook } from '../auth/identity-book.js';
import { fixedIssuer } from '../auth/fixed-issuer.js';
import { KeyFile } from '../auth/key-file.js';
import { LoginThrottle } from '../auth/login-throttle.js';
import { RememberingVerifier } from '../auth/remembering-verifier.js';
import { SigningKeys } from '../auth/signing-keys.js';
import { StoredIdentities } from '../auth/stored-identities.js';
import { callerOfToken, TokenService } from '../auth/token-service.js';
import { TokenSigner } from '../auth/token-signer.js';
import type { Verified } from '../auth/trust.js';
import { TrustKeeper, type ExternalIssuer } from '../auth/trust-keeper.js';
import { VerifierPool } from '../auth/verifier-pool.js';
import type { Config } from '../config/config.js';
import type { WantedUser } from '../control/messages.js';
import type { GrantBook } from '../control/grant-book.js';
import { systemClock } from '../core/clock.js';
import { messageOf, PointsmanError } from '../core/errors.js';
import type { Sealer } from '../store/sealed-box.js';
import type { Store } from '../store/store.js';
import type { Supervisor } from '../supervisor/supervisor.js';

/** The admin port sees few tokens; workers have threads of their own. */
const VERIFIER_THREADS = 1;
/** Seconds after which a user that could not be made is asked for again. */
const USER_RETRY_S = 1;

/** Secrets of this purpose are recognised by workers too. */
export const ACCESS_TOKEN_PURPOSE = 'access_token';

export interface DaemonAuthOptions {
  readonly config: Config;
  readonly store: Store;
  readonly sealer: Sealer;
  readonly book: IdentityBook;
  readonly grants: GrantBook;
  readonly localTokens: readonly TokenCredential[];
  readonly supervisor: Supervisor;
  /** Of the data port. */
  readonly publicUrl: string;
  readonly logger: Logger;
}

export class DaemonAuth {
  readonly identities: StoredIdentities;
  readonly authenticator: Authenticator;
  readonly tokens: TokenService;
  readonly keys: SigningKeys;
  readonly issuer: string;
  readonly #trust: TrustKeeper;
  readonly #verifier: RememberingVerifier;
  readonly #logger: Logger;
  #pool: VerifierPool | null = null;

  private constructor(options: DaemonAuthOptions, keys: SigningKeys) {
    const { config, store, sealer, book, grants, supervisor, logger } = options;
    const clock = systemClock;
    this.#logger = logger;
    this.keys = keys;
    this.issuer = issuerOf(config, options.publicUrl);
    const own = { issuer: this.issuer, audience: audienceOf(config) };
    this.identities = new StoredIdentities({
      tables: store.identities,
      sealer,
      clock,
      book,
      grants,
    });
    this.#trust = new TrustKeeper({
      ...own,
      signingKeys: keys,
      external: config.auth.issuers.map(externalIssuerOf),
      clock,
      onProblem: (issuer, problem) => {
        logger.warn({ issuer, problem }, 'keys of an issuer');
      },
    });
    this.#verifier = new RememberingVerifier({
      trust: this.#trust,
      clock,
      pool: () => this.#poolOnce(),
    });
    this.tokens = new TokenService({
      identities: this.identities,
      signer: new TokenSigner({ ...own, tokenTtlS: config.auth.token_ttl_s, keys, clock }),
      verifier: this.#verifier,
      clock,
      onIssued: ({ token, verified }) => {
        this.#verifier.remember(token, verified);
        supervisor.announceToken(token, JSON.stringify(verified));
      },
    });
    this.authenticator = new Authenticator({
      localTokens: new CredentialChecker(options.localTokens),
      identities: this.identities,
      throttle: new LoginThrottle(clock),
      verifyBearer: (token) => this.#verifyBearer(token),
    });
    const feed = new AccessFeed(this.identities, this.#trust, (update, takesAway) => {
      supervisor.changeAccess(update, takesAway);
    });
    supervisor.useAccess({
      whole: () => feed.whole(),
      refreshKeys: (issuer) => this.#trust.refresh(issuer),
      wantUser: (wanted) => {
        this.#makeUser(wanted);
      },
    });
  }

  /** @throws Error when stored signing keys cannot be opened; PointsmanError for an issuer of our own name. */
  static async open(options: DaemonAuthOptions): Promise<DaemonAuth> {
    const { config, sealer, logger } = options;
    const keys = await SigningKeys.open({
      store: new KeyFile(config.state_dir),
      sealer,
      clock: systemClock,
      tokenTtlMs: config.auth.token_ttl_s * 1_000,
      onProblem: (problem) => {
        logger.error({ problem }, 'signing keys');
      },
    });
    const auth = new DaemonAuth(options, keys);
    // An issuer that does not answer is no reason not to start; its keys are asked for again.
    void auth.#trust.start();
    return auth;
  }

  async close(): Promise<void> {
    this.keys.close();
    this.#trust.close();
    await this.#pool?.close();
  }

  async #verifyBearer(token: string): Promise<Caller | null> {
    const answer = await this.#verifier.verify(token);
    if (!answer.ok) {
      if (answer.status === 401) return null;
      const { retryAfterS } = answer;
      throw new PointsmanError(
        'TEMPORARILY_UNAVAILABLE',
        'The credential could not be checked in time',
        { retryAfterS },
      );
    }
    const problem = this.#makeUserOf(answer);
    if (problem !== null) {
      // As a worker answers it: the token is good, and the same one may be taken later.
      throw new PointsmanError(
        'TEMPORARILY_UNAVAILABLE',
        `The user of the credential cannot be made now: ${problem}`,
        { retryAfterS: USER_RETRY_S },
      );
    }
    const known = callerOfToken(answer, this.identities);
    if (known === null) return null;
    const principal = this.identities.book.withClaimed(known.principal, answer);
    return { principal, limitedTo: answer.endpoints };
  }

  #makeUserOf({ kind, autoCreate, principal: name, issuer, iat }: Verified): string | null {
    if (kind !== 'external' || !autoCreate) return null;
    return this.#makeUser({ name, issuer, issuedAtS: iat });
  }

  /**
   * A worker asks for it too; it has verified the token.
   * @returns why there is no such user although nothing speaks against it, else null.
   */
  #makeUser({ name, issuer, issuedAtS }: WantedUser): string | null {
    const rules = this.#trust.current().issuers.find((one) => one.issuer === issuer);
    if (rules?.kind !== 'external' || !rules.autoCreate) return null;
    if (!this.identities.book.mayBeMade(name, issuedAtS)) return null;
    try {
      this.identities.book.create('user', { name, profile: EMPTY_PROFILE });
      this.#logger.info({ user: name, issuer }, 'user made at its first token');
      return null;
    } catch (error) {
      this.#logger.warn({ user: name, issuer, error: messageOf(error) }, 'user cannot be made');
      return error instanceof PointsmanError ? error.message : 'the store refuses it';
    }
  }

  #poolOnce(): VerifierPool {
    this.#pool ??= new VerifierPool({
      trust: this.#trust,
      clock: systemClock,
      threads: VERIFIER_THREADS,
      onFault: (problem) => {
        this.#logger.warn({ problem }, 'verification of tokens');
      },
    });
    return this.#pool;
  }
}

/** The same after every restart, unless the configuration says another one; never from a request. */
function issuerOf(config: Config, publicUrl: string): string {
  if (config.auth.issuer !== '') return config.auth.issuer;
  const issuer = `${publicUrl}/oidc`;
  return config.data_plane.public_url === '' ? fixedIssuer(config.state_dir, issuer) : issuer;
}

function audienceOf(config: Config): string {
  return `urn:pointsman:workspace:${config.workspace_id}`;
}

function externalIssuerOf(values: Config['auth']['issuers'][number]): ExternalIssuer {
  const { jwks_uri: uri, jwks_file: file = '' } = values;
  return {
    issuer: values.issuer,
    location: uri === undefined ? { file } : { uri },
    audiences: values.audiences,
    algorithms: values.algorithms,
    tokenTypes: values.token_types,
    principalClaim: values.principal_claim,
    groupsClaim: values.groups_claim,
    adminGroups: values.admin_groups,
    autoCreate: values.auto_create,
  };
}
