/**
 * The token endpoint without its HTTP: a form in, a status with a JSON body out (RFC 6749, 7523, 8693, 9396).
 *
 *   client_credentials  id and secret of a service principal ──► token
 *   jwt-bearer          a token for everything ──► one that opens the named endpoints (what data-plane clients do)
 *   token-exchange      a personal access token ──► token
 *
 * A token that is limited to endpoints cannot be exchanged for another: nothing lives longer than its source by
 * being passed on. Wrong credentials are counted per address; the count slows guessing down, it locks nobody out, as a
 * right secret is let in whatever was tried before.
 */
import type { Clock } from '../core/clock.js';
import {
  checkPermissions,
  DetailsError,
  endpointOf,
  parseAuthorizationDetails,
  type AuthorizationDetail,
} from './authorization-details.js';
import { readClientCredentials, type ClientCredentials } from './client-credentials.js';
import { parseForm } from './form.js';
import { isBuiltin } from './identity-book.js';
import { invalidClient, invalidRequest, OAuthError, slowDown } from './oauth-error.js';
import type { Identities, KnownCredential, Principal } from './principal.js';
import { TokenBuckets } from './token-buckets.js';
import type { IssuedToken, TokenSigner } from './token-signer.js';
import type { Verified, VerifyAnswer } from './trust.js';

export const GRANT_TYPES = {
  clientCredentials: 'client_credentials',
  jwtBearer: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  tokenExchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const;

/** The only scope there is; what a token opens within it is for permissions to say. */
export const SCOPE = 'all-apis';

const PAT_TYPE = 'urn:databricks:params:oauth:token-type:personal-access-token';
const ACCESS_TOKEN_URN = 'urn:ietf:params:oauth:token-type:access_token';

/** Wrong credentials from one address: this many at once, then as many per second, then 429 instead of 401. */
export const FAILURES_BURST = 50;
const FAILURES_PER_SECOND = 5;
/** Tokens for one principal. Clients keep a token for its life; a loop that asks for each call is slowed down. */
export const ISSUES_BURST = 1000;
const ISSUES_PER_SECOND = 100;
const THROTTLED_KEYS_MAX = 10_000;

export interface TokenRequest {
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly body: Uint8Array;
  /** Of the client, for the throttle. */
  readonly address: string;
}

export interface TokenResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface TokenServiceOptions {
  readonly identities: Identities;
  readonly signer: TokenSigner;
  readonly verifier: { verify(token: string): Promise<VerifyAnswer> };
  readonly clock: Clock;
  /** Own tokens enter the caches when they are made. */
  readonly onIssued: (issued: IssuedToken) => void;
}

type Form = ReadonlyMap<string, string>;

/** Whom a grant speaks for, before scope and details are looked at. */
interface Grantee {
  readonly principal: Principal;
  readonly credentialId: string;
  /** When that credential ends; null: never. */
  readonly expiresAtMs: number | null;
  /** `issued_token_type` of a token exchange; else empty. */
  readonly issuedType: string;
  /** The grant gives limited tokens only. */
  readonly detailsNeeded: boolean;
}

export class TokenService {
  readonly #options: TokenServiceOptions;
  readonly #failures: TokenBuckets;
  readonly #issues: TokenBuckets;

  constructor(options: TokenServiceOptions) {
    this.#options = options;
    const { clock } = options;
    const keysMax = THROTTLED_KEYS_MAX;
    const failures = { burst: FAILURES_BURST, perSecond: FAILURES_PER_SECOND };
    const issues = { burst: ISSUES_BURST, perSecond: ISSUES_PER_SECOND };
    this.#failures = new TokenBuckets({ ...failures, keysMax, clock });
    this.#issues = new TokenBuckets({ ...issues, keysMax, clock });
  }

  /** Never rejects for what a client can send. */
  async answer(request: TokenRequest): Promise<TokenResponse> {
    try {
      return success(await this.#grant(request));
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      return failure(this.#throttled(error, request.address));
    }
  }

  async #grant(request: TokenRequest): Promise<Readonly<Record<string, unknown>>> {
    const form = parseForm(request.contentType, request.body);
    const credentials = readClientCredentials(request.authorization, form);
    const grantee = await this.#grantee(form, credentials);
    const scope = scopeOf(form);
    const details = this.#detailsOf(form, grantee);
    const waitS = this.#issues.take(grantee.principal.id);
    if (waitS > 0) throw slowDown(waitS);
    const { principal, credentialId, expiresAtMs, issuedType } = grantee;
    const { signer, onIssued } = this.#options;
    const issued = signer.sign({
      principal,
      scope,
      authorizationDetails: details,
      endpoints: details === null ? null : this.#endpointIds(details),
      credentialId,
      expiresAtMs,
    });
    onIssued(issued);
    return {
      access_token: issued.token,
      token_type: 'Bearer',
      expires_in: issued.lifetimeS,
      scope,
      ...(details === null ? {} : { authorization_details: details }),
      ...(issuedType === '' ? {} : { issued_token_type: issuedType }),
    };
  }

  #grantee(form: Form, credentials: ClientCredentials | null): Grantee | Promise<Grantee> {
    const grantType = form.get('grant_type');
    switch (grantType) {
      case undefined:
        throw invalidRequest('grant_type: missing');
      case GRANT_TYPES.clientCredentials:
        if (credentials === null) throw invalidClient();
        return granteeOf(this.#authenticate(credentials));
      case GRANT_TYPES.jwtBearer:
        return this.#byAssertion(form, credentials);
      case GRANT_TYPES.tokenExchange:
        return this.#byExchange(form, credentials);
      default:
        throw new OAuthError('unsupported_grant_type', 'grant_type: not supported');
    }
  }

  #authenticate({ clientId, secret }: ClientCredentials): KnownCredential {
    const known = this.#options.identities.byClientSecret(clientId, secret);
    if (known?.principal.active !== true) throw invalidClient();
    return known;
  }

  async #byAssertion(form: Form, credentials: ClientCredentials | null): Promise<Grantee> {
    // Credentials are not needed here, but wrong ones are not overlooked (RFC 7523, 3.1).
    const client = credentials === null ? null : this.#authenticate(credentials);
    const assertion = form.get('assertion');
    if (assertion === undefined) throw invalidRequest('assertion: missing');
    const answer = await this.#options.verifier.verify(assertion);
    if (!answer.ok) {
      if (answer.status === 503) throw tryLater(answer.retryAfterS);
      throw invalidGrant(`assertion: ${answer.reason}`);
    }
    if (answer.authorizationDetails !== null) {
      throw invalidGrant('assertion: a token that is limited to endpoints is not exchanged');
    }
    const known = callerOfToken(answer, this.#options.identities);
    if (known === null) throw invalidGrant('assertion: its principal is not known or not active');
    if (client !== null && client.principal.id !== known.principal.id) {
      throw invalidGrant('assertion: was not issued to this client');
    }
    return granteeOf(known, { detailsNeeded: true, expiresAtMs: this.#endOf(known, answer.exp) });
  }

  /** What is given for an assertion ends with it: else one could be renewed for ever. In whole seconds, as tokens have it. */
  #endOf({ expiresAtMs }: KnownCredential, expS: number): number {
    const endMs = Math.min(expiresAtMs ?? Infinity, Math.floor(expS) * 1_000);
    if (endMs > this.#options.clock.nowMs()) return endMs;
    throw invalidGrant('assertion: expired');
  }

  #byExchange(form: Form, credentials: ClientCredentials | null): Grantee {
    const client = credentials === null ? null : this.#authenticate(credentials);
    const subjectToken = form.get('subject_token');
    if (subjectToken === undefined) throw invalidRequest('subject_token: missing');
    if (form.get('subject_token_type') !== PAT_TYPE) {
      throw invalidRequest(`subject_token_type: must be ${PAT_TYPE}`);
    }
    if ((form.get('requested_token_type') ?? ACCESS_TOKEN_URN) !== ACCESS_TOKEN_URN) {
      throw invalidRequest(`requested_token_type: must be ${ACCESS_TOKEN_URN}`);
    }
    if (form.has('actor_token')) throw invalidRequest('actor_token: not supported');
    const found = this.#options.identities.byAccessToken(subjectToken);
    if (found?.principal.active !== true) throw invalidGrant('subject_token: not a valid token');
    if (client !== null && client.principal.id !== found.principal.id) {
      throw invalidGrant('subject_token: does not belong to this client');
    }
    return granteeOf(found, { issuedType: ACCESS_TOKEN_URN });
  }

  #detailsOf(form: Form, grantee: Grantee): AuthorizationDetail[] | null {
    const text = form.get('authorization_details');
    if (text === undefined) {
      if (grantee.detailsNeeded) throw invalidRequest('authorization_details: missing');
      return null;
    }
    try {
      const details = parseAuthorizationDetails(text);
      checkPermissions(details, grantee.principal, this.#options.identities);
      return details;
    } catch (error) {
      if (!(error instanceof DetailsError)) throw error;
      throw new OAuthError('invalid_authorization_details', error.message);
    }
  }

  #endpointIds(details: readonly AuthorizationDetail[]): string[] {
    return details.map((detail) => {
      const named = endpointOf(detail);
      const id = this.#options.identities.endpointId(named);
      // Its permission was found a moment ago.
      if (id === null) throw new Error(`endpoint ${named} is gone`);
      return id;
    });
  }

  #throttled(error: OAuthError, address: string): OAuthError {
    if (error.code !== 'invalid_client' && error.code !== 'invalid_grant') return error;
    const waitS = this.#failures.take(address);
    return waitS > 0 ? slowDown(waitS) : error;
  }
}

/**
 * Who a verified token stands for; null when there is nobody any more, or when the credential that it goes back to is
 * gone. An own token names its principal by id, so that one who was deleted does not come back with a new principal of
 * the same name.
 */
export function callerOfToken(
  verified: Verified,
  identities: Pick<Identities, 'principal' | 'byName' | 'credential'>,
): KnownCredential | null {
  const { kind, principalId, credentialId } = verified;
  const principal =
    kind === 'own' ? identities.principal(principalId) : identities.byName(verified.principal);
  if (principal?.active !== true) return null;
  // No other issuer speaks for the users of the daemon's own two tokens.
  if (kind === 'external' && isBuiltin(principal.id)) return null;
  if (credentialId === '') return { principal, credentialId, expiresAtMs: null };
  const credential = identities.credential(credentialId);
  return credential?.principal.id === principal.id ? credential : null;
}

function granteeOf(known: KnownCredential, rest: Partial<Grantee> = {}): Grantee {
  const { principal, credentialId, expiresAtMs } = known;
  return { principal, credentialId, expiresAtMs, issuedType: '', detailsNeeded: false, ...rest };
}

/** Every requested scope must be one that exists; none means all there is. @throws OAuthError invalid_scope */
function scopeOf(form: Form): string {
  const names = (form.get('scope') ?? SCOPE).split(' ');
  if (names.every((name) => name === SCOPE)) return SCOPE;
  throw new OAuthError('invalid_scope', `scope: must be ${SCOPE}`);
}

function invalidGrant(message: string): OAuthError {
  return new OAuthError('invalid_grant', message);
}

function tryLater(retryAfterS: number): OAuthError {
  return new OAuthError('temporarily_unavailable', 'try again later', 503, retryAfterS);
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' } as const;

function success(body: Readonly<Record<string, unknown>>): TokenResponse {
  return { status: 200, headers: NO_STORE, body };
}

function failure(error: OAuthError): TokenResponse {
  return {
    status: error.status,
    headers: {
      ...NO_STORE,
      ...(error.status === 401 ? { 'www-authenticate': 'Basic realm="pointsman"' } : {}),
      ...(error.retryAfterS > 0 ? { 'retry-after': String(error.retryAfterS) } : {}),
    },
    body: error.toBody(),
  };
}
