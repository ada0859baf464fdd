/**
 * The documents by which clients find the token endpoint: made of the configuration once, never of what a request
 * says of itself. Each port shows its own URL; the issuer is the same on both.
 */
import { OIDC_PATHS } from '../core/oidc-paths.js';
import { DETAIL_TYPES } from './authorization-details.js';
import { GRANT_TYPES, SCOPE } from './token-service.js';
import type { TrustedKey } from './trusted-key.js';

/** What the SDKs ask for first, without a credential. */
export function databricksConfig(
  baseUrl: string,
  workspaceId: string,
): Readonly<Record<string, string>> {
  return { oidc_endpoint: `${baseUrl}/oidc`, workspace_id: workspaceId, host_type: 'workspace' };
}

/** Metadata of RFC 8414. The SDKs demand an authorization endpoint; nothing is served there. */
export function serverMetadata(issuer: string, baseUrl: string): Readonly<Record<string, unknown>> {
  return {
    issuer,
    authorization_endpoint: `${baseUrl}/oidc/v1/authorize`,
    token_endpoint: `${baseUrl}${OIDC_PATHS.token}`,
    jwks_uri: `${baseUrl}${OIDC_PATHS.keySet}`,
    response_types_supported: [],
    grant_types_supported: Object.values(GRANT_TYPES),
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    scopes_supported: [SCOPE],
    authorization_details_types_supported: DETAIL_TYPES,
  };
}

/** The public keys of our tokens as a JWK set. */
export function publishedKeySet(keys: readonly TrustedKey[]): { readonly keys: readonly object[] } {
  return { keys: keys.map(({ kid, alg, jwk }) => ({ ...jwk, kid, alg, use: 'sig' })) };
}
