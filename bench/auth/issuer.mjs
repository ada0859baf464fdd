/**
 * An issuer of signed tokens for the scenarios about them: its keys, in the forms that pointsman and HAProxy read, and
 * tokens of one user, each distinct. Signs where it is called: never during a measurement.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const USER = 'bench@example.com';
const ISSUER = 'https://bench.example.com';
const AUDIENCE = 'bench';
const RSA_BITS = 2_048;
const LIFETIME_S = 86_400;
/** Signatures between two turns of the event loop. */
const SIGNED_PER_TURN = 64;

const KEYS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: RSA_BITS }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};

export class Issuer {
  #folder = mkdtempSync(path.join(tmpdir(), 'pm-issuer-'));
  #keys = {};
  #files = 0;

  constructor() {
    const jwks = [];
    for (const [alg, generate] of Object.entries(KEYS)) {
      const { publicKey, privateKey } = generate();
      this.#keys[alg] = privateKey;
      jwks.push({ ...publicKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' });
      writeFileSync(this.publicKeyFile(alg), publicKey.export({ format: 'pem', type: 'spki' }));
    }
    writeFileSync(this.#path('jwks.json'), JSON.stringify({ keys: jwks }));
  }

  /** An entry of `auth.issuers`. */
  get settings() {
    return { issuer: ISSUER, jwks_file: this.#path('jwks.json'), audiences: [AUDIENCE] };
  }

  /** PEM. */
  publicKeyFile(alg) {
    return this.#path(`${alg}.pem`);
  }

  /**
   * `endpoint`: the only one that the token opens. `keyId`: of a key that signed it, or that would have.
   */
  token(alg, { endpoint, keyId = alg } = {}) {
    const head = { alg, typ: 'at+jwt', kid: keyId };
    const nowS = Math.floor(Date.now() / 1_000);
    const claims = {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: USER,
      client_id: 'bench',
      iat: nowS,
      exp: nowS + LIFETIME_S,
      jti: randomBytes(16).toString('hex'),
    };
    if (endpoint !== undefined) claims.authorization_details = [detailOf(endpoint)];
    const signed = `${encode(head)}.${encode(claims)}`;
    return `${signed}.${this.#signature(alg, signed)}`;
  }

  /** Path of a file with so many new tokens, one per line. */
  async fileOf(alg, count) {
    const tokens = [];
    while (tokens.length < count) {
      tokens.push(this.token(alg));
      // Replicas and daemons that talk to this process must not wait for all of them.
      if (tokens.length % SIGNED_PER_TURN === 0) await new Promise(setImmediate);
    }
    return this.write(tokens);
  }

  write(tokens) {
    this.#files += 1;
    const file = this.#path(`tokens-${this.#files}`);
    writeFileSync(file, tokens.map((token) => `${token}\n`).join(''));
    return file;
  }

  /** Files of many tokens are large. */
  forget(file) {
    rmSync(file);
  }

  remove() {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name) {
    return path.join(this.#folder, name);
  }

  #signature(alg, text) {
    const key = { key: this.#keys[alg], dsaEncoding: 'ieee-p1363' };
    return sign('sha256', Buffer.from(text), key).toString('base64url');
  }
}

function detailOf(endpoint) {
  return {
    type: 'workspace_permission',
    object_type: 'serving-endpoints',
    object_path: `/serving-endpoints/${endpoint}`,
    actions: ['query_inference_endpoint'],
  };
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
