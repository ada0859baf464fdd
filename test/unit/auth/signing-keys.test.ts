/** Our signing keys: sealed at rest, published before they sign, kept until their tokens have expired. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import t, { type Test } from 'tap';
import { KeyFile } from '../../../src/auth/key-file.js';
import {
  KEY_AGE_MAX_MS,
  KEY_LEAD_MS,
  SIGNING_KEYS_MAX,
  SigningKeys,
  type Sealer,
} from '../../../src/auth/signing-keys.js';
import { TokenSigner } from '../../../src/auth/token-signer.js';
import { TokenVerifier } from '../../../src/auth/token-verifier.js';
import { createPrincipal, createSealer } from './identity-kit.js';
import { createIssuer, TestClock } from './token-kit.js';

const TTL_MS = 3_600_000;

interface Setup {
  readonly keys: SigningKeys;
  readonly clock: TestClock;
  readonly folder: string;
  readonly problems: string[];
  readonly reopen: (sealer?: Sealer) => Promise<SigningKeys>;
}

async function setUp(t: Test): Promise<Setup> {
  const folder = t.testdir();
  const clock = new TestClock();
  const own = createSealer();
  const problems: string[] = [];
  const reopen = async (sealer: Sealer = own): Promise<SigningKeys> => {
    const keys = await SigningKeys.open({
      store: new KeyFile(folder),
      sealer,
      clock,
      tokenTtlMs: TTL_MS,
      onProblem: (problem) => problems.push(problem),
    });
    t.teardown(() => {
      keys.close();
    });
    return keys;
  };
  return { keys: await reopen(), clock, folder, problems, reopen };
}

const kids = (keys: SigningKeys): string[] => keys.publicKeys().map(({ kid }) => kid);

t.test('the first start makes a key, the next one finds it', async (t) => {
  const { keys, folder, reopen } = await setUp(t);
  const { kid } = keys.current();
  t.strictSame(kids(keys), [kid]);
  const again = await reopen();
  t.equal(again.current().kid, kid);
  t.ok(again.current().privateKey.equals(keys.current().privateKey));
  const file = path.join(folder, 'signing-keys.json');
  t.equal(statSync(file).mode & 0o777, 0o600);
  const { d = '' } = keys.current().privateKey.export({ format: 'jwk' });
  const plain = keys.current().privateKey.export({ type: 'pkcs8', format: 'der' });
  const text = readFileSync(file, 'utf8');
  t.notMatch(text, d);
  t.notMatch(text, plain.toString('base64url').slice(48));
  t.strictSame(Object.keys(keys.publicKeys()[0]?.jwk ?? {}).sort(), ['crv', 'kty', 'x', 'y']);
});

t.test('a wrong master key or a damaged file refuses, and changes nothing', async (t) => {
  const { folder, reopen } = await setUp(t);
  const file = path.join(folder, 'signing-keys.json');
  const before = readFileSync(file, 'utf8');
  await t.rejects(reopen(createSealer()));
  t.equal(readFileSync(file, 'utf8'), before);
  for (const damaged of ['', '{}', '{"keys":[{}]}', before.slice(0, -8)]) {
    writeFileSync(file, damaged);
    await t.rejects(reopen(), { message: /signing-keys\.json does not hold/ });
    t.equal(readFileSync(file, 'utf8'), damaged);
  }
});

t.test('a sealed key does not pass for another', async (t) => {
  const { keys, clock, folder, reopen } = await setUp(t);
  await keys.rotate({ revoke: false });
  clock.advance(KEY_LEAD_MS);
  const file = path.join(folder, 'signing-keys.json');
  const content = JSON.parse(readFileSync(file, 'utf8')) as { keys: { sealed: string }[] };
  const [a, b] = content.keys;
  if (a === undefined || b === undefined) throw new Error('two keys are expected');
  [a.sealed, b.sealed] = [b.sealed, a.sealed];
  writeFileSync(file, JSON.stringify(content));
  await t.rejects(reopen());
});

t.test(
  'a new key is published, then used; the old one stays until its tokens have expired',
  async (t) => {
    const { keys, clock, reopen } = await setUp(t);
    let changes = 0;
    keys.onChange(() => {
      changes += 1;
    });
    const old = keys.current().kid;
    const next = await keys.rotate({ revoke: false });
    t.not(next, old);
    t.strictSame(kids(keys), [old, next]);
    t.equal(keys.current().kid, old, 'not yet');
    t.equal(await keys.rotate({ revoke: false }), next, 'asked again, the same key');
    t.equal((await reopen()).current().kid, old, 'a restart does not hurry it');
    clock.advance(KEY_LEAD_MS);
    t.equal(keys.current().kid, next);
    clock.advance(TTL_MS);
    await keys.check();
    t.strictSame(kids(keys), [old, next], 'its last token may be good still');
    clock.advance(120_000);
    await keys.check();
    t.strictSame(kids(keys), [next]);
    t.equal(changes, 2);
  },
);

t.test('age rotates by itself', async (t) => {
  const { keys, clock } = await setUp(t);
  const old = keys.current().kid;
  clock.advance(KEY_AGE_MAX_MS - 1);
  await keys.check();
  t.strictSame(kids(keys), [old]);
  clock.advance(1);
  await keys.check();
  t.equal(kids(keys).length, 2);
  clock.advance(KEY_LEAD_MS);
  t.not(keys.current().kid, old);
});

t.test('a rotation that revokes leaves one new key, at once, whatever else is asked', async (t) => {
  const { keys, reopen } = await setUp(t);
  const old = keys.current().kid;
  const [, fresh] = await Promise.all([
    keys.rotate({ revoke: false }),
    keys.rotate({ revoke: true }),
  ]);
  t.not(fresh, old);
  t.strictSame(kids(keys), [fresh]);
  t.equal(keys.current().kid, fresh);
  t.strictSame(kids(await reopen()), [fresh]);
});

t.test('rotating without end is refused', async (t) => {
  const { keys, clock } = await setUp(t);
  for (let count = 1; count < SIGNING_KEYS_MAX; count += 1) {
    await keys.rotate({ revoke: false });
    clock.advance(KEY_LEAD_MS);
  }
  await t.rejects(keys.rotate({ revoke: false }), { code: 'REQUEST_LIMIT_EXCEEDED' });
  t.equal(kids(keys).length, SIGNING_KEYS_MAX);
});

t.test('keys that cannot be stored are not used', async (t) => {
  const clock = new TestClock();
  let full = false;
  const keys = await SigningKeys.open({
    store: {
      loadSigningKeys: () => [],
      saveSigningKeys: () => {
        if (full) throw new Error('the disk is full');
      },
    },
    sealer: createSealer(),
    clock,
    tokenTtlMs: TTL_MS,
    onProblem: () => undefined,
  });
  const before = kids(keys);
  full = true;
  await t.rejects(keys.rotate({ revoke: true }), { message: 'the disk is full' });
  t.strictSame(kids(keys), before);
  full = false;
  await keys.rotate({ revoke: true });
  t.notSame(kids(keys), before, 'the next rotation is not held up by the failed one');
});

t.test('a failed save leaves no file behind and keeps the old one', async (t) => {
  const { keys, folder } = await setUp(t);
  const store = new KeyFile(path.join(folder, 'missing'));
  t.throws(() => {
    store.saveSigningKeys([]);
  });
  t.strictSame(readdirSync(folder), ['signing-keys.json']);
  t.strictSame(
    new KeyFile(folder).loadSigningKeys().map(({ kid }) => kid),
    kids(keys),
  );
});

t.test('a token is what another library and our own verifier take it for', async (t) => {
  const { keys, clock } = await setUp(t);
  const issuer = 'http://127.0.0.1:8080/oidc';
  const signer = new TokenSigner({ issuer, audience: 'ws', tokenTtlS: 3600, keys, clock });
  const grant = {
    principal: createPrincipal('7'),
    scope: 'all-apis',
    authorizationDetails: null,
    endpoints: null,
    credentialId: '',
    expiresAtMs: null,
  };
  const { token, verified } = signer.sign(grant);
  const [published] = keys.publicKeys();
  if (published === undefined) throw new Error('a key is expected');
  const { payload, protectedHeader } = await jwtVerify(
    token,
    await importJWK(published.jwk, 'ES256'),
    { issuer, audience: 'ws', typ: 'at+jwt', currentDate: new Date(clock.nowMs()) },
  );
  t.match(protectedHeader, { alg: 'ES256', typ: 'at+jwt', kid: published.kid });
  t.match(payload, { sub: 'app-7', client_id: 'app-7', principal_id: '7', scope: 'all-apis' });
  t.equal(Number(payload.exp) - Number(payload.iat), 3600);
  t.notOk('authorization_details' in payload || 'credential_id' in payload);
  const verifier = new TokenVerifier();
  const trusted = createIssuer([], {
    issuer,
    kind: 'own',
    audiences: ['ws'],
    keys: keys.publicKeys(),
  });
  await verifier.load({ version: 1, issuers: [trusted] });
  t.strictSame(verifier.verify(token, clock.nowMs() / 1000), verified);
  t.not(signer.sign(grant).verified.jti, verified.jti);
  const mia = createPrincipal('9', { kind: 'user', name: 'mia@example.org', applicationId: '' });
  t.equal(signer.sign({ ...grant, principal: mia }).verified.principal, 'mia@example.org');
  t.equal(decodeProtectedHeader(token).kid, keys.current().kid);
});
