/**
 * Joins whom the daemon trusts into one Trust: itself, by its signing keys, and the external issuers of the
 * configuration, by their key sets. Every change of a key makes a new version. Lives in the supervisor;
 * threads and workers get copies.
 */
import type { Clock } from '../core/clock.js';
import { invalidField } from '../core/errors.js';
import type { Algorithm } from './algorithms.js';
import { JwksSource, type KeySetLocation } from './jwks-source.js';
import type { SigningKeys } from './signing-keys.js';
import { ACCESS_TOKEN_TYPE } from './token-signer.js';
import type { Trust, TrustedIssuer, TrustSource } from './trust.js';

/** An external issuer as the configuration gives it. */
export interface ExternalIssuer {
  readonly issuer: string;
  readonly location: KeySetLocation;
  readonly audiences: readonly string[];
  readonly algorithms: readonly Algorithm[];
  readonly tokenTypes: readonly string[];
  readonly principalClaim: string;
  readonly groupsClaim: string;
  readonly adminGroups: readonly string[];
  readonly autoCreate: boolean;
}

export interface TrustKeeperOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly signingKeys: Pick<SigningKeys, 'publicKeys' | 'onChange'>;
  readonly external: readonly ExternalIssuer[];
  readonly clock: Clock;
  /** A problem with an issuer's key set, for the log. */
  readonly onProblem: (issuer: string, problem: string) => void;
}

/** @throws PointsmanError (by the constructor) for an external issuer of our own name: its keys would sign our tokens */
export class TrustKeeper implements TrustSource {
  readonly #options: TrustKeeperOptions;
  readonly #sources = new Map<string, JwksSource>();
  readonly #listeners: ((trust: Trust) => void)[] = [];
  #trust: Trust = { version: 0, issuers: [] };

  constructor(options: TrustKeeperOptions) {
    this.#options = options;
    for (const { issuer, location, algorithms } of options.external) {
      if (issuer === options.issuer)
        throw invalidField('auth.issuers', `${issuer} is our own issuer`);
      const source = new JwksSource({
        location,
        algorithms,
        clock: options.clock,
        onKeys: () => {
          this.#compile();
        },
        onProblem: (problem) => {
          options.onProblem(issuer, problem);
        },
      });
      this.#sources.set(issuer, source);
    }
    options.signingKeys.onChange(() => {
      this.#compile();
    });
    this.#compile();
  }

  /** Resolves when every key set was asked for once; one that fails is asked again later. */
  async start(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.start()));
  }

  close(): void {
    for (const source of this.#sources.values()) source.close();
  }

  current(): Trust {
    return this.#trust;
  }

  async refresh(issuer: string): Promise<void> {
    await this.#sources.get(issuer)?.refresh();
  }

  onChange(listener: (trust: Trust) => void): void {
    this.#listeners.push(listener);
  }

  #compile(): void {
    const issuers = [this.#own(), ...this.#options.external.map((rules) => this.#external(rules))];
    this.#trust = { version: this.#trust.version + 1, issuers };
    for (const listener of this.#listeners) listener(this.#trust);
  }

  #own(): TrustedIssuer {
    const { issuer, audience, signingKeys } = this.#options;
    return {
      issuer,
      kind: 'own',
      audiences: [audience],
      tokenTypes: [ACCESS_TOKEN_TYPE],
      principalClaim: 'sub',
      groupsClaim: '',
      adminGroups: [],
      autoCreate: false,
      keys: signingKeys.publicKeys(),
    };
  }

  #external(rules: ExternalIssuer): TrustedIssuer {
    const { issuer, audiences, tokenTypes, principalClaim, groupsClaim, adminGroups } = rules;
    const keys = this.#sources.get(issuer)?.keys ?? [];
    return {
      issuer,
      kind: 'external',
      audiences,
      tokenTypes: tokenTypes.map((type) => type.toLowerCase()),
      principalClaim,
      groupsClaim,
      adminGroups,
      autoCreate: rules.autoCreate,
      keys,
    };
  }
}
