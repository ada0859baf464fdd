/**
 * A process that the addon's nursery has started, so that it has the priority that the daemon was started with and not
 * the lower one of the supervisor, which child_process would give it.
 */
import { constants } from 'node:os';
import type { Addon } from '../native/contract.js';

export type ExitListener = (code: number | null, signal: NodeJS.Signals | null) => void;

export interface ChildOptions {
  /** Of node. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<NodeJS.ProcessEnv>;
  /** Inherited as 3 and following. */
  readonly descriptors: readonly number[];
}

export class Child {
  readonly pid: number;
  readonly #onExit: ExitListener[] = [];
  #hasExited = false;
  #killed = false;

  /** @throws Error with `code` when it cannot be started. */
  constructor(addon: Pick<Addon, 'spawnProcess'>, options: ChildOptions) {
    const environment = Object.entries(options.environment).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    this.pid = addon.spawnProcess(
      [process.execPath, ...options.arguments],
      environment,
      options.descriptors,
      (code, signal) => {
        this.#hasExited = true;
        this.#killed = nameOf(signal) === 'SIGKILL';
        for (const listener of this.#onExit.splice(0)) listener(code, nameOf(signal));
      },
    );
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  /** It has exited by SIGKILL, as processes do that the kernel takes for want of memory. */
  get wasKilled(): boolean {
    return this.#killed;
  }

  /** Called once, unless it has exited already. */
  onceExited(listener: ExitListener): void {
    this.#onExit.push(listener);
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#hasExited) process.kill(this.pid, signal);
  }
}

function nameOf(signal: number | null): NodeJS.Signals | null {
  const found = Object.entries(constants.signals).find(([, number]) => number === signal);
  return found === undefined ? null : (found[0] as NodeJS.Signals);
}
