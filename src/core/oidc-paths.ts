/** Where clients find the token service, on both ports. No credential is needed to ask. */
export const OIDC_PATHS = {
  databricksConfig: '/.well-known/databricks-config',
  metadata: '/oidc/.well-known/oauth-authorization-server',
  keySet: '/oidc/jwks.json',
  token: '/oidc/v1/token',
} as const;
