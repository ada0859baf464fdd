/**
 * Public keys that tokens may be signed with. A key is judged once, when it is loaded: its algorithm is
 * fixed then and a token cannot choose another; a weak, foreign or private key is left out with a reason.
 *
 * The plain form (`TrustedKey`) is what processes and threads send each other; `importKey` makes the handle
 * that verifies.
 */
import { KeyObject } from 'node:crypto';
import { importJWK } from 'jose';
import { parseJson } from '../config/json-text.js';
import { messageOf } from '../core/errors.js';
import { fitsKey, isAlgorithm, type Algorithm } from './algorithms.js';
import { decodeBase64url, isObject } from './compact-token.js';

/** Keys taken of one set; providers publish two to ten. */
export const KEYS_PER_SET_MAX = 64;
const RSA_MODULUS_BITS_MIN = 2048;
/** Verifying costs the square of the size: a key of 16,384 bits would let strangers buy CPU with short requests. */
const RSA_MODULUS_BITS_MAX = 8192;
const RSA_EXPONENT_BYTES_MAX = 4;
const KEY_ID_CHARS_MAX = 256;

/** The members of a JWK that describe a public key, and what the key may be used for. */
export interface TrustedKey {
  /** Empty: the set gave none. */
  readonly kid: string;
  readonly alg: Algorithm;
  readonly jwk: Readonly<Record<string, string>>;
}

export interface KeySet {
  readonly keys: readonly TrustedKey[];
  /** One sentence per key that was left out. */
  readonly refused: readonly string[];
}

/** @throws Error when the text is no key set at all; a faulty key in it is only left out. */
export async function readKeySet(text: string, algorithms: readonly Algorithm[]): Promise<KeySet> {
  const document = parseJson(text);
  const members = isObject(document) ? document['keys'] : null;
  if (!Array.isArray(members)) throw new Error('not a key set: it has no list "keys"');
  const keys: TrustedKey[] = [];
  const refused: string[] = [];
  for (const [index, member] of members.slice(0, KEYS_PER_SET_MAX).entries()) {
    const key = await readKey(member, algorithms);
    if (typeof key === 'string') refused.push(`keys[${String(index)}]: ${key}`);
    else keys.push(key);
  }
  if (members.length > KEYS_PER_SET_MAX) {
    refused.push(`keys behind the first ${String(KEYS_PER_SET_MAX)} are not read`);
  }
  return { keys, refused };
}

/** The key, or why it is left out. */
async function readKey(
  member: unknown,
  algorithms: readonly Algorithm[],
): Promise<TrustedKey | string> {
  if (!isObject(member)) return 'not an object';
  const { kty, crv, kid = '', alg, use = 'sig', key_ops: operations = ['verify'] } = member;
  if (typeof kid !== 'string' || kid.length > KEY_ID_CHARS_MAX) return 'kid is no short text';
  if (use !== 'sig') return 'not for signatures (use)';
  if (!Array.isArray(operations) || !operations.includes('verify')) return 'not for verifying';
  if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(member, name))) {
    return 'holds a private or symmetric key, which must not be published';
  }
  const algorithm = chooseAlgorithm(alg, kty, crv, algorithms);
  if (algorithm === null) return 'no allowed algorithm fits it';
  const jwk: Record<string, string> = {};
  for (const name of ['kty', 'crv', 'x', 'y', 'n', 'e']) {
    const value = member[name];
    if (typeof value === 'string') jwk[name] = value;
  }
  const weakness = kty === 'RSA' ? rsaWeakness(jwk) : edwardsWeakness(jwk);
  if (weakness !== null) return weakness;
  const key = { kid, alg: algorithm, jwk };
  try {
    await importKey(key);
  } catch (error) {
    return `not a valid key (${messageOf(error)})`;
  }
  return key;
}

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Its own `alg`, if that is allowed; a key without one gets the first allowed algorithm that fits. */
function chooseAlgorithm(
  alg: unknown,
  kty: unknown,
  crv: unknown,
  algorithms: readonly Algorithm[],
): Algorithm | null {
  if (alg === undefined) return algorithms.find((name) => fitsKey(name, kty, crv)) ?? null;
  return isAlgorithm(alg) && algorithms.includes(alg) && fitsKey(alg, kty, crv) ? alg : null;
}

function rsaWeakness({ n = '', e = '' }: Readonly<Record<string, string>>): string | null {
  const modulus = decodeBase64url(n);
  const exponent = decodeBase64url(e);
  if (modulus === null || exponent === null) return 'n or e is not base64url';
  const bits = bitsOf(modulus);
  if (bits < RSA_MODULUS_BITS_MIN) return `RSA of ${String(bits)} bits is too weak`;
  if (bits > RSA_MODULUS_BITS_MAX) return `RSA of ${String(bits)} bits is too large`;
  if (exponent.length > RSA_EXPONENT_BYTES_MAX || exponent.length === 0) return 'e is unusual';
  const value = exponent.readUIntBE(0, exponent.length);
  return value < 3 || value % 2 === 0 ? 'e is too weak' : null;
}

/**
 * The y of points of Ed25519 whose order is small (1, 2, 4, 8), also beyond the prime, as `x` of a JWK has them but for the
 * sign of x in the last bit. By such a key everybody can sign (Chalkias, Garillot and Nikolaenko, "Taming the many
 * EdDSAs", 2020, table 1).
 */
const SMALL_ORDER_Y: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

function edwardsWeakness({ crv, x = '' }: Readonly<Record<string, string>>): string | null {
  if (crv !== 'Ed25519') return null;
  const point = decodeBase64url(x);
  if (point === null) return 'x is not base64url';
  const last = point.length - 1;
  const y = Buffer.from(point);
  if (last >= 0) y[last] = (point[last] ?? 0) & 0x7f;
  return SMALL_ORDER_Y.has(y.toString('hex')) ? 'a point of small order is no key' : null;
}

function bitsOf(bytes: Buffer): number {
  const first = bytes.findIndex((byte) => byte !== 0);
  if (first < 0) return 0;
  return (bytes.length - first) * 8 - (Math.clz32(bytes[first] ?? 0) - 24);
}

/** @throws Error when the members are no point of the curve, or no key. */
export async function importKey(key: TrustedKey): Promise<KeyObject> {
  const handle = await importJWK({ ...key.jwk, alg: key.alg }, key.alg);
  if (handle instanceof Uint8Array) throw new Error('a symmetric key');
  return KeyObject.from(handle);
}
