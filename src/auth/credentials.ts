/**
 * Checks the Authorization field against the daemon's own tokens (admin and query token).
 *
 * Holds hashes, never tokens. A field that was found good is remembered by its exact text, so that a warm
 * request costs one map look-up and no hash; only good fields are remembered, so the map stays as small as
 * the ways of spelling a token.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { decodeBasic } from './basic.js';

export interface TokenCredential {
  readonly tokenSha256: Uint8Array;
  readonly principal: string;
}

/** A longer field is refused unread. */
const AUTHORIZATION_CHARS_MAX = 16_384;
/** Spellings remembered: `Bearer` in any case, Basic, for each token. */
const REMEMBERED_MAX = 64;

/** A scheme and its value, which ends where the field does. */
const CREDENTIALS = /^([A-Za-z]+) (\S(?:.*\S)?)$/;

export class CredentialChecker {
  readonly #credentials: readonly TokenCredential[];
  readonly #good = new Map<string, string>();

  constructor(credentials: readonly TokenCredential[]) {
    this.#credentials = credentials;
  }

  /** The principal that the field's token names; null when there is none. */
  check(authorization: string | undefined): string | null {
    if (authorization === undefined || authorization.length > AUTHORIZATION_CHARS_MAX) return null;
    return this.#good.get(authorization) ?? this.#checkSlow(authorization);
  }

  #checkSlow(authorization: string): string | null {
    const token = tokenOf(authorization);
    if (token === null) return null;
    const given = hashToken(token);
    let principal: string | null = null;
    // All are compared, whichever matches: the time says nothing about the order.
    for (const credential of this.#credentials) {
      if (timingSafeEqual(given, credential.tokenSha256)) principal = credential.principal;
    }
    if (principal !== null && this.#good.size < REMEMBERED_MAX) {
      this.#good.set(authorization, principal);
    }
    return principal;
  }
}

const ACCESS_TOKEN = /^dapi[0-9a-f]{64}$/;

/** It has the form of the access tokens that are made here; whether it is one, only its hash tells. */
export function looksLikeAccessToken(token: string): boolean {
  return ACCESS_TOKEN.test(token);
}

export function hashToken(token: string): Buffer {
  return hash('sha256', Buffer.from(token, 'latin1'), 'buffer');
}

/**
 * The token of `Bearer <token>`, or of Basic with user `token` (reference, 1.3); null for anything else. But for the scheme's
 * case a credential has one spelling: each is one more in the caches. So of the spaces that RFC 9110, 11.4 allows behind the
 * scheme only the first is taken.
 */
export function tokenOf(authorization: string): string | null {
  const [, scheme = '', value = ''] = CREDENTIALS.exec(authorization) ?? [];
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return null;
  const decoded = decodeBasic(value);
  return decoded?.startsWith('token:') ? decoded.slice('token:'.length) : null;
}
