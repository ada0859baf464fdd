/**
 * The worker's end of control.sock. It outlives a supervisor: when the connection is lost, it is tried again ten
 * times a second for as long as the state directory is there.
 *
 * The connection itself is the engine's, which acts on changes as they come (native/net/control_link.h). The rest is
 * decoded and told here, one envelope per turn of the loop: requests wait for one, not for all.
 */
import { statSync } from 'node:fs';
import { controlSocketPath } from '../control/control-socket.js';
import { decodeEnvelope, encodeFrame, type Envelope, type Hello } from '../control/messages.js';
import type { Engine } from '../native/contract.js';

const RETRY_MS = 100;

export interface ControlLinkOptions {
  readonly engine: Pick<Engine, 'openControl' | 'sendControl'>;
  readonly stateDir: string;
  /** Said first on every connection. */
  readonly hello: () => Hello;
  /** Of those that the engine does not act on. */
  readonly onEnvelope: (envelope: Envelope) => void;
  /** The engine cannot act on what came. */
  readonly onFault: (problem: string) => void;
  /** A connection is lost, or an attempt failed; another attempt follows. */
  readonly onLost: () => void;
  /** The state directory is gone or another one: no supervisor will ever come. Called once. */
  readonly onHopeless: () => void;
}

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #path: string;
  readonly #directory: string;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    this.#path = controlSocketPath(options.stateDir);
    this.#directory = identityOf(options.stateDir);
    this.#connect();
  }

  /** Lost silently when nobody is there. */
  send(envelope: Envelope): void {
    this.#options.engine.sendControl(encodeFrame(envelope));
  }

  #connect(): void {
    const { engine, hello, onEnvelope, onFault } = this.#options;
    const receive = (envelope: Buffer): void => {
      onEnvelope(decodeEnvelope(envelope));
    };
    if (engine.openControl(this.#path, receive, onFault, this.#onLost)) {
      this.send({ hello: hello() });
    } else {
      // Told later, as the loss of a connection is.
      setImmediate(this.#onLost);
    }
  }

  readonly #onLost = (): void => {
    this.#options.onLost();
    setTimeout(() => {
      this.#retry();
    }, RETRY_MS);
  };

  #retry(): void {
    if (identityOf(this.#options.stateDir) === this.#directory) this.#connect();
    else this.#options.onHopeless();
  }
}

/** Empty when the directory is not there. */
function identityOf(directory: string): string {
  const stat = statSync(directory, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${String(stat.dev)}:${String(stat.ino)}`;
}
