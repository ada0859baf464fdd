/**
 * How a worker ends: by a drain that its supervisor asks for, or by a handover to the supervisor that came after
 * a dead one. Both stop accepting, close connections behind their next answer, and end the process when
 * nothing is in flight.
 */
import type { Door } from './door.js';

/** How often an ending worker looks whether it is idle. */
const POLL_MS = 25;
/** A connection without a request in flight may be about to bring one: for this long it may. */
const LINGER_MS = 1_000;

export interface Load {
  readonly connections: number;
  readonly inFlight: number;
}

export class Ending {
  readonly #door: Door;
  readonly #load: () => Load;
  readonly #exit: (reason: string) => void;
  #state: 'serving' | 'delayed' | 'finishing' = 'serving';
  #quiet = false;
  /** Another process serves the sockets: requests that come now belong there. */
  #onQuiet: (() => void) | null = null;

  constructor(door: Door, load: () => Load, exit: (reason: string) => void) {
    this.#door = door;
    this.#load = load;
    this.#exit = exit;
  }

  /** True once the process is on its way out; it cannot be called back. */
  get begun(): boolean {
    return this.#state !== 'serving';
  }

  /** The listening sockets are still this process's. */
  get accepts(): boolean {
    return this.#state !== 'finishing';
  }

  /** Says "not ready" but accepts for `delayMs`, then finishes what is in flight within `timeoutMs`. */
  drain(delayMs: number, timeoutMs: number): void {
    if (this.begun) return;
    this.#state = 'delayed';
    this.#door.notReady = 'draining';
    setTimeout(() => {
      this.#finish(timeoutMs, true);
    }, delayMs);
  }

  /** The sockets are somebody else's now. `onQuiet` is called once no request is started any more. */
  handOver(timeoutMs: number, onQuiet: () => void): void {
    this.#onQuiet = onQuiet;
    this.#door.notReady = 'another process has taken over';
    if (this.#quiet) this.#becomeQuiet();
    this.#finish(timeoutMs, false);
  }

  /** `isLast`: nobody serves the sockets after this process, so who waits in them is its own. */
  #finish(timeoutMs: number, isLast: boolean): void {
    if (this.#state === 'finishing') return;
    this.#state = 'finishing';
    this.#door.draining = true;
    this.#door.engine.drainFront();
    this.#door.engine.stopAccepting(isLast);
    const startedAt = performance.now();
    let idleSince: number | null = null;
    setInterval(() => {
      const now = performance.now();
      const { connections, inFlight } = this.#load();
      // Of the connections that are left each is owed an answer and is closed behind it.
      if (connections <= inFlight || now - startedAt >= LINGER_MS) this.#becomeQuiet();
      idleSince = inFlight > 0 ? null : (idleSince ?? now);
      const lingered = idleSince !== null && now - idleSince >= LINGER_MS;
      if (lingered || (connections === 0 && inFlight === 0)) this.#exit('drained');
      else if (now - startedAt >= timeoutMs) this.#exit('drain time is over');
    }, POLL_MS);
  }

  #becomeQuiet(): void {
    this.#quiet = true;
    if (this.#onQuiet === null) return;
    // Requests that come now, whose body comes now, or that still wait, belong to the process that took over.
    this.#door.startsNothing = true;
    this.#door.engine.startNothing();
    this.#onQuiet();
    this.#onQuiet = null;
  }
}
