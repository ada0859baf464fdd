/**
 * Which listening sockets get new connections. The kernel shares them out among all sockets of an address, and a
 * connection that meets the socket of a slot without a worker waits until one is there: with a slot that dies again and
 * again, for half a minute. So they go to the slots that serve. Those that wait already are the next worker's.
 */
import { ANY_SOCKET, type Addon } from '../native/contract.js';
import type { Listeners } from './listeners.js';

export class Steering {
  readonly #calls: Pick<Addon, 'steerConnections'>;
  readonly #listeners: Listeners;
  #begun = false;

  constructor(calls: Pick<Addon, 'steerConnections'>, listeners: Listeners) {
    this.#calls = calls;
    this.#listeners = listeners;
  }

  /** The start is over: slots that do not serve yet are not about to. */
  begin(): void {
    this.#begun = true;
  }

  /** @param serving by slot: it accepts. Changes nothing until `begin`. */
  follow(serving: readonly boolean[]): void {
    if (!this.#begun) return;
    const isWhole = serving.every(Boolean);
    const slots = [...serving.keys()].filter((slot) => serving[slot]);
    const places = isWhole || slots.length === 0 ? [ANY_SOCKET] : slots;
    for (const descriptor of this.#listeners.ordered) {
      this.#calls.steerConnections(descriptor, places);
    }
  }
}
