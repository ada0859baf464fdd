/**
 * Principals where nobody can be asked: the built-in ones are known, every other name is assumed to
 * exist and remembered, so that whoever reads the result is told.
 */
import type { Directory, NamedPrincipal, PrincipalKind } from '../control/grants.js';

export class AssumedPrincipals implements Directory {
  readonly #known: Directory;
  /** By id, which is made up. */
  readonly #assumed = new Map<string, NamedPrincipal>();

  constructor(known: Directory) {
    this.#known = known;
  }

  get assumed(): NamedPrincipal[] {
    return [...this.#assumed.values()];
  }

  find(kind: PrincipalKind, name: string): string | null {
    const id = this.#known.find(kind, name);
    if (id !== null) return id;
    const madeUp = `${kind} ${name.toLowerCase()}`;
    if (!this.#assumed.has(madeUp)) {
      this.#assumed.set(madeUp, { kind, name, displayName: '', implied: false });
    }
    return madeUp;
  }

  named(id: string): NamedPrincipal | null {
    return this.#assumed.get(id) ?? this.#known.named(id);
  }

  ungrantable(id: string): string | null {
    return this.#known.ungrantable(id);
  }
}
