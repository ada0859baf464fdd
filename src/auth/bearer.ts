/** `WWW-Authenticate` of refused requests (RFC 6750, section 3). */

/** Nothing was presented: the bare challenge, which says nothing of what would have been wrong. */
export const MISSING_TOKEN_CHALLENGE = 'Bearer realm="pointsman"';

/** The same for every reason: a caller that guesses learns nothing. */
export const INVALID_TOKEN_CHALLENGE = `${MISSING_TOKEN_CHALLENGE}, error="invalid_token"`;

/** A good token that does not open what was asked for; goes with 403. */
export const INSUFFICIENT_SCOPE_CHALLENGE = `${MISSING_TOKEN_CHALLENGE}, error="insufficient_scope"`;
