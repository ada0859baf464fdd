/**
 * Secrets at rest. Two keys are derived from the master key: one seals what must be read back
 * (AES-256-GCM), one hashes what only has to be recognised (HMAC-SHA-256 over our own secrets of 256
 * random bits, for which a slow hash would buy nothing).
 *
 *   sealed value: version (1) | nonce (12, random) | ciphertext | tag (16)
 *
 * The purpose is authenticated with the value: a value that is moved to another name in the store
 * does not open there.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

export interface Sealer {
  seal(purpose: string, plain: Uint8Array): Uint8Array;
  /** @throws Error when the value is damaged, or was sealed for another purpose or with another key. */
  open(purpose: string, sealed: Uint8Array): Uint8Array;
  /** 32 bytes; equal for equal purpose and secret. */
  hash(purpose: string, secret: string): Buffer;
  /** The key that `hash` uses for the purpose, for a process that has to recognise such secrets and nothing else. */
  hashKey(purpose: string): Buffer;
}

export const MASTER_KEY_BYTES = 32;

const CIPHER = 'aes-256-gcm';
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param masterKey MASTER_KEY_BYTES random bytes; not kept. */
export function createSealer(masterKey: Uint8Array): Sealer {
  if (masterKey.length !== MASTER_KEY_BYTES) throw new Error('a master key has 32 bytes');
  const sealKey = derive(masterKey, 'pointsman seal 1');
  const hashKey = derive(masterKey, 'pointsman hash 1');
  return {
    seal(purpose, plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, sealKey, nonce).setAAD(aadOf(purpose));
      const text = [cipher.update(plain), cipher.final()];
      return Buffer.concat([Buffer.of(VERSION), nonce, ...text, cipher.getAuthTag()]);
    },
    open(purpose, sealed) {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (bytes.length < 1 + NONCE_BYTES + TAG_BYTES || bytes[0] !== VERSION) {
        throw new Error(`the sealed value of ${purpose} is damaged`);
      }
      const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
      const tag = bytes.subarray(-TAG_BYTES);
      const decipher = createDecipheriv(CIPHER, sealKey, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(aadOf(purpose)).setAuthTag(tag);
      const text = decipher.update(bytes.subarray(1 + NONCE_BYTES, -TAG_BYTES));
      try {
        return Buffer.concat([text, decipher.final()]);
      } catch (cause) {
        throw new Error(`the sealed value of ${purpose} does not open with this key`, { cause });
      }
    },
    hash(purpose, secret) {
      return keyedHash(this.hashKey(purpose), secret);
    },
    hashKey(purpose) {
      return createHmac('sha256', hashKey).update(aadOf(purpose)).digest();
    },
  };
}

/** 32 bytes. */
export function keyedHash(key: Uint8Array, secret: string): Buffer {
  return createHmac('sha256', key).update(secret).digest();
}

function derive(masterKey: Uint8Array, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', masterKey, '', info, MASTER_KEY_BYTES));
}

/** Ends in a byte that no purpose has, so that purpose and secret cannot run into each other. */
function aadOf(purpose: string): Buffer {
  return Buffer.from(`v${String(VERSION)} ${purpose}\u0000`);
}
