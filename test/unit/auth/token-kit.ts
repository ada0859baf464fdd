/** Keys, tokens and trust for the tests of verification: signed by Node alone, so that our own signer proves nothing here. */
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Algorithm } from '../../../src/auth/algorithms.js';
import type { Trust, TrustedIssuer } from '../../../src/auth/trust.js';
import type { TrustedKey } from '../../../src/auth/trusted-key.js';
import type { Clock } from '../../../src/core/clock.js';

export const ISSUER = 'https://idp.example.org';
export const AUDIENCE = 'pointsman-test';
export const NOW_S = 1_700_000_000;

export interface TestKey extends TrustedKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function createKey(alg: Algorithm, kid: string = alg): TestKey {
  const { privateKey, publicKey } = pairOf(alg);
  const { kty = '', crv, x, y, n, e } = publicKey.export({ format: 'jwk' });
  const jwk = Object.fromEntries(
    Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined),
  ) as Record<string, string>;
  return { kid, alg, jwk, privateKey, publicKey };
}

function pairOf(alg: Algorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  if (alg.startsWith('ES')) {
    const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg as 'ES256'];
    return generateKeyPairSync('ec', { namedCurve });
  }
  if (alg.startsWith('Ed')) return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** A public JWK as a provider publishes it. */
export function publishedJwk(key: TestKey): Record<string, string> {
  return { ...key.jwk, kid: key.kid, alg: key.alg, use: 'sig' };
}

export function encode(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text).toString('base64url');
}

export function goodClaims(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: 'app-1',
    iat: NOW_S,
    exp: NOW_S + 600,
    jti: 'j1',
    ...changes,
  };
}

/** `head` and `claims` are taken as they are when they are text. Members that are undefined are left out. */
export function signToken(
  key: TestKey,
  claims: Record<string, unknown> | string = goodClaims(),
  head: Record<string, unknown> | string = {},
): string {
  const fullHead =
    typeof head === 'string' ? head : { alg: key.alg, typ: 'at+jwt', kid: key.kid, ...head };
  return signText(key, `${encode(fullHead)}.${encode(claims)}`);
}

export function signText(key: TestKey, signed: string): string {
  return `${signed}.${rawSignature(key, Buffer.from(signed)).toString('base64url')}`;
}

export function rawSignature(key: TestKey, data: Buffer): Buffer {
  const { alg, privateKey } = key;
  const hash = alg.startsWith('Ed') ? null : `sha${alg.slice(-3)}`;
  if (alg.startsWith('ES')) return sign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (!alg.startsWith('PS')) return sign(hash, data, privateKey);
  const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
  return sign(hash, data, { key: privateKey, padding, saltLength });
}

export function createIssuer(
  keys: readonly TestKey[],
  changes: Partial<TrustedIssuer> = {},
): TrustedIssuer {
  return {
    issuer: ISSUER,
    kind: 'external',
    audiences: [AUDIENCE],
    tokenTypes: ['at+jwt'],
    principalClaim: 'sub',
    groupsClaim: '',
    adminGroups: [],
    autoCreate: false,
    keys: keys.map(({ kid, alg, jwk }) => ({ kid, alg, jwk })),
    ...changes,
  };
}

export function createTrust(...issuers: TrustedIssuer[]): Trust {
  return { version: 1, issuers };
}

/** A clock that stands still until it is moved; what is due runs when it is. */
export class TestClock implements Clock {
  #nowMs = NOW_S * 1000;
  #timers: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { callback } of due) callback();
  }
}
