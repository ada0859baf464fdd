/** Whose tokens are taken, and by which rules: plain data that one process compiles and all threads read. */
import type { AuthorizationDetail } from './authorization-details.js';
import type { TrustedKey } from './trusted-key.js';

export interface TrustedIssuer {
  /** Compared with `iss` letter by letter. Tokens of an issuer verify with its own keys only. */
  readonly issuer: string;
  /** `own`: this daemon. */
  readonly kind: 'own' | 'external';
  /** A token names at least one of them in `aud`. */
  readonly audiences: readonly string[];
  /** Values of `typ`, in lower case and without `application/`. */
  readonly tokenTypes: readonly string[];
  /** Claim that names the principal. */
  readonly principalClaim: string;
  /** Claim that lists groups; empty: none is read. */
  readonly groupsClaim: string;
  /** Groups of the claim that make the caller an admin; nothing else in the claim does. */
  readonly adminGroups: readonly string[];
  /** A principal that is not known yet is created at its first token. */
  readonly autoCreate: boolean;
  readonly keys: readonly TrustedKey[];
}

export interface Trust {
  /** Rises with every change. */
  readonly version: number;
  readonly issuers: readonly TrustedIssuer[];
}

/** What a good token says. */
export interface Verified {
  readonly ok: true;
  /** Name of the principal: application id, user name, or what the issuer's principal claim holds. */
  readonly principal: string;
  /** Id of the principal in an own token, so that a new principal of the same name is not taken for it; else empty. */
  readonly principalId: string;
  /** Whose token it is: an external one names a principal that may have to be mapped or created. */
  readonly kind: 'own' | 'external';
  /** Seconds since the epoch; the token is good before that second. */
  readonly exp: number;
  readonly iat: number;
  readonly jti: string;
  readonly issuer: string;
  /** Null: not limited. Else the token opens nothing but what they grant. */
  readonly authorizationDetails: readonly AuthorizationDetail[] | null;
  /**
   * Endpoints of the details: in an own token ids, as they were when it was issued, so that a later endpoint of the same
   * name is another one; in an external token ids or names. Null: not limited.
   */
  readonly endpoints: readonly string[] | null;
  /** Names that an external issuer gives; they lead to groups that exist here, but never to `admins`. */
  readonly groups: readonly string[];
  /** The issuer's groups hold one that the configuration maps to `admins`. */
  readonly isAdmin: boolean;
  /** Of an own token: the secret or access token it goes back to; else empty. Revoked with it. */
  readonly credentialId: string;
  readonly autoCreate: boolean;
}

/** Why a token is refused; for logs and metrics, and as `error_description`. No text of the token. */
export type InvalidReason =
  | 'malformed'
  | 'unknown issuer'
  | 'unknown key'
  | 'wrong algorithm'
  | 'bad signature'
  | 'wrong type'
  | 'wrong audience'
  | 'expired'
  | 'not valid yet'
  | 'bad claim';

/** `busy`: nobody looked at the token; the same may succeed in `retryAfterS`. */
export interface AuthError {
  readonly ok: false;
  readonly status: 401 | 503;
  readonly error: 'invalid_token' | 'temporarily_unavailable';
  readonly reason: InvalidReason | 'busy';
  /** Issuer that the token names, where it is one of ours; else empty. */
  readonly issuer: string;
  /** 0 unless the status is 503. */
  readonly retryAfterS: number;
}

export type VerifyAnswer = Verified | AuthError;

/**
 * Behind a look at an issuer's keys its tokens with unknown keys are refused for so long without another one. That would
 * be in vain mostly, since more time passes between two reads (`REFRESH_COOLDOWN_MS`), and would keep a worker's loop busy.
 */
export const IN_VAIN_MS = 1_000;

/** Where verifiers get the trust from: the supervisor's own, or what a worker was sent of it. */
export interface TrustSource {
  /** A new object with a higher version at each change. */
  current(): Trust;
  /**
   * A token names a key of the issuer that is not known: look again. Resolves when that is done, at once when it was
   * done moments ago; never rejects.
   */
  refresh(issuer: string): Promise<void>;
}

export function invalidToken(reason: InvalidReason, issuer = ''): AuthError {
  return { ok: false, status: 401, error: 'invalid_token', reason, issuer, retryAfterS: 0 };
}

export function verifierBusy(retryAfterS: number): AuthError {
  const error = 'temporarily_unavailable';
  return { ok: false, status: 503, error, reason: 'busy', issuer: '', retryAfterS };
}
