/**
 * Workers that an earlier supervisor left behind: it was killed, they serve on. Their listening sockets are taken
 * over, then they finish what is in flight and end.
 *
 *   hello -> lendSockets -> sockets arrive, socketsLent -> handover -> handedOver (starts no more requests) -> ended
 *
 * They accept until workers of this supervisor do, so a supervisor that dies in between leaves no gap; but for those
 * that serve another revision than is to become active.
 *
 * They count in a memory block of their own, so nothing may become active while one of them starts requests:
 * `quiet` resolves when none does any more.
 */
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ListenAddress } from '../config/listen-address.js';
import { unixSocketPath, type ControlChannel } from '../control/control-socket.js';
import type { Envelope, Hello } from '../control/messages.js';
import { messageOf } from '../core/errors.js';
import type { Addon } from '../native/contract.js';
import type { BoundSocket } from './listeners.js';
import { isAlive, survivors, type WorkerRecord } from './worker-file.js';
import { HEARTBEAT_TIMEOUT_MS } from './worker-process.js';

/** How long an orphan may take to connect, and to send its sockets. It tries ten times a second, unless it stands still. */
const ANSWER_TIMEOUT_MS = HEARTBEAT_TIMEOUT_MS;
/** How long it may take to start no more requests; it promises one second. */
const QUIET_TIMEOUT_MS = 10_000;
/** Beyond its own deadline. */
const END_GRACE_MS = 1_000;
const POLL_MS = 10;

export interface OrphansOptions {
  readonly addon: Pick<
    Addon,
    'listenForDescriptors' | 'receiveDescriptors' | 'closeDescriptor' | 'portOf'
  >;
  readonly stateDir: string;
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

interface Orphan {
  readonly record: WorkerRecord;
  channel: ControlChannel | null;
  /** That it serves; null until it has said so. */
  revision: number | null;
  /** It has sent what it has of its sockets. */
  lent: boolean;
  /** That others serve now. */
  told: boolean;
  handedOver: boolean;
}

export class Orphans {
  readonly #options: OrphansOptions;
  readonly #orphans: Map<number, Orphan>;

  /** Call with the state directory locked. */
  constructor(options: OrphansOptions) {
    this.#options = options;
    this.#orphans = new Map(
      survivors(options.stateDir).map((record) => [
        record.pid,
        { record, channel: null, revision: null, lent: false, told: false, handedOver: false },
      ]),
    );
  }

  /** Those that live, for the next worker file; without the sockets once they have been told to let go of them. */
  records(): WorkerRecord[] {
    return this.#living().map(({ record, told }) => (told ? { ...record, listeners: [] } : record));
  }

  /** What they listen on, as recorded. */
  addresses(): ListenAddress[] {
    return this.#living().flatMap(({ record }) => record.listeners);
  }

  /** Answers what takes the process's further messages; null when it is not known. */
  greet(hello: Hello, channel: ControlChannel): ((envelope: Envelope) => void) | null {
    const orphan = this.#orphans.get(hello.pid);
    if (orphan === undefined) return null;
    orphan.channel = channel;
    orphan.revision = hello.activeRevision;
    if (orphan.told) this.#tell(orphan);
    return (envelope) => {
      if (envelope.socketsLent !== undefined) orphan.lent = true;
      if (envelope.handedOver !== undefined) orphan.handedOver = true;
    };
  }

  /**
   * Copies of their listening sockets, from which they go on accepting; whoever does not answer is killed. The control
   * socket must be open.
   */
  async takeSockets(): Promise<BoundSocket[]> {
    const { logger, stateDir } = this.#options;
    removeSocketFiles(stateDir);
    const orphans = [...this.#orphans.values()];
    if (orphans.length === 0) return [];
    const pids = orphans.map(({ record }) => record.pid);
    logger.info({ pids }, 'workers of an earlier supervisor serve on; taking their sockets over');
    const taken = await Promise.all(orphans.map((orphan) => this.#takeFrom(orphan)));
    return taken.flat();
  }

  /**
   * Tells them that others serve now; resolves when none starts requests any more.
   * @param except those that serve this revision go on
   */
  async handOver(except: number | null): Promise<void> {
    const leaving = (): Orphan[] =>
      this.#living().filter(({ revision }) => except === null || revision !== except);
    for (const orphan of leaving()) this.#tell(orphan);
    const deadline = performance.now() + QUIET_TIMEOUT_MS;
    const loud = (): Orphan[] => leaving().filter(({ handedOver }) => !handedOver);
    while (loud().length > 0) {
      if (performance.now() > deadline) await Promise.all(loud().map((one) => this.#kill(one)));
      else await sleep(POLL_MS);
    }
  }

  /** Resolves when all have ended; those that outlive the drain time are killed. Call after `handOver`. */
  async ended(): Promise<void> {
    const deadline = performance.now() + this.#options.drainTimeoutMs + END_GRACE_MS;
    while (this.#living().length > 0) {
      if (performance.now() > deadline) {
        await Promise.all(this.#living().map((one) => this.#kill(one)));
      } else {
        await sleep(POLL_MS * 5);
      }
    }
  }

  #living(): Orphan[] {
    return [...this.#orphans.values()].filter(({ record }) => isAlive(record));
  }

  #tell(orphan: Orphan): void {
    orphan.told = true;
    orphan.channel?.send({ handover: { drainTimeoutMs: this.#options.drainTimeoutMs } });
  }

  async #takeFrom(orphan: Orphan): Promise<BoundSocket[]> {
    const { logger, stateDir, addon } = this.#options;
    const { pid } = orphan.record;
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    while (orphan.channel === null && isAlive(orphan.record) && performance.now() < deadline) {
      await sleep(POLL_MS);
    }
    if (orphan.channel === null) {
      logger.warn({ pid }, 'a worker of an earlier supervisor does not answer');
      await this.#kill(orphan);
      return [];
    }
    const socketFile = path.join(stateDir, `handover-${String(pid)}.sock`);
    const listener = addon.listenForDescriptors(unixSocketPath(socketFile));
    const descriptors: number[] = [];
    try {
      orphan.channel.send({ lendSockets: { socketPath: socketFile } });
      await this.#receive(orphan, listener, descriptors);
      return this.#checked(descriptors, orphan.record);
    } catch (error) {
      logger.error({ pid, error: messageOf(error) }, 'a worker does not hand its sockets over');
      // Connections would go on coming to them.
      for (const descriptor of descriptors) addon.closeDescriptor(descriptor);
      await this.#kill(orphan);
      return [];
    } finally {
      addon.closeDescriptor(listener);
      rmSync(socketFile, { force: true });
    }
  }

  /** Adds to `descriptors` until all have come or no more will. */
  async #receive(orphan: Orphan, listener: number, descriptors: number[]): Promise<void> {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    for (let last = false; descriptors.length < orphan.record.listeners.length;) {
      const batch = this.#options.addon.receiveDescriptors(listener);
      descriptors.push(...(batch ?? []));
      if (batch !== null) continue;
      if (last) break;
      // What was sent before the end is still there.
      last = orphan.lent || orphan.handedOver || !isAlive(orphan.record);
      if (last) continue;
      if (performance.now() > deadline) throw new Error('they do not come in time');
      await sleep(POLL_MS);
    }
  }

  /** Pairs descriptors with the recorded addresses; those that do not fit are closed, but none when it throws. */
  #checked(descriptors: readonly number[], record: WorkerRecord): BoundSocket[] {
    const { addon, logger } = this.#options;
    const sockets: BoundSocket[] = [];
    const ports = descriptors.map((descriptor) => addon.portOf(descriptor));
    for (const [index, descriptor] of descriptors.entries()) {
      const address = record.listeners[index];
      if (address !== undefined && ports[index] === address.port) {
        sockets.push({ address, descriptor });
      } else {
        logger.warn({ pid: record.pid }, 'a worker sent a socket that it is not known to have');
        addon.closeDescriptor(descriptor);
      }
    }
    return sockets;
  }

  async #kill({ record }: Orphan): Promise<void> {
    if (!isAlive(record)) return;
    this.#options.logger.warn({ pid: record.pid }, 'killing a worker of an earlier supervisor');
    signal(record.pid);
    while (isAlive(record)) await sleep(POLL_MS);
  }
}

/** What a supervisor left behind that was killed while it took sockets over. */
function removeSocketFiles(stateDir: string): void {
  for (const name of readdirSync(stateDir)) {
    if (/^handover-\d+\.sock$/.test(name)) rmSync(path.join(stateDir, name), { force: true });
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
