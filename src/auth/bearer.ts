/** `WWW-Authenticate` of refused requests (RFC 6750, section 3). */
import type { AuthError } from './trust.js';

const REALM = 'Bearer realm="pointsman"';

/** Nothing was presented: the bare challenge, which says nothing of what would have been wrong. */
export function missingTokenChallenge(): string {
  return REALM;
}

/** The reasons are a closed list of plain words, so they need no escaping. */
export function invalidTokenChallenge(error: AuthError): string {
  return `${REALM}, error="invalid_token", error_description="${error.reason}"`;
}

/** A good token that does not open what was asked for; goes with 403. */
export function insufficientScopeChallenge(): string {
  return `${REALM}, error="insufficient_scope"`;
}
