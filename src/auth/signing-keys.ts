/**
 * The keys that sign our own tokens (ES256). Their private halves exist in memory and, sealed, in the store.
 *
 *   life of a key     made ── published, KEY_LEAD_MS ──► signs ── next one signs ──► published only ── tokens expired ──► gone
 *
 * A key is published before it signs, so that whoever keeps our key set has it when the first token comes, and stays
 * published until the last token that it signed has expired. A rotation that revokes skips both.
 */
import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import type { Clock } from '../core/clock.js';
import { messageOf, PointsmanError } from '../core/errors.js';
import type { TrustedKey } from './trusted-key.js';

export interface Sealer {
  seal(purpose: string, plain: Uint8Array): Uint8Array;
  open(purpose: string, sealed: Uint8Array): Uint8Array;
}

export interface StoredSigningKey {
  readonly kid: string;
  readonly createdAtMs: number;
  /** From when on it signs, until a later one does. */
  readonly usedFromMs: number;
  /** PKCS #8, sealed for this kid. */
  readonly sealed: Uint8Array;
}

export interface KeyStore {
  loadSigningKeys(): readonly StoredSigningKey[];
  /** Replaces all of them, durably and at once. */
  saveSigningKeys(keys: readonly StoredSigningKey[]): void;
}

/** How long a new key is published before it signs. */
export const KEY_LEAD_MS = 60_000;
/** A key that has signed for this long is followed by a new one. */
export const KEY_AGE_MAX_MS = 90 * 86_400_000;
/** Kept beyond the last token's expiry. */
const KEY_GRACE_MS = 60_000;
/** Keys at once: rotating faster than tokens expire would grow the published set. */
export const SIGNING_KEYS_MAX = 16;
const CHECK_INTERVAL_MS = 60_000;

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

interface HeldKey extends StoredSigningKey, SigningKey {
  readonly published: TrustedKey;
}

export interface SigningKeysOptions {
  readonly store: KeyStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly tokenTtlMs: number;
  /** A look at the keys' age failed; it is repeated. For the log. */
  readonly onProblem: (problem: string) => void;
}

const generate = promisify(generateKeyPair);

export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #listeners: (() => void)[] = [];
  /** By usedFromMs, oldest first. */
  #keys: readonly HeldKey[] = [];
  /** Rotations run one after the other: one that revokes must not be taken for one that does not. */
  #lastRotation: Promise<unknown> = Promise.resolve();
  #cancelTimer: () => void = () => undefined;

  private constructor(options: SigningKeysOptions) {
    this.#options = options;
  }

  /**
   * Opens the stored keys and makes the first one.
   * @throws Error of the sealer when a key cannot be opened: a wrong master key must not make new keys quietly
   */
  static async open(options: SigningKeysOptions): Promise<SigningKeys> {
    const keys = new SigningKeys(options);
    const stored = options.store.loadSigningKeys();
    const held = stored.map((key) =>
      hold(key, options.sealer.open(purposeOf(key.kid), key.sealed)),
    );
    keys.#keys = held.sort((a, b) => a.usedFromMs - b.usedFromMs);
    if (held.length === 0) await keys.#add(options.clock.nowMs(), false);
    await keys.check();
    return keys;
  }

  /** The key that signs now. */
  current(): SigningKey {
    const nowMs = this.#options.clock.nowMs();
    const key = this.#keys.findLast(({ usedFromMs }) => usedFromMs <= nowMs) ?? this.#keys[0];
    if (key === undefined) throw new Error('there is no signing key');
    return key;
  }

  /** All that tokens may be signed with now or soon. */
  publicKeys(): TrustedKey[] {
    return this.#keys.map(({ published }) => published);
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Makes the next key and answers its id; asked again before that one signs, answers the same.
   * `revoke`: it signs at once and all others are gone, and so is every token that they signed.
   */
  rotate(options: { readonly revoke: boolean }): Promise<string> {
    const rotation = this.#lastRotation.then(() => this.#rotateOnce(options.revoke));
    this.#lastRotation = rotation.catch(() => undefined);
    return rotation;
  }

  /** Forgets what no token needs and replaces what is too old; then again every minute. */
  async check(): Promise<void> {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(CHECK_INTERVAL_MS, () => {
      this.check().catch((error: unknown) => {
        this.#options.onProblem(messageOf(error));
      });
    });
    const nowMs = this.#options.clock.nowMs();
    const needed = this.#keys.filter((_key, index) => !this.#isOver(index, nowMs));
    if (needed.length < this.#keys.length) this.#replace(needed);
    const newest = this.#keys.at(-1);
    if (newest !== undefined && nowMs - newest.usedFromMs >= KEY_AGE_MAX_MS) {
      await this.rotate({ revoke: false });
    }
  }

  close(): void {
    this.#cancelTimer();
  }

  async #rotateOnce(revoke: boolean): Promise<string> {
    const nowMs = this.#options.clock.nowMs();
    const newest = this.#keys.at(-1);
    if (revoke) return this.#add(nowMs, false);
    if (newest !== undefined && newest.usedFromMs > nowMs) return newest.kid;
    if (this.#keys.length >= SIGNING_KEYS_MAX) {
      throw new PointsmanError(
        'REQUEST_LIMIT_EXCEEDED',
        `There are ${String(SIGNING_KEYS_MAX)} signing keys; the oldest goes when its tokens have expired`,
      );
    }
    return this.#add(nowMs + KEY_LEAD_MS, true);
  }

  async #add(usedFromMs: number, keepOthers: boolean): Promise<string> {
    const { privateKey, publicKey } = await generate('ec', { namedCurve: 'P-256' });
    const kid = await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }));
    const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
    const sealed = this.#options.sealer.seal(purposeOf(kid), plain);
    const createdAtMs = this.#options.clock.nowMs();
    const others = keepOthers ? this.#keys : [];
    this.#replace([...others, hold({ kid, createdAtMs, usedFromMs, sealed }, plain)]);
    return kid;
  }

  /** Stored first: a token must not be signed by a key that a restart does not know. */
  #replace(keys: readonly HeldKey[]): void {
    this.#options.store.saveSigningKeys(
      keys.map(({ kid, createdAtMs, usedFromMs, sealed }) => ({
        kid,
        createdAtMs,
        usedFromMs,
        sealed,
      })),
    );
    this.#keys = keys;
    for (const listener of this.#listeners) listener();
  }

  #isOver(index: number, nowMs: number): boolean {
    const successor = this.#keys[index + 1];
    if (successor === undefined) return false;
    return nowMs > successor.usedFromMs + this.#options.tokenTtlMs + KEY_GRACE_MS;
  }
}

function purposeOf(kid: string): string {
  return `signing-key/${kid}`;
}

function hold(key: StoredSigningKey, pkcs8: Uint8Array): HeldKey {
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), type: 'pkcs8', format: 'der' });
  const { kty = '', crv = '', x = '', y = '' } = privateKey.export({ format: 'jwk' });
  const published: TrustedKey = { kid: key.kid, alg: 'ES256', jwk: { kty, crv, x, y } };
  return { ...key, privateKey, published };
}
