/**
 * Reads a JWS in compact serialization (RFC 7515, 7.1), strictly: a token has one spelling. Whatever is
 * keyed by a token's text (caches, revocation, audit) would be deceived by a second one, and Node's own
 * base64url decoder takes many: it skips padding, white space and foreign letters, and drops trailing bits.
 *
 * Owns nothing; judges no signature and no claim.
 */
import { isAscii } from 'node:buffer';
import { DEPTH_MAX, parseJson } from '../config/json-text.js';
import { isAlgorithm, type Algorithm } from './algorithms.js';

/** Letters of a token. A request head holds 16 KiB unless configured otherwise, so most never get here. */
export const TOKEN_CHARS_MAX = 32_768;
const KEY_ID_CHARS_MAX = 256;
/** Heads that are remembered: all tokens of one key have the same. */
const HEADS_MAX = 256;
const HEAD_CHARS_MAX = 1024;

/** RFC 4648, table 2. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** Of the last letter, by the letters behind the last whole group of four; null: no bytes are encoded so. */
const UNUSED_BITS = [0, null, 0b1111, 0b11];
const ALPHABET_ONLY = /^[A-Za-z0-9_-]*$/;
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/**
 * Header parameters that change what is signed or whose key is used. None is needed by a token meant for us,
 * and each has been an attack: keys that come with the token, URLs to fetch, extensions that must be understood.
 */
const REFUSED_PARAMETERS = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c'] as const;

export interface TokenHead {
  readonly algorithm: Algorithm;
  /** Null: the token names no key. */
  readonly keyId: string | null;
  /** As sent; null when absent. */
  readonly type: string | null;
}

export interface CompactToken {
  readonly head: TokenHead;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The bytes that the signature covers. */
  readonly signed: Buffer;
  readonly signature: Buffer;
}

/** The cheap half of the check, for the thread that has other work: three non-empty parts of the alphabet. */
export function looksCompact(token: string): boolean {
  return token.length <= TOKEN_CHARS_MAX && COMPACT.test(token);
}

export class CompactReader {
  readonly #heads = new Map<string, TokenHead | null>();

  /** Null for everything that is not a signed token in its one spelling. */
  read(token: string): CompactToken | null {
    if (!looksCompact(token)) return null;
    const first = token.indexOf('.');
    const second = token.indexOf('.', first + 1);
    const head = this.#readHead(token.slice(0, first));
    if (head === null) return null;
    const claims = decodeObject(token.slice(first + 1, second));
    const signature = decodeLetters(token.slice(second + 1));
    if (claims === null || signature === null) return null;
    return { head, claims, signed: Buffer.from(token.slice(0, second), 'latin1'), signature };
  }

  #readHead(text: string): TokenHead | null {
    const known = this.#heads.get(text);
    if (known !== undefined) return known;
    const head = headOf(decodeObject(text));
    if (text.length <= HEAD_CHARS_MAX) {
      if (this.#heads.size >= HEADS_MAX) this.#heads.clear();
      this.#heads.set(text, head);
    }
    return head;
  }
}

/** Null unless `text` is exactly what encoding the answer gives. */
export function decodeBase64url(text: string): Buffer | null {
  return ALPHABET_ONLY.test(text) ? decodeLetters(text) : null;
}

/**
 * The same for a text of the alphabet alone: its length must be one that encoding gives, and the bits of its last letter that
 * belong to no byte must be 0 (RFC 4648, 3.5). Encoding the answer again would say so, too, in several times the time.
 */
function decodeLetters(text: string): Buffer | null {
  const unused = UNUSED_BITS[text.length % 4] ?? null;
  if (unused === null) return null;
  if (unused !== 0 && (ALPHABET.indexOf(text.charAt(text.length - 1)) & unused) !== 0) return null;
  return Buffer.from(text, 'base64url');
}

function headOf(header: Readonly<Record<string, unknown>> | null): TokenHead | null {
  if (header === null) return null;
  if (REFUSED_PARAMETERS.some((name) => Object.hasOwn(header, name))) return null;
  const { alg, kid, typ } = header as { alg?: unknown; kid?: unknown; typ?: unknown };
  if (!isAlgorithm(alg)) return null;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > KEY_ID_CHARS_MAX)) return null;
  if (typ !== undefined && typeof typ !== 'string') return null;
  return { algorithm: alg, keyId: kid ?? null, type: typ ?? null };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeObject(part: string): Readonly<Record<string, unknown>> | null {
  const bytes = decodeLetters(part);
  if (bytes === null) return null;
  let value: unknown;
  try {
    value = parseStrictly(isAscii(bytes) ? bytes.toString('latin1') : utf8.decode(bytes));
  } catch {
    // Not UTF-8, not JSON, a member twice, nested too deeply: strangers send it, and all of it is one refusal.
    return null;
  }
  return isObject(value) ? value : null;
}

/**
 * A text that JSON.stringify gives back letter by letter holds nothing that the strict reader refuses, unless it nests
 * deeply, sets a prototype or escapes half of a surrogate pair; and that is how most issuers write. Several times faster.
 */
function parseStrictly(text: string): unknown {
  const isPlain = !text.includes('__proto__') && !text.includes('\\ud');
  if (isPlain && countOf(text, '{') + countOf(text, '[') <= DEPTH_MAX) {
    const value: unknown = JSON.parse(text);
    if (JSON.stringify(value) === text) return value;
  }
  return parseJson(text);
}

/** Counts no further than to one more than `DEPTH_MAX`. */
function countOf(text: string, letter: string): number {
  let count = 0;
  for (let at = text.indexOf(letter); at >= 0 && count <= DEPTH_MAX; count += 1) {
    at = text.indexOf(letter, at + 1);
  }
  return count;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
