/**
 * Places for calls of one kind that a worker brings to the supervisor. A client takes no more than its share of them, so that
 * the others are left some; a client is an address.
 */

export const RELAYED_CALLS_MAX = 32;
export const RELAYED_CALLS_PER_ADDRESS_MAX = 8;

export class RelayPlaces {
  /** Calls under way; addresses without one are not kept. */
  readonly #byAddress = new Map<string, number>();
  #taken = 0;

  /** False: there is none for this address now. */
  take(address: string): boolean {
    const held = this.#byAddress.get(address) ?? 0;
    if (this.#taken >= RELAYED_CALLS_MAX || held >= RELAYED_CALLS_PER_ADDRESS_MAX) return false;
    this.#taken += 1;
    this.#byAddress.set(address, held + 1);
    return true;
  }

  /** Of a place that was taken. */
  free(address: string): void {
    const held = this.#byAddress.get(address) ?? 0;
    this.#taken -= 1;
    if (held > 1) this.#byAddress.set(address, held - 1);
    else this.#byAddress.delete(address);
  }
}
