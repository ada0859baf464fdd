/** Who a token or a permission names. */
export interface Principal {
  readonly id: string;
  readonly kind: 'user' | 'service_principal';
  readonly name: string;
  readonly applicationId: string /* of a service principal, else '' */;
  readonly active: boolean;
  readonly groups: readonly string[] /* names, transitive */;
  readonly groupIds: readonly string[] /* the same by id */;
  readonly entitlements: readonly string[];
}
export type PermissionLevel = 'CAN_VIEW' | 'CAN_QUERY' | 'CAN_MANAGE';
/** Who presented a credential, and which one it was. */
export interface KnownCredential {
  readonly principal: Principal;
  readonly credentialId: string;
  /** Null: never. */
  readonly expiresAtMs: number | null;
}

export interface Identities {
  principal(id: string): Principal | null;
  byName(name: string): Principal | null; // user name, or application id
  /** Constant-time check of an OAuth secret; null when wrong, unknown, expired or inactive. */
  byClientSecret(clientId: string, secret: string): KnownCredential | null;
  /** Personal access token. */
  byAccessToken(token: string): KnownCredential | null;
  /** A secret or access token by its id; null when there is none of it any more, or its principal is not active. */
  credential(id: string): KnownCredential | null;
  /** Id of the endpoint that an id or a name means; null: there is none. */
  endpointId(endpoint: string): string | null;
  /** Level on an endpoint (id or name), admins CAN_MANAGE; null when none. */
  permission(principal: Principal, endpoint: string): PermissionLevel | null;
}
