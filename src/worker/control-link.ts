/**
 * The worker's end of control.sock. It outlives a supervisor: when the connection is lost, it is tried again ten
 * times a second for as long as the state directory is there.
 */
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { ControlChannel, controlSocketPath } from '../control/control-socket.js';
import type { Envelope, Hello } from '../control/messages.js';

const RETRY_MS = 100;

export interface ControlLinkOptions {
  readonly stateDir: string;
  /** Said first on every connection. */
  readonly hello: Hello;
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
    const channel = new ControlChannel(connect(this.#path), onEnvelope, () => {
      onLost();
      setTimeout(() => {
        this.#retry();
      }, RETRY_MS);
    });
    channel.send({ hello });
    return channel;
  }

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
