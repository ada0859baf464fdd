/**
 * Says whether a token is good: strict form, issuer, its key, the algorithm of that key, signature, type,
 * audience, times, claims (RFC 8725, RFC 9068). Pure apart from the keys it holds; runs in a verifier thread.
 *
 * The issuer is read before the signature is checked, and only to choose the keys: a token is verified by
 * keys of the issuer that it names and by no others.
 */
import type { KeyObject } from 'node:crypto';
import { TEXT_CHARS_MAX } from '../control/input.js';
import { verifySignature, type Algorithm } from './algorithms.js';
import { DetailsError, endpointOf, readAuthorizationDetails } from './authorization-details.js';
import { CompactReader, type TokenHead } from './compact-token.js';
import {
  invalidToken,
  type InvalidReason,
  type VerifyAnswer,
  type Trust,
  type TrustedIssuer,
  type Verified,
} from './trust.js';
import { importKey } from './trusted-key.js';

/**
 * How far an issuer's clock may be ahead of ours, in seconds. It applies to `nbf` and `iat`: a token is often used
 * in the second in which it was made. `exp` has no leeway: to renew early costs a client nothing.
 */
export const CLOCK_LEEWAY_S = 30;
/** Keys of one issuer with the same id that are tried for one token. */
const SAME_ID_KEYS_MAX = 4;
const NAME_CHARS_MAX = 256;
const GROUPS_MAX = 256;
/** Later times are mistakes (milliseconds, mostly). */
const TIME_MAX_S = 99_999_999_999;

/** No control characters: names go into logs and header fields. */
const NAME = /^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}]+$/u;

interface LoadedKey {
  readonly kid: string;
  readonly alg: Algorithm;
  readonly handle: KeyObject;
}

interface LoadedIssuer {
  readonly rules: TrustedIssuer;
  readonly keys: readonly LoadedKey[];
}

type Claims = Readonly<Record<string, unknown>>;

export class TokenVerifier {
  readonly #reader = new CompactReader();
  #issuers: ReadonlyMap<string, LoadedIssuer> = new Map();
  /** Of the trust in use; -1 before the first. */
  version = -1;

  async load(trust: Trust): Promise<void> {
    const issuers = new Map<string, LoadedIssuer>();
    for (const rules of trust.issuers) {
      const keys = rules.keys.map(async (key) => ({
        kid: key.kid,
        alg: key.alg,
        handle: await importKey(key),
      }));
      issuers.set(rules.issuer, { rules, keys: await Promise.all(keys) });
    }
    this.#issuers = issuers;
    this.version = trust.version;
  }

  verify(token: string, nowS: number): VerifyAnswer {
    const parsed = this.#reader.read(token);
    if (parsed === null) return invalidToken('malformed');
    const { head, claims, signed, signature } = parsed;
    const { iss } = claims;
    const issuer = typeof iss === 'string' ? this.#issuers.get(iss) : undefined;
    if (issuer === undefined) return invalidToken('unknown issuer');
    const keys = keysFor(issuer.keys, head);
    if (typeof keys === 'string') return invalidToken(keys, issuer.rules.issuer);
    if (!keys.some(({ alg, handle }) => verifySignature(alg, handle, signed, signature))) {
      return invalidToken('bad signature', issuer.rules.issuer);
    }
    const fault =
      typeFault(head, issuer.rules) ??
      audienceFault(claims, issuer.rules) ??
      timeFault(claims, nowS);
    if (fault !== null) return invalidToken(fault, issuer.rules.issuer);
    return verifiedOf(claims, issuer.rules) ?? invalidToken('bad claim', issuer.rules.issuer);
  }
}

/** A token that names no key is taken only where the issuer has one key of the algorithm: nothing is guessed. */
function keysFor(keys: readonly LoadedKey[], head: TokenHead): LoadedKey[] | InvalidReason {
  if (head.keyId === null) {
    const fitting = keys.filter(({ alg }) => alg === head.algorithm);
    return fitting.length === 1 ? fitting : 'unknown key';
  }
  const named = keys.filter(({ kid }) => kid === head.keyId && kid !== '');
  if (named.length === 0) return 'unknown key';
  const fitting = named.filter(({ alg }) => alg === head.algorithm);
  return fitting.length === 0 ? 'wrong algorithm' : fitting.slice(0, SAME_ID_KEYS_MAX);
}

function typeFault(head: TokenHead, rules: TrustedIssuer): InvalidReason | null {
  const type = (head.type ?? '').toLowerCase().replace(/^application\//, '');
  return rules.tokenTypes.includes(type) ? null : 'wrong type';
}

function audienceFault({ aud }: Claims, rules: TrustedIssuer): InvalidReason | null {
  const names: unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!names.every((name) => typeof name === 'string')) return 'wrong audience';
  return names.some((name) => rules.audiences.includes(name)) ? null : 'wrong audience';
}

function timeFault({ exp, nbf, iat }: Claims, nowS: number): InvalidReason | null {
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) return 'bad claim';
  if (exp <= nowS) return 'expired';
  const latest = nowS + CLOCK_LEEWAY_S;
  return iat > latest || (nbf !== undefined && nbf > latest) ? 'not valid yet' : null;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= TIME_MAX_S;
}

/** Null: a claim that is needed is missing or has a wrong form. */
function verifiedOf(claims: Claims, rules: TrustedIssuer): Verified | null {
  const principal = claims[rules.principalClaim];
  const groups = groupsOf(claims, rules);
  const { jti = '', principal_id: principalId = '', credential_id: credentialId = '' } = claims;
  if (!isPrincipalName(principal) || groups === null || typeof jti !== 'string') return null;
  const own = rules.kind === 'own';
  if (own && (!isName(principalId) || jti === '' || typeof credentialId !== 'string')) return null;
  const details = detailsOf(claims);
  if (details === undefined) return null;
  const endpoints = own ? ownEndpointsOf(claims, details) : (details?.map(endpointOf) ?? null);
  if (endpoints === undefined) return null;
  return {
    ok: true,
    principal,
    principalId: own ? String(principalId) : '',
    kind: rules.kind,
    exp: claims['exp'] as number,
    iat: claims['iat'] as number,
    jti: jti.slice(0, NAME_CHARS_MAX),
    issuer: rules.issuer,
    authorizationDetails: details,
    endpoints,
    groups,
    isAdmin: groups.some((name) => rules.adminGroups.includes(name)),
    credentialId: own ? String(credentialId) : '',
    autoCreate: rules.autoCreate,
  };
}

/**
 * An external issuer's limits count as well: a token that says it is limited is not used as if it were not.
 * Undefined: they cannot be read.
 */
function detailsOf(claims: Claims): Verified['authorizationDetails'] | undefined {
  if (!Object.hasOwn(claims, 'authorization_details')) return null;
  try {
    return readAuthorizationDetails(claims['authorization_details']);
  } catch (error) {
    if (error instanceof DetailsError) return undefined;
    throw error;
  }
}

/** Undefined: the ids do not go with the details. */
function ownEndpointsOf(
  claims: Claims,
  details: Verified['authorizationDetails'],
): Verified['endpoints'] | undefined {
  const ids = claims['endpoint_ids'];
  if (details === null) return ids === undefined ? null : undefined;
  if (!Array.isArray(ids) || ids.length !== details.length || !ids.every(isName)) return undefined;
  return ids;
}

function groupsOf(claims: Claims, rules: TrustedIssuer): string[] | null {
  if (rules.groupsClaim === '') return [];
  const groups = claims[rules.groupsClaim];
  if (groups === undefined) return [];
  if (!Array.isArray(groups) || groups.length > GROUPS_MAX || !groups.every(isName)) return null;
  return groups;
}

/** As `checkPrincipalName` has it: a user that is made at a first token has a name that could have been given. */
function isPrincipalName(value: unknown): value is string {
  return isName(value) && value.length <= TEXT_CHARS_MAX && value.trim() === value;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_CHARS_MAX && NAME.test(value);
}
