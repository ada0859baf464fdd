/** Makes our own access tokens: JWTs of the profile of RFC 9068, signed with the current key. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { createSignature } from './algorithms.js';
import type { AuthorizationDetail } from './authorization-details.js';
import type { Principal } from './principal.js';
import type { SigningKeys } from './signing-keys.js';
import type { Verified } from './trust.js';

/** Value of `typ`, without `application/`. */
export const ACCESS_TOKEN_TYPE = 'at+jwt';
const TOKEN_ID_BYTES = 16;

export interface TokenGrant {
  readonly principal: Principal;
  readonly scope: string;
  /** Null: the token is not limited. */
  readonly authorizationDetails: readonly AuthorizationDetail[] | null;
  /** Ids of the details' endpoints, in their order; null with them. */
  readonly endpoints: readonly string[] | null;
  /** Secret or access token that it goes back to; else empty. */
  readonly credentialId: string;
  /** End of what it goes back to, which it does not outlive; null: none. */
  readonly expiresAtMs: number | null;
}

export interface IssuedToken {
  readonly token: string;
  readonly lifetimeS: number;
  /** What verifying it would answer, for caches. */
  readonly verified: Verified;
}

export interface TokenSignerOptions {
  /** From the configuration, never from a request. */
  readonly issuer: string;
  readonly audience: string;
  readonly tokenTtlS: number;
  readonly keys: Pick<SigningKeys, 'current'>;
  readonly clock: Clock;
}

export class TokenSigner {
  readonly #options: TokenSignerOptions;

  constructor(options: TokenSignerOptions) {
    this.#options = options;
  }

  sign(grant: TokenGrant): IssuedToken {
    const { issuer, audience, tokenTtlS, clock } = this.#options;
    const { principal, scope, authorizationDetails, endpoints, credentialId } = grant;
    const name = nameOf(principal);
    const iat = Math.floor(clock.nowMs() / 1000);
    const exp = Math.min(iat + tokenTtlS, Math.floor((grant.expiresAtMs ?? Infinity) / 1000));
    const jti = randomBytes(TOKEN_ID_BYTES).toString('base64url');
    const token = this.#encode({
      iss: issuer,
      sub: name,
      aud: audience,
      client_id: name,
      iat,
      exp,
      jti,
      scope,
      principal_id: principal.id,
      ...(credentialId === '' ? {} : { credential_id: credentialId }),
      ...(authorizationDetails === null ? {} : { authorization_details: authorizationDetails }),
      ...(endpoints === null ? {} : { endpoint_ids: endpoints }),
    });
    const verified: Verified = {
      ok: true,
      principal: name,
      principalId: principal.id,
      kind: 'own',
      exp,
      iat,
      jti,
      issuer,
      authorizationDetails,
      endpoints,
      groups: [],
      isAdmin: false,
      credentialId,
      autoCreate: false,
    };
    return { token, lifetimeS: exp - iat, verified };
  }

  #encode(claims: Readonly<Record<string, unknown>>): string {
    const { kid, privateKey } = this.#options.keys.current();
    const head = encodePart({ alg: 'ES256', typ: ACCESS_TOKEN_TYPE, kid });
    const signed = `${head}.${encodePart(claims)}`;
    const signature = createSignature('ES256', privateKey, Buffer.from(signed, 'latin1'));
    return `${signed}.${signature.toString('base64url')}`;
  }
}

/** What tokens call a principal: application id of a service principal, name of a user. */
function nameOf(principal: Principal): string {
  return principal.kind === 'service_principal' ? principal.applicationId : principal.name;
}

function encodePart(value: Readonly<Record<string, unknown>>): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
