/** An issuer of another house: its key in a file that a daemon's configuration names, and tokens signed with it. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';
import { createKey, publishedJwk, signToken, type TestKey } from '../unit/auth/token-kit.js';
import { temporaryDirectory } from './harness.js';

const ISSUER = 'https://idp.example.org';
const AUDIENCE = 'lab';
const LIFE_S = 600;

export class ExternalIssuer {
  /** For a daemon that takes its tokens. */
  readonly flags: Readonly<Record<string, string>>;
  readonly #key = createKey('ES256', 'idp-1');
  readonly #nextKey = createKey('ES256', 'idp-2');
  readonly #keyFile: string;
  #made = 0;

  constructor(t: Test, rules: Readonly<Record<string, unknown>> = {}) {
    const folder = temporaryDirectory(t);
    this.#keyFile = path.join(folder, 'keys.json');
    this.#publish(this.#key);
    const entry = { issuer: ISSUER, jwks_file: 'keys.json', audiences: [AUDIENCE], ...rules };
    const file = path.join(folder, 'pointsman.yaml');
    // JSON is YAML too.
    writeFileSync(file, JSON.stringify({ manifest: '', auth: { issuers: [entry] } }));
    this.flags = { config: file };
  }

  /** Another one at each call. */
  token(sub: string, claims: Readonly<Record<string, unknown>> = {}): string {
    return this.#sign(this.#key, sub, claims);
  }

  /** Signed with a key that nobody knows before `publishNextKey`. */
  nextToken(sub: string): string {
    return this.#sign(this.#nextKey, sub);
  }

  publishNextKey(): void {
    this.#publish(this.#key, this.#nextKey);
  }

  #publish(...keys: TestKey[]): void {
    writeFileSync(this.#keyFile, JSON.stringify({ keys: keys.map((key) => publishedJwk(key)) }));
  }

  #sign(key: TestKey, sub: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const nowS = Math.floor(Date.now() / 1_000);
    this.#made += 1;
    const times = { iat: nowS, exp: nowS + LIFE_S, jti: String(this.#made) };
    return signToken(key, { iss: ISSUER, aud: AUDIENCE, sub, ...times, ...claims });
  }
}
