/** The least that token tests need of identities and of a sealer: principals, secrets and permissions in maps. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type {
  Identities,
  KnownCredential,
  PermissionLevel,
  Principal,
} from '../../../src/auth/principal.js';
import type { Sealer } from '../../../src/auth/signing-keys.js';

export function createPrincipal(id: string, changes: Partial<Principal> = {}): Principal {
  return {
    id,
    kind: 'service_principal',
    name: `sp-${id}`,
    applicationId: `app-${id}`,
    active: true,
    groups: [],
    groupIds: [],
    entitlements: [],
    ...changes,
  };
}

export class TestIdentities implements Identities {
  readonly principals = new Map<string, Principal>();
  /** Secret by client id. */
  readonly secrets = new Map<string, string>();
  /** Principal's id by personal access token. */
  readonly accessTokens = new Map<string, string>();
  /** By name, where it is another. */
  readonly endpointIds = new Map<string, string>();
  /** Of every secret and access token. */
  expiresAtMs: number | null = null;
  /** By `principal id endpoint`. */
  readonly levels = new Map<string, PermissionLevel>();

  add(principal: Principal): Principal {
    this.principals.set(principal.id, principal);
    return principal;
  }

  principal(id: string): Principal | null {
    return this.principals.get(id) ?? null;
  }

  byName(name: string): Principal | null {
    const found = [...this.principals.values()].find(
      (principal) => principal.name === name || principal.applicationId === name,
    );
    return found ?? null;
  }

  byClientSecret(clientId: string, secret: string): KnownCredential | null {
    const right = this.secrets.get(clientId) === secret;
    return this.#known('secret', right ? this.byName(clientId) : null);
  }

  byAccessToken(token: string): KnownCredential | null {
    return this.#known('pat', this.principal(this.accessTokens.get(token) ?? ''));
  }

  credential(id: string): KnownCredential | null {
    const [, kind = '', principal = ''] = /^(.*)-of-(.*)$/.exec(id) ?? [];
    return this.#known(kind, this.principal(principal));
  }

  endpointId(endpoint: string): string | null {
    return this.endpointIds.get(endpoint) ?? endpoint;
  }

  #known(kind: string, principal: Principal | null): KnownCredential | null {
    if (principal === null) return null;
    const { expiresAtMs } = this;
    return { principal, credentialId: `${kind}-of-${principal.id}`, expiresAtMs };
  }

  permission(principal: Principal, endpoint: string): PermissionLevel | null {
    return this.levels.get(`${principal.id} ${endpoint}`) ?? null;
  }
}

/** AES-256-GCM with the purpose as additional data, as sealing has to be. */
export function createSealer(key: Buffer = randomBytes(32)): Sealer {
  return {
    seal(purpose, plain) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]);
    },
    open(purpose, sealed) {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
        .setAAD(Buffer.from(purpose))
        .setAuthTag(Buffer.from(sealed.subarray(12, 28)));
      return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
    },
  };
}
