/** Which keys of a set are taken, and with which algorithm. */
import { createPublicKey, generateKeyPairSync, verify, type JsonWebKey } from 'node:crypto';
import t from 'tap';
import type { Algorithm } from '../../../src/auth/algorithms.js';
import { SIGNATURE_ALGORITHMS } from '../../../src/config/issuers.js';
import { KEYS_PER_SET_MAX, readKeySet } from '../../../src/auth/trusted-key.js';
import { createKey, publishedJwk } from './token-kit.js';

const rsa = publishedJwk(createKey('RS256'));
const ec = publishedJwk(createKey('ES256'));

async function read(
  members: unknown[],
  algorithms: readonly Algorithm[] = SIGNATURE_ALGORITHMS,
): Promise<{ taken: string[]; refused: readonly string[] }> {
  const { keys, refused } = await readKeySet(JSON.stringify({ keys: members }), algorithms);
  return { taken: keys.map(({ kid, alg }) => `${kid} ${alg}`), refused };
}

t.test('a key keeps its own algorithm; one without gets the first that fits', async (t) => {
  const bare = { ...rsa, alg: undefined };
  t.strictSame((await read([rsa, ec])).taken, ['RS256 RS256', 'ES256 ES256']);
  t.strictSame((await read([bare], ['ES256', 'PS384', 'RS256'])).taken, ['RS256 PS384']);
  t.strictSame((await read([{ ...rsa, alg: 'PS512' }])).taken, ['RS256 PS512']);
  t.match((await read([rsa], ['PS256'])).refused, [/keys\[0\]: no allowed algorithm/]);
  t.match((await read([{ ...rsa, alg: 'ES256' }])).refused, [/no allowed algorithm/]);
  t.match((await read([{ ...rsa, alg: 'HS256' }])).refused, [/no allowed algorithm/]);
  t.match((await read([{ ...rsa, alg: 'RSA-OAEP' }])).refused, [/no allowed algorithm/]);
  t.match((await read([{ ...ec, alg: 'ES384' }])).refused, [/no allowed algorithm/]);
});

t.test('weak, huge and malformed RSA keys are left out', async (t) => {
  const ofBits = (bits: number): string =>
    Buffer.concat([Buffer.from([0x80]), Buffer.alloc(bits / 8 - 1, 1)]).toString('base64url');
  for (const [n, problem] of [
    [ofBits(1024), /1024 bits is too weak/],
    [ofBits(2040), /2040 bits is too weak/],
    [ofBits(16_384), /16384 bits is too large/],
    [`AAAA${ofBits(1024)}`, /too weak/],
    [`${String(rsa['n'])}=`, /not base64url/],
    ['', /too weak/],
  ] as const) {
    t.match((await read([{ ...rsa, n }])).refused, [problem]);
  }
  for (const e of ['AQ', 'Ag', 'AQAA', '', 'AQAAAAAB', 'AQ AB']) {
    t.equal((await read([{ ...rsa, e }])).taken.length, 0, `e ${e}`);
  }
  t.equal((await read([{ ...rsa, n: undefined }])).taken.length, 0);
});

t.test('points off the curve, foreign curves, wrong uses, secrets', async (t) => {
  const swapped = { ...ec, x: ec['y'], y: ec['x'] };
  const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey;
  const whole = createKey('ES256').privateKey.export({ format: 'jwk' });
  for (const member of [
    swapped,
    { ...ec, x: 'AAAA' },
    { ...ec, crv: 'P-384' },
    secp256k1.export({ format: 'jwk' }),
    { ...ec, use: 'enc' },
    { ...ec, key_ops: ['sign'] },
    { ...ec, key_ops: 'verify' },
    { ...ec, kid: 5 },
    { ...ec, kid: 'k'.repeat(300) },
    whole,
    { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256', kid: 'h' },
    { kty: 'oct', k: 'c2VjcmV0', kid: 'RS256', alg: 'RS256' },
    null,
    'key',
    {},
  ]) {
    const { taken, refused } = await read([member, rsa]);
    t.strictSame(taken, ['RS256 RS256'], JSON.stringify(member));
    t.equal(refused.length, 1);
  }
});

t.test('Ed25519 keys by which everybody can sign', async (t) => {
  const ed = publishedJwk(createKey('EdDSA'));
  t.equal((await read([ed])).taken.length, 1);
  const small = [
    ...['00', '01'].map((first) => `${first}${'00'.repeat(31)}`),
    ...['ec', 'ed', 'ee'].map((first) => `${first}${'ff'.repeat(30)}7f`),
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ];
  let forgeable = 0;
  for (const hex of small) {
    for (const sign of [0, 0x80]) {
      const point = Buffer.from(hex, 'hex');
      point[31] = (point[31] ?? 0) | sign;
      const jwk = { ...ed, x: point.toString('base64url') };
      t.match((await read([jwk])).refused, [/small order/], hex);
      forgeable += isForgeable(jwk, point) ? 1 : 0;
    }
  }
  t.ok(forgeable >= 8, `${String(forgeable)} of them would have taken forged signatures`);
});

/** By the key itself, or the point of order 1, as R, and 0 as S: whoever has no private key can write that. */
function isForgeable(jwk: JsonWebKey, point: Buffer): boolean {
  const one = Buffer.alloc(32);
  one[0] = 1;
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    return Array.from({ length: 64 }, (_none, number) => Buffer.from([number])).some((message) =>
      [point, one].some((r) => verify(null, message, key, Buffer.concat([r, Buffer.alloc(32)]))),
    );
  } catch {
    return false;
  }
}

t.test('the size of a set is bounded', async (t) => {
  const { taken, refused } = await read(Array(KEYS_PER_SET_MAX + 1).fill(ec));
  t.equal(taken.length, KEYS_PER_SET_MAX);
  t.match(refused, [/keys behind the first/]);
});

t.test('what is no key set is an error, not an empty set', async (t) => {
  for (const text of [
    '',
    '[]',
    '{}',
    '{"keys":{}}',
    '{"keys":null}',
    '<html>',
    '{"keys":[],"keys":[]}',
  ]) {
    await t.rejects(readKeySet(text, SIGNATURE_ALGORITHMS), text);
  }
  t.strictSame(await readKeySet('{"keys":[]}', SIGNATURE_ALGORITHMS), { keys: [], refused: [] });
});
