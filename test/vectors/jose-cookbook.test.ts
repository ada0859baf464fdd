/**
 * The examples of RFC 7520, 7797 and 8037. Their asymmetric signatures verify with their keys, each changed by one bit does
 * not; what is symmetric, detached or unencoded is not taken in any form. Their payloads are no claims, so signatures
 * are checked below the reader of tokens.
 */
import t from 'tap';
import { isAlgorithm, verifySignature } from '../../src/auth/algorithms.js';
import { CompactReader, decodeBase64url } from '../../src/auth/compact-token.js';
import { importKey, readKeySet } from '../../src/auth/trusted-key.js';
import { SIGNATURE_ALGORITHMS } from '../../src/config/issuers.js';
import { readVectors } from './vector-file.js';

type Jwk = Record<string, string>;

interface Signature {
  readonly protected?: string;
  readonly signature: string;
}

interface Example {
  readonly input: { readonly key: Jwk | Jwk[]; readonly alg: string | string[] };
  readonly output: {
    readonly compact?: string;
    readonly json: { readonly payload?: string; readonly signatures?: Signature[] };
  };
}

function publicPart(jwk: Jwk): Jwk {
  return Object.fromEntries(
    Object.entries(jwk).filter(([name]) => !['d', 'p', 'q', 'dp', 'dq', 'qi'].includes(name)),
  );
}

/** Verifies one signature and its neighbours; false when the algorithm is none of ours. */
async function verifies(
  jwk: Jwk,
  alg: string,
  signed: string,
  signature: string,
): Promise<boolean> {
  if (!isAlgorithm(alg)) return false;
  const set = JSON.stringify({ keys: [{ ...publicPart(jwk), alg }] });
  const [key] = (await readKeySet(set, SIGNATURE_ALGORITHMS)).keys;
  const bytes = decodeBase64url(signature);
  if (key === undefined || bytes === null) return false;
  const handle = await importKey(key);
  const data = Buffer.from(signed);
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 1;
    if (verifySignature(alg, handle, data, changed))
      throw new Error('a changed signature verifies');
  }
  if (verifySignature(alg, handle, Buffer.from(`${signed}A`), bytes)) throw new Error('more data');
  return verifySignature(alg, handle, data, bytes);
}

t.test('signatures that we take', async (t) => {
  for (const name of [
    'jws_4_1.rsa_v15_signature',
    'jws_4_2.rsa-pss_signature',
    'jws_4_3.ecdsa_signature',
    'curve25519_jws',
  ]) {
    const { input, output } = readVectors(`jose-cookbook/${name}.json`) as Example;
    const [head = '', payload = '', signature = ''] = (output.compact ?? '').split('.');
    const good = await verifies(
      input.key as Jwk,
      input.alg as string,
      `${head}.${payload}`,
      signature,
    );
    t.equal(good, true, name);
  }
});

t.test('of several signatures those that are asymmetric', async (t) => {
  const { input, output } = readVectors(
    'jose-cookbook/jws_4_8.multiple_signatures.json',
  ) as Example;
  const { payload = '', signatures = [] } = output.json;
  const keys = input.key as Jwk[];
  const algorithms = input.alg as string[];
  const taken: string[] = [];
  for (const [index, { protected: head = '', signature }] of signatures.entries()) {
    const alg = algorithms[index] ?? '';
    if (await verifies(keys[index] ?? {}, alg, `${head}.${payload}`, signature)) taken.push(alg);
  }
  // The second has no protected head, but its signature covers an empty one all the same.
  t.strictSame(taken, ['RS256', 'ES512']);
});

t.test('what is symmetric, detached, unencoded or not compact is no token', (t) => {
  const reader = new CompactReader();
  for (const name of [
    'jws_4_1.rsa_v15_signature',
    'jws_4_4.hmac-sha2_integrity_protection',
    'jws_4_5.signature_with_detached_content',
    'jws_4_6.protecting_specific_header_fields',
    'jws_4_7.protecting_content_only',
    'jws_4_8.multiple_signatures',
    'rfc7797_4.2.hmac-sha2_b64_false',
    'rfc7797_hmac-sha2_b64_false',
  ]) {
    const { output } = readVectors(`jose-cookbook/${name}.json`) as Example;
    if (output.compact !== undefined) t.equal(reader.read(output.compact), null, name);
    for (const text of [JSON.stringify(output.json), JSON.stringify(output)]) {
      t.equal(reader.read(text), null, name);
    }
  }
  t.end();
});

t.test('keys: the public ones are taken, private and symmetric ones are not', async (t) => {
  for (const [name, expected] of [
    ['jwk_3_1.ec_public_key', 'ES512'],
    ['jwk_3_2.ec_private_key', null],
    ['jwk_3_3.rsa_public_key', 'RS256'],
    ['jwk_3_4.rsa_private_key', null],
    ['jwk_3_5.symmetric_key_mac_computation', null],
    ['jwk_3_6.symmetric_key_encryption', null],
  ] as const) {
    const set = JSON.stringify({ keys: [readVectors(`jose-cookbook/${name}.json`)] });
    const { keys, refused } = await readKeySet(set, SIGNATURE_ALGORITHMS);
    t.equal(keys[0]?.alg ?? null, expected, name);
    t.equal(refused.length, expected === null ? 1 : 0);
  }
});
