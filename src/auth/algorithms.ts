/**
 * The signature algorithms that are taken: an allow-list, and for each what the key must be and how long
 * a signature is. Symmetric algorithms and `none` are absent on purpose: a public key that is also taken as
 * an HMAC secret is the oldest forgery there is (RFC 8725, 3.1).
 */
import { constants, sign, verify, type KeyObject } from 'node:crypto';
import type { SIGNATURE_ALGORITHMS } from '../config/issuers.js';

export type Algorithm = (typeof SIGNATURE_ALGORITHMS)[number];

interface AlgorithmEntry {
  readonly kty: 'RSA' | 'EC' | 'OKP';
  /** Null: the algorithm hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
  /** Curve of the key; null for RSA. */
  readonly crv: string | null;
  /** Length of a signature; 0: that of the RSA modulus. */
  readonly signatureBytes: number;
  readonly pss: boolean;
}

const rsa = (hash: AlgorithmEntry['hash'], pss: boolean): AlgorithmEntry => ({
  kty: 'RSA',
  hash,
  crv: null,
  signatureBytes: 0,
  pss,
});

const ec = (hash: AlgorithmEntry['hash'], crv: string, signatureBytes: number): AlgorithmEntry => ({
  kty: 'EC',
  hash,
  crv,
  signatureBytes,
  pss: false,
});

const edwards: AlgorithmEntry = {
  kty: 'OKP',
  hash: null,
  crv: 'Ed25519',
  signatureBytes: 64,
  pss: false,
};

export const ALGORITHMS = {
  RS256: rsa('sha256', false),
  RS384: rsa('sha384', false),
  RS512: rsa('sha512', false),
  PS256: rsa('sha256', true),
  PS384: rsa('sha384', true),
  PS512: rsa('sha512', true),
  ES256: ec('sha256', 'P-256', 64),
  ES384: ec('sha384', 'P-384', 96),
  ES512: ec('sha512', 'P-521', 132),
  EdDSA: edwards,
  Ed25519: edwards,
} as const satisfies Record<Algorithm, AlgorithmEntry>;

export function isAlgorithm(name: unknown): name is Algorithm {
  return typeof name === 'string' && Object.hasOwn(ALGORITHMS, name);
}

/** True when a key of this type and curve can be used with the algorithm. */
export function fitsKey(algorithm: Algorithm, kty: unknown, crv: unknown): boolean {
  const entry: AlgorithmEntry = ALGORITHMS[algorithm];
  return entry.kty === kty && (entry.crv === null || entry.crv === crv);
}

/** Never throws for what a stranger can send; the key fits the algorithm (see trusted-key.ts). */
export function verifySignature(
  algorithm: Algorithm,
  key: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const entry: AlgorithmEntry = ALGORITHMS[algorithm];
  if (signature.length !== (entry.signatureBytes || modulusBytes(key))) return false;
  return verify(entry.hash, data, cryptoOptions(entry, key), signature);
}

export function createSignature(algorithm: Algorithm, key: KeyObject, data: Uint8Array): Buffer {
  const entry: AlgorithmEntry = ALGORITHMS[algorithm];
  return sign(entry.hash, data, cryptoOptions(entry, key));
}

function cryptoOptions(entry: AlgorithmEntry, key: KeyObject) {
  if (entry.kty === 'EC') return { key, dsaEncoding: 'ieee-p1363' as const };
  if (!entry.pss) return { key };
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
  return { key, padding, saltLength };
}

function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);
}
