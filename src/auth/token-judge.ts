/**
 * A worker's verdict on an Authorization field, for its cache: the daemon's own two tokens, access tokens by their keyed
 * hash, signed tokens by their signature. What a good one opens is for the grants of each endpoint to say.
 *
 * The order matters: what takes time comes first (the signature), then the copy of identities must be that of the
 * present epoch, and from there to the verdict nothing waits. So a verdict never rests on older data than its epoch. Keys
 * that came or went meanwhile have the signature looked at again.
 */
import type { WantedUser } from '../control/messages.js';
import type { Clock } from '../core/clock.js';
import type { TokenTerms } from '../native/contract.js';
import { BUILTIN_IDS } from '../store/identity-tables.js';
import { keyedHash } from '../store/sealed-box.js';
import type { AccessBook, CallerClaims } from './access-book.js';
import { looksLikeAccessToken, tokenOf, type CredentialChecker } from './credentials.js';
import { looksCompact } from './compact-token.js';
import { ADMIN_PRINCIPAL } from './local-tokens.js';
import type { RememberingVerifier } from './remembering-verifier.js';
import type { Verified } from './trust.js';

export interface GoodToken {
  readonly kind: 'good';
  readonly terms: TokenTerms;
  /** The verdict holds while this is the auth epoch. */
  readonly epoch: number;
  /** Unix time; 0: for ever. */
  readonly expiresAtMs: number;
  /** What the keys of `trustVersion` have proved; null: no signature was looked at. */
  readonly verified: Verified | null;
  readonly trustVersion: number;
}

/** `busy`: nobody could look at it; the same may be good later. */
export type Verdict = GoodToken | { readonly kind: 'bad' } | { readonly kind: 'busy' };

export interface TokenJudgeOptions {
  readonly localTokens: CredentialChecker;
  readonly accessTokenKey: Uint8Array;
  readonly book: AccessBook;
  readonly clock: Clock;
  readonly verifier: Pick<RememberingVerifier, 'verify'>;
  /** A verified token of an issuer that makes users names one that does not exist. False: it cannot be asked for now. */
  readonly wantUser: (wanted: WantedUser) => boolean;
}

/** Looks at one signature. Keys that change behind each of them are more than a rotation. */
const LOOKS_MAX = 4;

const BAD: Verdict = { kind: 'bad' };
const UNSIGNED: CallerClaims = { kind: 'own', groups: [], isAdmin: false, endpoints: null };
const BUSY: Verdict = { kind: 'busy' };

export class TokenJudge {
  readonly #options: TokenJudgeOptions;

  constructor(options: TokenJudgeOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async judge(authorization: string): Promise<Verdict> {
    const token = tokenOf(authorization);
    if (token === null) return BAD;
    const looksSigned = looksCompact(token);
    const unsigned = looksSigned ? null : await this.#judgeUnsigned(authorization, token);
    if (unsigned !== null) return unsigned;
    const signed = await this.#judgeSigned(token);
    if (signed.kind !== 'bad' || !looksSigned) return signed;
    // Whoever chose the admin token may have chosen one that looks signed. Asked last: it costs a hash of the token.
    return (await this.#judgeUnsigned(authorization, token)) ?? BAD;
  }

  /** The verdict on what the keys of the present trust have proved; null: it is not good, or that takes time. */
  judgeVerified(verified: Verified): GoodToken | null {
    const { book } = this.#options;
    if (!book.isCaughtUp || mayBeMade(verified, book)) return null;
    const verdict = this.#verified(verified);
    return verdict.kind === 'good' ? verdict : null;
  }

  async #judgeSigned(token: string): Promise<Verdict> {
    const { book, verifier } = this.#options;
    for (let look = 0; look < LOOKS_MAX; look += 1) {
      const { version } = book.trust;
      const answer = await verifier.verify(token);
      if (!answer.ok) return answer.status === 503 ? BUSY : BAD;
      await this.#makeUser(answer);
      if (!(await book.caughtUp())) return BUSY;
      if (book.trust.version === version) return this.#verified(answer);
    }
    return BUSY;
  }

  /** Null: it is none of the daemon's own two tokens and no access token. */
  async #judgeUnsigned(authorization: string, token: string): Promise<Verdict | null> {
    const local = this.#options.localTokens.check(authorization);
    if (local === null && !looksLikeAccessToken(token)) return null;
    if (!(await this.#options.book.caughtUp())) return BUSY;
    return local === null ? this.#accessToken(token) : this.#local(local);
  }

  #local(principal: string): Verdict {
    const id = principal === ADMIN_PRINCIPAL ? BUILTIN_IDS.admin : BUILTIN_IDS.query;
    const terms = { everything: true, limited: false, holders: [id], endpoints: [], byName: false };
    return this.#verdictOf(terms, 0, null);
  }

  #accessToken(token: string): Verdict {
    const hash = keyedHash(this.#options.accessTokenKey, token).toString('hex');
    const credential = this.#options.book.accessToken(hash);
    if (credential === null) return BAD;
    const caller = this.#options.book.activeCaller(credential.principal);
    return caller === null ? BAD : this.#good(caller, UNSIGNED, credential.expiresAtMs, null);
  }

  #verified(verified: Verified): Verdict {
    const { book } = this.#options;
    const { kind, principalId, credentialId, exp } = verified;
    const own = kind === 'own';
    const caller = own
      ? book.activeCaller(Number(principalId))
      : book.callerNamed(verified.principal);
    if (caller === null) return mayBeMade(verified, book) ? BUSY : BAD;
    const credential = credentialId === '' ? null : book.credential(credentialId);
    if (credentialId !== '' && credential?.principal !== caller) return BAD;
    // RFC 7519, 4.1.4: good before that moment, which may lie within a second.
    const expMs = Math.floor(exp * 1_000);
    const endsAtMs = credential?.expiresAtMs ?? 0;
    const expiresAtMs = endsAtMs === 0 ? expMs : Math.min(expMs, endsAtMs);
    return this.#good(caller, verified, expiresAtMs, verified);
  }

  #good(
    caller: number,
    claims: CallerClaims,
    expiresAtMs: number,
    verified: Verified | null,
  ): Verdict {
    const { book, clock } = this.#options;
    // As the cache has it: a verdict that it would not keep would be asked for again at once, and again.
    if (expiresAtMs !== 0 && expiresAtMs <= clock.nowMs()) return BAD;
    return this.#verdictOf(book.termsOf(caller, claims), expiresAtMs, verified);
  }

  #verdictOf(terms: TokenTerms, expiresAtMs: number, verified: Verified | null): GoodToken {
    const { epoch, trust } = this.#options.book;
    return { kind: 'good', terms, epoch, expiresAtMs, verified, trustVersion: trust.version };
  }

  async #makeUser(verified: Verified): Promise<void> {
    const { book, wantUser } = this.#options;
    const { principal: name, issuer, iat: issuedAtS } = verified;
    if (!mayBeMade(verified, book)) return;
    if (wantUser({ name, issuer, issuedAtS })) await book.callerComing(name);
  }
}

/** The token is good, and only its user is not there yet. */
function mayBeMade({ kind, autoCreate, principal, iat }: Verified, book: AccessBook): boolean {
  return kind === 'external' && autoCreate && book.mayBeMade(principal, iat);
}
