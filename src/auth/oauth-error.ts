/** Refusals of the token endpoint in the form of RFC 6749, 5.2. */

export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_scope'
  | 'invalid_authorization_details'
  | 'temporarily_unavailable';

/** Letters that `error_description` may hold (RFC 6749, 5.2): ASCII without the quote and the backslash. */
const UNSPEAKABLE = /[^\x20-\x21\x23-\x5b\x5d-\x7e]/g;

export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly code: OAuthErrorCode;
  readonly status: number;
  /** Whole seconds; 0: no Retry-After. */
  readonly retryAfterS: number;

  /** `message` goes to the client: no secret, nothing of a token. */
  constructor(code: OAuthErrorCode, message: string, status = 400, retryAfterS = 0) {
    super(message.replaceAll(UNSPEAKABLE, '?'));
    this.code = code;
    this.status = status;
    this.retryAfterS = retryAfterS;
  }

  toBody(): { error: OAuthErrorCode; error_description: string } {
    return { error: this.code, error_description: this.message };
  }
}

export function invalidRequest(message: string): OAuthError {
  return new OAuthError('invalid_request', message);
}

/** One text for an unknown client and a wrong secret: nobody learns which clients exist. */
export function invalidClient(): OAuthError {
  return new OAuthError('invalid_client', 'client authentication failed', 401);
}

/** The caller's share is used up; the same may succeed later. */
export function slowDown(retryAfterS: number): OAuthError {
  const message = 'too many requests, try again later';
  return new OAuthError('temporarily_unavailable', message, 429, retryAfterS);
}
