/**
 * Personal access tokens and OAuth secrets. Each is 256 random bits, shown once, and kept as a keyed
 * hash: the store alone lets nobody in. Looked up by that hash, which says nothing about the secret
 * without the key, so that the time of a look-up tells nothing either.
 */
import { randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { PointsmanError } from '../core/errors.js';
import type { CredentialKind, CredentialRow, IdentityTables } from '../store/identity-tables.js';
import type { Sealer } from '../store/sealed-box.js';

/** Tokens of one principal that have not expired. */
export const ACCESS_TOKENS_MAX = 600;

/** Secrets of one service principal that have not expired. */
export const CLIENT_SECRETS_MAX = 5;

/** Longest life of either, in seconds. */
export const LIFETIME_S_MAX = 730 * 86_400;

/** Known prefixes, so that scanners for leaked secrets recognise them. */
const FORMS = {
  access_token: { prefix: 'dapi', limit: ACCESS_TOKENS_MAX, what: 'access tokens' },
  client_secret: { prefix: 'dose', limit: CLIENT_SECRETS_MAX, what: 'secrets' },
} as const satisfies Record<CredentialKind, { prefix: string; limit: number; what: string }>;

const SECRET_BYTES = 32;

export interface Credential {
  readonly id: string;
  readonly principalId: string;
  readonly createdAt: number;
  /** Epoch milliseconds; null: never. */
  readonly expiresAt: number | null;
  readonly comment: string;
  /** A part of the keyed hash, to tell secrets apart. */
  readonly fingerprint: string;
}

export interface NewCredential {
  readonly credential: Credential;
  /** Shown to its owner once. */
  readonly secret: string;
}

export interface CredentialInput {
  readonly principalId: string;
  /** Null: for ever. */
  readonly lifetimeS: number | null;
  readonly comment: string;
}

export interface CredentialBookOptions {
  readonly tables: IdentityTables;
  readonly sealer: Sealer;
  readonly clock: Clock;
}

export class CredentialBook {
  readonly #tables: IdentityTables;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #byHash = new Map<string, CredentialRow>();
  readonly #byPrincipal = new Map<string, CredentialRow[]>();
  readonly #byId = new Map<string, CredentialRow>();
  readonly #listeners: ((ids: readonly string[]) => void)[] = [];

  constructor({ tables, sealer, clock }: CredentialBookOptions) {
    this.#tables = tables;
    this.#sealer = sealer;
    this.#clock = clock;
    for (const row of tables.credentials()) this.#remember(row);
  }

  /** Called after a credential was made or taken away, with its id. */
  onChange(listener: (ids: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  /** @throws PointsmanError when the principal has too many. */
  create(kind: CredentialKind, input: CredentialInput): NewCredential {
    const { principalId, lifetimeS, comment } = input;
    const { prefix, limit, what } = FORMS[kind];
    this.#dropExpired(principalId);
    if (this.#rowsOf(kind, principalId).length >= limit) {
      throw new PointsmanError(
        'INVALID_PARAMETER_VALUE',
        `There are ${String(limit)} ${what} already, which is the limit; delete one first`,
      );
    }
    const secret = prefix + randomBytes(SECRET_BYTES).toString('hex');
    const createdAt = this.#clock.nowMs();
    const row: CredentialRow = {
      id: kind === 'access_token' ? randomBytes(32).toString('hex') : randomUUID(),
      kind,
      principalId: Number(principalId),
      hash: this.#sealer.hash(kind, secret),
      createdAt,
      expiresAt: lifetimeS === null ? null : createdAt + lifetimeS * 1_000,
      comment,
    };
    this.#tables.insertCredential(row);
    this.#remember(row);
    this.#tell([row.id]);
    return { credential: viewOf(row), secret };
  }

  /** The oldest first, without those that have expired. */
  list(kind: CredentialKind, principalId: string): Credential[] {
    this.#dropExpired(principalId);
    return this.#rowsOf(kind, principalId).map(viewOf);
  }

  /** Of every principal, without those that have expired; in no order. */
  all(kind: CredentialKind): Credential[] {
    const rows = [...this.#byHash.values()];
    return rows.filter((row) => row.kind === kind && !this.#expired(row)).map(viewOf);
  }

  /** @throws PointsmanError RESOURCE_DOES_NOT_EXIST unless the principal has it. */
  delete(kind: CredentialKind, principalId: string, id: string): void {
    const row = this.#rowsOf(kind, principalId).find((one) => one.id === id);
    if (row === undefined) {
      const what = kind === 'access_token' ? 'Token' : 'Secret';
      throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `${what} ${id} does not exist.`);
    }
    this.#tables.deleteCredential(id);
    this.#forget(row);
    this.#tell([id]);
  }

  /** To be called when a principal is deleted; the store has dropped its rows itself. */
  forgetAll(principalId: string): void {
    const rows = this.#byPrincipal.get(principalId) ?? [];
    for (const row of [...rows]) this.#forget(row);
    this.#byPrincipal.delete(principalId);
  }

  /** What an access token says; null when unknown or expired. */
  accessToken(token: string): Credential | null {
    const { prefix } = FORMS.access_token;
    if (token.length !== prefix.length + 2 * SECRET_BYTES || !token.startsWith(prefix)) return null;
    const row = this.#byHash.get(this.#sealer.hash('access_token', token).toString('hex'));
    if (row?.kind !== 'access_token' || this.#expired(row)) return null;
    return viewOf(row);
  }

  /** By id; null when there is none, or it has expired. */
  row(id: string): CredentialRow | null {
    const row = this.#byId.get(id);
    return row === undefined || this.#expired(row) ? null : row;
  }

  /** All that have not expired, in no order. */
  rows(): CredentialRow[] {
    return [...this.#byId.values()].filter((row) => !this.#expired(row));
  }

  /**
   * A secret of a service principal; null: it has no such one. Takes the same time for every secret
   * that it has not, and for an unknown principal (null).
   */
  clientSecret(principalId: string | null, secret: string): Credential | null {
    const hash = this.#sealer.hash('client_secret', secret);
    const rows = principalId === null ? [] : this.#rowsOf('client_secret', principalId);
    let found: CredentialRow | null = null;
    for (let index = 0; index < CLIENT_SECRETS_MAX; index += 1) {
      const row = rows[index];
      const equal = timingSafeEqual(hash, row?.hash ?? NO_HASH);
      if (equal && row !== undefined && !this.#expired(row)) found = row;
    }
    return found === null ? null : viewOf(found);
  }

  #rowsOf(kind: CredentialKind, principalId: string): CredentialRow[] {
    return (this.#byPrincipal.get(principalId) ?? []).filter((row) => row.kind === kind);
  }

  #expired(row: CredentialRow): boolean {
    return row.expiresAt !== null && row.expiresAt <= this.#clock.nowMs();
  }

  #dropExpired(principalId: string): void {
    for (const row of [...(this.#byPrincipal.get(principalId) ?? [])]) {
      if (!this.#expired(row)) continue;
      this.#tables.deleteCredential(row.id);
      this.#forget(row);
    }
  }

  #remember(row: CredentialRow): void {
    this.#byHash.set(row.hash.toString('hex'), row);
    this.#byId.set(row.id, row);
    const principalId = String(row.principalId);
    this.#byPrincipal.set(principalId, [...(this.#byPrincipal.get(principalId) ?? []), row]);
  }

  #forget(row: CredentialRow): void {
    this.#byHash.delete(row.hash.toString('hex'));
    this.#byId.delete(row.id);
    const principalId = String(row.principalId);
    const rest = (this.#byPrincipal.get(principalId) ?? []).filter((one) => one !== row);
    this.#byPrincipal.set(principalId, rest);
  }

  #tell(ids: readonly string[]): void {
    for (const listener of this.#listeners) listener(ids);
  }
}

const NO_HASH = Buffer.alloc(32);
const FINGERPRINT_CHARS = 16;

function viewOf(row: CredentialRow): Credential {
  const { id, principalId, createdAt, expiresAt, comment, hash } = row;
  const fingerprint = hash.toString('hex').slice(0, FINGERPRINT_CHARS);
  return { id, principalId: String(principalId), createdAt, expiresAt, comment, fingerprint };
}
