/** A token service of real parts over the least of identities: signing keys in a file, verification in a thread. */
import type { Test } from 'tap';
import { KeyFile } from '../../../src/auth/key-file.js';
import { SigningKeys } from '../../../src/auth/signing-keys.js';
import { TokenService, type TokenResponse } from '../../../src/auth/token-service.js';
import { TokenSigner, type IssuedToken } from '../../../src/auth/token-signer.js';
import type { Verified } from '../../../src/auth/trust.js';
import { TrustKeeper } from '../../../src/auth/trust-keeper.js';
import { VerifierPool } from '../../../src/auth/verifier-pool.js';
import { createPrincipal, createSealer, TestIdentities } from './identity-kit.js';
import { TestClock } from './token-kit.js';

export const OWN_ISSUER = 'http://127.0.0.1:8080/oidc';
export const OWN_AUDIENCE = 'urn:pointsman:workspace:1';
export const SECRET = 'the-secret-of-client-1';
export const PAT = 'the-personal-access-token-of-mia';

export interface ServiceKit {
  readonly service: TokenService;
  readonly identities: TestIdentities;
  readonly keys: SigningKeys;
  readonly pool: VerifierPool;
  readonly clock: TestClock;
  readonly issued: IssuedToken[];
  /** Sends a form: text as it is, or parameters to encode. */
  readonly ask: (
    form: string | Record<string, string>,
    headers?: { authorization?: string; contentType?: string | undefined; address?: string },
  ) => Promise<TokenResponse>;
  readonly verify: (token: unknown) => Promise<Verified>;
}

/** Client `app-1` may query endpoint m1 (id 0a1b), client `app-2` manages it, mia has a personal access token. */
export async function createServiceKit(t: Test): Promise<ServiceKit> {
  const clock = new TestClock();
  const identities = new TestIdentities();
  for (const id of ['1', '2']) {
    identities.add(createPrincipal(id));
    identities.secrets.set(`app-${id}`, SECRET.replace('1', id));
  }
  identities.add(
    createPrincipal('3', { kind: 'user', name: 'mia@example.org', applicationId: '' }),
  );
  identities.accessTokens.set(PAT, '3');
  for (const endpoint of ['m1', '0a1b']) {
    identities.levels.set(`1 ${endpoint}`, 'CAN_QUERY');
    identities.levels.set(`2 ${endpoint}`, 'CAN_MANAGE');
    identities.levels.set(`3 ${endpoint}`, 'CAN_QUERY');
  }
  identities.levels.set('1 m3', 'CAN_VIEW');
  const keys = await SigningKeys.open({
    store: new KeyFile(t.testdir()),
    sealer: createSealer(),
    clock,
    tokenTtlMs: 3_600_000,
    onProblem: (problem) => {
      t.fail(problem);
    },
  });
  const own = { issuer: OWN_ISSUER, audience: OWN_AUDIENCE };
  const onProblem = (): void => undefined;
  const onFault = (problem: string): void => {
    t.comment(problem);
  };
  const trust = new TrustKeeper({ ...own, signingKeys: keys, external: [], clock, onProblem });
  const pool = new VerifierPool({ trust, clock, threads: 1, onFault });
  const signer = new TokenSigner({ ...own, tokenTtlS: 3600, keys, clock });
  const issued: IssuedToken[] = [];
  const onIssued = (token: IssuedToken): void => void issued.push(token);
  const service = new TokenService({ identities, signer, verifier: pool, clock, onIssued });
  t.teardown(async () => {
    keys.close();
    trust.close();
    await pool.close();
  });
  return {
    service,
    identities,
    keys,
    pool,
    clock,
    issued,
    ask: (form, headers = {}) =>
      service.answer({
        contentType: 'contentType' in headers ? headers.contentType : FORM_TYPE,
        authorization: headers.authorization,
        body: Buffer.from(typeof form === 'string' ? form : new URLSearchParams(form).toString()),
        address: headers.address ?? '127.0.0.1',
      }),
    verify: async (token) => {
      const answer = await pool.verify(String(token));
      if (!answer.ok) throw new Error(`the token is refused: ${answer.reason}`);
      return answer;
    },
  };
}

const FORM_TYPE = 'application/x-www-form-urlencoded';

export function basic(id: string, secret: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` };
}

/** What lenient readers of base64 take for the same Basic credentials. */
export function otherSpellings(authorization: string): string[] {
  const [, value = ''] = authorization.split(' ');
  const bytes = Buffer.from(value, 'base64');
  const unpadded = value.replace(/=+$/, '');
  const last = unpadded.slice(-1);
  // The letter behind it differs in bits that no byte has, where the value is padded.
  const next = String.fromCharCode(last.charCodeAt(0) + 1);
  return [
    `${value} `,
    `${value}\t`,
    `${value}=`,
    `${value.slice(0, 8)} ${value.slice(8)}`,
    `${value.slice(0, 8)}\n${value.slice(8)}`,
    `${value.slice(0, 8)}*${value.slice(8)}`,
    `\t${value}`,
    ...(unpadded === value
      ? []
      : [unpadded, `${unpadded.slice(0, -1)}${next}${value.slice(unpadded.length)}`]),
    ...(bytes.toString('base64url') === unpadded ? [] : [bytes.toString('base64url')]),
  ].map((spelling) => `Basic ${spelling}`);
}

export const CLIENT_1 = basic('app-1', SECRET);

export function permissionOn(endpoint: string, ...actions: string[]): string {
  return JSON.stringify([
    {
      type: 'workspace_permission',
      object_type: 'serving-endpoints',
      object_path: `/serving-endpoints/${endpoint}`,
      actions,
    },
  ]);
}
