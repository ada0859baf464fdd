/** Which tokens are good: each rule of RFC 8725 by a token that breaks it and nothing else. */
import { createHmac, createPublicKey, sign } from 'node:crypto';
import t, { type Test } from 'tap';
import { SIGNATURE_ALGORITHMS } from '../../../src/config/issuers.js';
import { CLOCK_LEEWAY_S, TokenVerifier } from '../../../src/auth/token-verifier.js';
import type { InvalidReason, TrustedIssuer, Verified } from '../../../src/auth/trust.js';
import {
  AUDIENCE,
  createIssuer,
  createKey,
  createTrust,
  encode,
  goodClaims,
  ISSUER,
  NOW_S,
  publishedJwk,
  rawSignature,
  signText,
  signToken,
} from './token-kit.js';

const key = createKey('ES256');
const rsaKey = createKey('RS256');

async function createVerifier(...issuers: TrustedIssuer[]): Promise<TokenVerifier> {
  const verifier = new TokenVerifier();
  await verifier.load(createTrust(...issuers));
  return verifier;
}

const verifier = await createVerifier(createIssuer([key, rsaKey]));

function refused(t: Test, token: string, reason: InvalidReason, name: string, by = verifier): void {
  const answer = by.verify(token, NOW_S);
  t.match(answer, { ok: false, status: 401, error: 'invalid_token', reason }, name);
}

function accepted(t: Test, token: string, name: string, by = verifier): Verified {
  const answer = by.verify(token, NOW_S);
  t.equal(answer.ok, true, `${name}: ${JSON.stringify(answer)}`);
  return answer as Verified;
}

t.test('every algorithm of the list is taken with its own key, and with no other', async (t) => {
  const keys = SIGNATURE_ALGORITHMS.map((alg) => createKey(alg));
  const all = await createVerifier(createIssuer(keys));
  for (const signer of keys) {
    accepted(t, signToken(signer), signer.alg, all);
    for (const named of keys) {
      if (named === signer) continue;
      const stranger = signToken(signer, goodClaims(), { kid: named.kid, alg: named.alg });
      if (sameKind(signer.alg, named.alg)) refused(t, stranger, 'bad signature', named.alg, all);
      const confused = signToken(signer, goodClaims(), { kid: named.kid });
      refused(t, confused, 'wrong algorithm', `${signer.alg} for the key of ${named.alg}`, all);
    }
  }
});

function sameKind(a: string, b: string): boolean {
  return a.slice(0, 2) === b.slice(0, 2);
}

t.test('a good token says who, until when, and for what', async (t) => {
  const issuer = createIssuer([key], {
    principalClaim: 'email',
    groupsClaim: 'roles',
    adminGroups: ['b'],
    autoCreate: true,
  });
  const verifier = await createVerifier(issuer);
  const details = [{ type: 'model', identifier: 'm1', actions: ['infer'] }];
  const claims = goodClaims({ email: 'mia@example.org', roles: ['a', 'b'], aud: ['x', AUDIENCE] });
  const token = signToken(key, { ...claims, authorization_details: details });
  t.strictSame(accepted(t, token, 'all', verifier), {
    ok: true,
    principal: 'mia@example.org',
    principalId: '',
    kind: 'external',
    exp: NOW_S + 600,
    iat: NOW_S,
    jti: 'j1',
    issuer: ISSUER,
    authorizationDetails: details,
    endpoints: ['m1'],
    groups: ['a', 'b'],
    isAdmin: true,
    credentialId: '',
    autoCreate: true,
  });
});

t.test('only a key of the issuer that the token names verifies it', async (t) => {
  const other = createKey('ES256', 'other');
  const both = await createVerifier(
    createIssuer([key]),
    createIssuer([other], { issuer: 'https://other.example.org' }),
  );
  refused(t, signToken(other, goodClaims(), { kid: key.kid }), 'bad signature', 'forged', both);
  refused(t, signToken(other), 'unknown key', 'the key of another issuer', both);
  refused(t, signToken(key, goodClaims({ iss: 'https://x' })), 'unknown issuer', 'unknown');
  refused(t, signToken(key, goodClaims({ iss: `${ISSUER}/` })), 'unknown issuer', 'with a slash');
  for (const iss of [undefined, null, [ISSUER], 1]) {
    refused(t, signToken(key, goodClaims({ iss })), 'unknown issuer', `iss ${String(iss)}`);
  }
  t.end();
});

t.test('what the head asks for beyond algorithm, key and type is refused', (t) => {
  const attacker = createKey('ES256', 'attacker');
  for (const head of [
    { jwk: publishedJwk(attacker), kid: undefined },
    { jku: 'http://127.0.0.1:1/jwks' },
    { x5u: 'http://127.0.0.1:1/cert' },
    { x5c: ['MIIB'] },
    { crit: ['exp'] },
    { crit: [] },
    { crit: ['b64'], b64: false },
    { b64: true },
    { zip: 'DEF' },
    { enc: 'A256GCM' },
    { kid: null },
    { kid: 7 },
    { kid: ['ES256'] },
    { kid: 'k'.repeat(300) },
    { typ: 1 },
    { alg: 'none' },
    { alg: 'None' },
    { alg: '' },
    { alg: 'es256' },
    { alg: 'ES256K' },
    { alg: 'HS256' },
    { alg: ['ES256'] },
    { alg: undefined },
    { alg: 'toString' },
    { alg: '__proto__' },
  ]) {
    refused(t, signToken(key, goodClaims(), head), 'malformed', JSON.stringify(head));
  }
  for (const kid of [
    '',
    "x' UNION SELECT 'key' --",
    '../../dev/null',
    '/etc/passwd',
    'es256',
    'ES256 ',
  ]) {
    refused(t, signToken(key, goodClaims(), { kid }), 'unknown key', JSON.stringify(kid));
  }
  t.end();
});

t.test(
  'a token without key id is taken where the issuer has one key of its algorithm',
  async (t) => {
    const nameless = { kid: undefined };
    accepted(t, signToken(key, goodClaims(), nameless), 'one ES256 key among others');
    const two = await createVerifier(createIssuer([key, createKey('ES256', 'second')]));
    refused(t, signToken(key, goodClaims(), nameless), 'unknown key', 'two ES256 keys', two);
    accepted(t, signToken(key), 'named', two);
    const twins = await createVerifier(createIssuer([createKey('ES256', 'ES256'), key]));
    accepted(t, signToken(key), 'two keys of one id are both tried', twins);
  },
);

t.test('secrets made of public things sign nothing', (t) => {
  const pem = rsaKey.publicKey.export({ type: 'spki', format: 'pem' });
  const der = rsaKey.publicKey.export({ type: 'spki', format: 'der' });
  const secrets = [pem, String(pem).trim(), der, JSON.stringify(rsaKey.jwk), '', Buffer.alloc(32)];
  for (const secret of secrets) {
    for (const alg of ['HS256', 'RS256']) {
      const signed = `${encode({ alg, typ: 'at+jwt', kid: 'RS256' })}.${encode(goodClaims())}`;
      const mac = createHmac('sha256', secret).update(signed).digest('base64url');
      t.equal(verifier.verify(`${signed}.${mac}`, NOW_S).ok, false, alg);
    }
  }
  t.end();
});

t.test('signatures of another length, another form, or of zeros', (t) => {
  const signed = `${encode({ alg: 'ES256', typ: 'at+jwt', kid: 'ES256' })}.${encode(goodClaims())}`;
  const data = Buffer.from(signed);
  const good = rawSignature(key, data);
  accepted(t, `${signed}.${good.toString('base64url')}`, 'the good one');
  const order = Buffer.from(
    'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551',
    'hex',
  );
  const forms: [string, Buffer][] = [
    ['DER', sign('sha256', data, key.privateKey)],
    ['63 bytes', good.subarray(0, 63)],
    ['65 bytes', Buffer.concat([good, Buffer.alloc(1)])],
    ['a zero before', Buffer.concat([Buffer.alloc(1), good])],
    ['128 bytes', Buffer.concat([good, good])],
    ['zeros', Buffer.alloc(64)],
    ['r = n, s = n', Buffer.concat([order, order])],
    ['r = 0', Buffer.concat([Buffer.alloc(32), good.subarray(32)])],
    ['halves swapped', Buffer.concat([good.subarray(32), good.subarray(0, 32)])],
  ];
  for (const [name, signature] of forms) {
    refused(t, `${signed}.${signature.toString('base64url')}`, 'bad signature', name);
  }
  refused(t, `${signed}.`, 'malformed', 'empty');
  t.end();
});

t.test('one bit changed anywhere in a token refuses it', (t) => {
  const token = signToken(key);
  let taken = 0;
  for (const [part, text] of token.split('.').entries()) {
    const bytes = Buffer.from(text, 'base64url');
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const parts = token.split('.');
      parts[part] = changed.toString('base64url');
      if (verifier.verify(parts.join('.'), NOW_S).ok) taken += 1;
    }
  }
  t.equal(taken, 0);
  t.end();
});

t.test('a token has one spelling', (t) => {
  const parts = signToken(key).split('.');
  const [head = '', claims = '', signature = ''] = parts;
  const token = parts.join('.');
  for (const extra of [
    '=',
    '==',
    ' ',
    '\n',
    '\r\n',
    '\t',
    '\0',
    '+',
    '/',
    '*',
    '%',
    ',',
    'é',
    '\u200b',
    '\ufeff',
  ]) {
    for (let at = 0; at < 3; at += 1) {
      for (const place of ['before', 'behind', 'inside']) {
        const spelled = parts.map((part, index) => {
          if (index !== at) return part;
          if (place === 'before') return extra + part;
          return place === 'behind' ? part + extra : part.slice(0, 8) + extra + part.slice(8);
        });
        refused(t, spelled.join('.'), 'malformed', JSON.stringify([extra, at, place]));
      }
    }
  }
  for (const spelled of [
    `${token}.`,
    `.${token}`,
    `${token}.${signature}`,
    `${head}..${claims}.${signature}`,
    `${head}.${claims}`,
    `${head}.${claims}.`,
    `${head}..${signature}`,
    `.${claims}.${signature}`,
    '',
    '.',
    '..',
    '.'.repeat(16_000),
    'a.b.c',
    'a.b.c.d.e',
    'a'.repeat(40_000),
    `${token}A`,
    `${token}AA`,
    `${token}AAAA`,
  ]) {
    const answer = verifier.verify(spelled, NOW_S);
    t.equal(answer.ok, false, spelled.slice(0, 40));
  }
  // 64 bytes end in a letter of which two bits count; the other four must be zero.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.at(-1) ?? '');
  for (let bits = 1; bits < 16; bits += 1) {
    const other = token.slice(0, -1) + String(alphabet[(last & 0x30) | bits]);
    refused(t, other, 'malformed', `trailing bits ${String(bits)}`);
  }
  t.end();
});

t.test('head and claims are one JSON object each, in UTF-8, no member twice', (t) => {
  const head = encode({ alg: 'ES256', typ: 'at+jwt', kid: 'ES256' });
  const claims = JSON.stringify(goodClaims());
  const bodies: [string, string | Buffer][] = [
    ['twice', claims.replace('{', '{"sub":"admin",')],
    ['twice by escape', claims.replace('{', '{"s\\u0075b":"admin",')],
    ['prototype', claims.replace('{', '{"__proto__":{},')],
    ['array', `[${claims}]`],
    ['text', '"x"'],
    ['null', 'null'],
    ['two documents', `${claims}${claims}`],
    ['cut', claims.slice(0, -1)],
    ['trailing comma', claims.replace(/}$/, ',}')],
    ['byte order mark', `\ufeff${claims}`],
    ['NaN', claims.replace(/"exp":\d+/, '"exp":NaN')],
    [
      'not UTF-8',
      Buffer.concat([Buffer.from(claims.slice(0, -2)), Buffer.from([0xff, 0x22, 0x7d])]),
    ],
    [
      'overlong',
      Buffer.concat([Buffer.from(claims.slice(0, -2)), Buffer.from([0xc0, 0xaf, 0x22, 0x7d])]),
    ],
    ['deep', `{"a":${'['.repeat(9000)}${']'.repeat(9000)}}`],
  ];
  for (const [name, body] of bodies) {
    const text = Buffer.from(body as string).toString('base64url');
    refused(t, signText(key, `${head}.${text}`), 'malformed', name);
  }
  const deepHead = encode(`{"alg":${'['.repeat(10_000)}${']'.repeat(10_000)}}`);
  refused(t, signText(key, `${deepHead}.${encode(claims)}`), 'malformed', 'deep head');
  refused(
    t,
    signToken(key, goodClaims(), '{"alg":"none","alg":"ES256","kid":"ES256"}'),
    'malformed',
    'alg twice',
  );
  t.end();
});

t.test('type', async (t) => {
  for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/AT+jwt']) {
    accepted(t, signToken(key, goodClaims(), { typ }), typ);
  }
  for (const typ of [
    'JWT',
    'jwt',
    undefined,
    '',
    'id+jwt',
    'at+jwt ',
    'application/application/at+jwt',
    'xat+jwt',
  ]) {
    refused(t, signToken(key, goodClaims(), { typ }), 'wrong type', String(typ));
  }
  const lenient = await createVerifier(createIssuer([key], { tokenTypes: ['at+jwt', 'jwt'] }));
  accepted(t, signToken(key, goodClaims(), { typ: 'JWT' }), 'where the issuer is set so', lenient);
});

t.test('audience', (t) => {
  for (const aud of [AUDIENCE, [AUDIENCE], ['other', AUDIENCE]]) {
    accepted(t, signToken(key, goodClaims({ aud })), JSON.stringify(aud));
  }
  for (const aud of [
    undefined,
    null,
    '',
    [],
    'other',
    ['other'],
    `${AUDIENCE}/`,
    AUDIENCE.toUpperCase(),
    [AUDIENCE, 1],
    { a: AUDIENCE },
    1,
  ]) {
    refused(
      t,
      signToken(key, goodClaims({ aud })),
      'wrong audience',
      `aud ${JSON.stringify([aud])}`,
    );
  }
  t.end();
});

t.test('times', (t) => {
  const good: Record<string, unknown>[] = [
    { exp: NOW_S + 1 },
    { exp: NOW_S + 0.5 },
    { nbf: NOW_S },
    { nbf: NOW_S + CLOCK_LEEWAY_S },
    { iat: NOW_S + CLOCK_LEEWAY_S },
    { iat: 0 },
  ];
  for (const claims of good)
    accepted(t, signToken(key, goodClaims(claims)), JSON.stringify(claims));
  for (const exp of [NOW_S, NOW_S - 1, 0]) {
    refused(t, signToken(key, goodClaims({ exp })), 'expired', `exp ${String(exp)}`);
  }
  for (const claims of [
    { nbf: NOW_S + 120 },
    { iat: NOW_S + 120 },
    { nbf: NOW_S + CLOCK_LEEWAY_S + 1 },
  ]) {
    refused(t, signToken(key, goodClaims(claims)), 'not valid yet', JSON.stringify(claims));
  }
  for (const name of ['exp', 'iat', 'nbf']) {
    for (const value of [
      null,
      '1700000600',
      [NOW_S + 600],
      true,
      -1,
      1e15,
      {},
      (NOW_S + 600) * 1000,
    ]) {
      refused(
        t,
        signToken(key, goodClaims({ [name]: value })),
        'bad claim',
        `${name} ${JSON.stringify(value)}`,
      );
    }
  }
  for (const name of ['exp', 'iat']) {
    refused(t, signToken(key, goodClaims({ [name]: undefined })), 'bad claim', `no ${name}`);
  }
  t.end();
});

t.test('claims that name somebody', async (t) => {
  const names = [
    undefined,
    null,
    '',
    7,
    ['a'],
    'a\nb',
    'a\u0000',
    'a\u2028b',
    'a\u0085',
    'x'.repeat(257),
  ];
  for (const sub of names) {
    refused(
      t,
      signToken(key, goodClaims({ sub })),
      'bad claim',
      `name ${String(names.indexOf(sub))}`,
    );
  }
  accepted(t, signToken(key, goodClaims({ sub: 'müller@example.org' })), 'a name beyond ASCII');
  const grouped = await createVerifier(createIssuer([key], { groupsClaim: 'groups' }));
  for (const groups of ['a', {}, [1], [''], ['a\n'], null, Array(300).fill('g')]) {
    refused(
      t,
      signToken(key, goodClaims({ groups })),
      'bad claim',
      JSON.stringify(groups).slice(0, 20),
      grouped,
    );
  }
  t.strictSame(accepted(t, signToken(key), 'no groups', grouped).groups, []);
  const admins = signToken(key, goodClaims({ groups: ['admins'] }));
  t.equal(accepted(t, admins, 'not mapped', grouped).isAdmin, false);
  for (const details of [
    null,
    [],
    {},
    'x',
    [{ type: 'y' }],
    [{ type: 'model', identifier: '*', actions: ['infer'] }],
  ]) {
    const token = signToken(key, goodClaims({ authorization_details: details }));
    refused(t, token, 'bad claim', JSON.stringify(details));
  }
});

t.test('an own token names its principal by id and has an id itself', async (t) => {
  const own = await createVerifier(createIssuer([key], { kind: 'own' }));
  const claims = goodClaims({ principal_id: '12', credential_id: 'pat-3' });
  const verified = accepted(t, signToken(key, claims), 'complete', own);
  t.match(verified, { kind: 'own', principalId: '12', credentialId: 'pat-3' });
  refused(
    t,
    signToken(key, { ...claims, principal_id: undefined }),
    'bad claim',
    'no principal id',
    own,
  );
  refused(t, signToken(key, { ...claims, jti: undefined }), 'bad claim', 'no jti', own);
  const stranger = accepted(t, signToken(key, claims), 'external');
  t.match(
    stranger,
    { kind: 'external', principalId: '', credentialId: '' },
    'nobody else sets ids',
  );
});

t.test('hostile sizes cost little', (t) => {
  const startedAtMs = performance.now();
  verifier.verify('.'.repeat(1_000_000), NOW_S);
  verifier.verify('a'.repeat(1_000_000), NOW_S);
  verifier.verify(`${'a'.repeat(16_000)}.${'a'.repeat(16_000)}`, NOW_S);
  const large = goodClaims({ note: 'x'.repeat(15 * 1024) });
  accepted(t, signToken(key, large), '15 KiB of claims');
  t.ok(performance.now() - startedAtMs < 500);
  t.equal(createPublicKey(key.privateKey).equals(key.publicKey), true);
  t.end();
});
