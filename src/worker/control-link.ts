/**
 * The worker's end of control.sock. It outlives a supervisor: when the connection is lost, it is tried again ten
 * times a second for as long as the state directory is there.
 *
 * What comes is acted on one envelope per turn of the loop, a turn after it was decoded: requests wait for one of these
 * steps, not for all.
 */
import { statSync } from 'node:fs';
import { ControlChannel, controlSocketPath } from '../control/control-socket.js';
import type { Envelope, Hello } from '../control/messages.js';

const RETRY_MS = 100;

export interface ControlLinkOptions {
  readonly stateDir: string;
  /** Said first on every connection. */
  readonly hello: () => Hello;
  readonly onEnvelope: (envelope: Envelope) => void;
  /** A connection is lost, or an attempt failed; another attempt follows. */
  readonly onLost: () => void;
  /** The state directory is gone or another one: no supervisor will ever come. Called once. */
  readonly onHopeless: () => void;
}

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #path: string;
  readonly #directory: string;
  #channel: ControlChannel;
  /** Decoded and not acted on. */
  #inbox: Envelope[] = [];

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#path = controlSocketPath(options.stateDir);
    this.#directory = identityOf(options.stateDir);
    this.#channel = this.#connect();
  }

  /** Lost silently when nobody is there. */
  send(envelope: Envelope): void {
    this.#channel.send(envelope);
  }

  #connect(): ControlChannel {
    const { hello, onEnvelope, onLost } = this.#options;
    const receive = (envelope: Envelope): void => {
      if (this.#inbox.push(envelope) === 1) setImmediate(this.#takeNext);
    };
    const channel = ControlChannel.open(this.#path, receive, () => {
      // Of a supervisor that is gone; nothing of it must come behind what the next one says.
      for (const envelope of this.#inbox.splice(0)) onEnvelope(envelope);
      onLost();
      setTimeout(() => {
        this.#retry();
      }, RETRY_MS);
    });
    channel.send({ hello: hello() });
    return channel;
  }

  readonly #takeNext = (): void => {
    const envelope = this.#inbox.shift();
    if (this.#inbox.length > 0) setImmediate(this.#takeNext);
    if (envelope !== undefined) this.#options.onEnvelope(envelope);
  };

  #retry(): void {
    if (identityOf(this.#options.stateDir) === this.#directory) this.#channel = this.#connect();
    else this.#options.onHopeless();
  }
}

/** Empty when the directory is not there. */
function identityOf(directory: string): string {
  const stat = statSync(directory, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${String(stat.dev)}:${String(stat.ino)}`;
}
