/**
 * The worker's end of control.sock. It outlives a supervisor: when the connection is lost, it is tried again ten
 * times a second for as long as the state directory is there.
 *
 * What comes is acted on one envelope per turn of the loop, a turn after it was read: requests wait for one of these
 * steps, not for all.
 */
import { statSync } from 'node:fs';
import { ControlChannel, controlSocketPath } from '../control/control-socket.js';
import {
  decodeForWorker,
  type Envelope,
  type Hello,
  type WorkerInput,
} from '../control/messages.js';

const RETRY_MS = 100;

export interface ControlLinkOptions {
  readonly stateDir: string;
  /** Said first on every connection. */
  readonly hello: () => Hello;
  readonly onInput: (input: WorkerInput) => void;
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
  /** Not acted on. */
  #inbox: WorkerInput[] = [];

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

  /** An encoded envelope. */
  sendFrame(frame: Buffer): void {
    this.#channel.sendFrame(frame);
  }

  #connect(): ControlChannel {
    const { hello, onInput, onLost } = this.#options;
    const receive = (envelope: Uint8Array): void => {
      if (this.#inbox.push(decodeForWorker(envelope)) === 1) setImmediate(this.#takeNext);
    };
    const channel = ControlChannel.open(this.#path, receive, () => {
      // Of a supervisor that is gone; nothing of it must come behind what the next one says.
      for (const input of this.#inbox.splice(0)) onInput(input);
      onLost();
      setTimeout(() => {
        this.#retry();
      }, RETRY_MS);
    });
    channel.send({ hello: hello() });
    return channel;
  }

  readonly #takeNext = (): void => {
    const input = this.#inbox.shift();
    if (this.#inbox.length > 0) setImmediate(this.#takeNext);
    if (input !== undefined) this.#options.onInput(input);
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
