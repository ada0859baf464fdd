/**
 * Whom an Authorization field of the admin port names: the daemon's own two tokens, a personal access
 * token, or a signed token that a verifier knows. Nothing is cached here; what is slow about signed
 * tokens is the verifier's business.
 */
import { PointsmanError } from '../core/errors.js';
import { BUILTIN_IDS } from '../store/identity-tables.js';
import { tokenOf, type CredentialChecker } from './credentials.js';
import { ADMIN_PRINCIPAL } from './local-tokens.js';
import type { LoginThrottle } from './login-throttle.js';
import type { Identities, Principal } from './principal.js';

export interface Caller {
  readonly principal: Principal;
  /** Ids of the endpoints that the token is limited to; null: it opens whatever its principal may. */
  readonly limitedTo: readonly string[] | null;
}

/** Checks a signed token; null when it is not good. */
export type VerifyBearer = (token: string) => Promise<Caller | null>;

export interface AuthenticatorOptions {
  readonly localTokens: CredentialChecker;
  readonly identities: Identities;
  readonly throttle: LoginThrottle;
  /** Absent: no signed tokens. */
  readonly verifyBearer?: VerifyBearer;
}

/** Three parts, as every signed token has them; no other credential of ours has a dot. */
const SIGNED_TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * @param address of the client, for the throttle.
   * @returns null when there is no credential or a bad one.
   * @throws PointsmanError REQUEST_LIMIT_EXCEEDED after too many bad ones.
   */
  async authenticate(authorization: string | undefined, address: string): Promise<Caller | null> {
    if (authorization === undefined) return null;
    const known = this.#known(authorization);
    if (known !== null) return known;
    // Before the throttle: a good token is never held up, and the verifier has bounds of its own against floods.
    const signed = await this.#signed(authorization);
    if (signed === null) this.#countFailure(authorization, address);
    return signed;
  }

  #countFailure(authorization: string, address: string): void {
    const { throttle } = this.#options;
    const retryAfterS = throttle.retryAfterS(address);
    if (retryAfterS === null) {
      throttle.failed(address, authorization);
      return;
    }
    throw new PointsmanError(
      'REQUEST_LIMIT_EXCEEDED',
      'Too many bad credentials came from this address; try again later',
      { retryAfterS },
    );
  }

  /** Tokens that cost a look-up. */
  #known(authorization: string): Caller | null {
    const { localTokens, identities } = this.#options;
    const local = localTokens.check(authorization);
    if (local !== null) {
      const id = local === ADMIN_PRINCIPAL ? BUILTIN_IDS.admin : BUILTIN_IDS.query;
      return callerOf(identities.principal(String(id)));
    }
    const token = tokenOf(authorization);
    return token === null ? null : callerOf(identities.byAccessToken(token)?.principal ?? null);
  }

  async #signed(authorization: string): Promise<Caller | null> {
    const { verifyBearer } = this.#options;
    const token = tokenOf(authorization);
    if (verifyBearer === undefined || token === null || !SIGNED_TOKEN.test(token)) return null;
    const caller = await verifyBearer(token);
    return caller?.principal.active ? caller : null;
  }
}

function callerOf(principal: Principal | null): Caller | null {
  return principal === null ? null : { principal, limitedTo: null };
}
