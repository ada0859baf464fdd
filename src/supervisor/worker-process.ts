/**
 * One worker slot: its listening sockets, the process that serves them now, and the conversation with it.
 *
 *   starting ─ hello ─► joining ─ first commit ─► serving ─ drain ─► draining ─► ended
 *       ▲                                            │
 *       └───────────── died: started again ◄─────────┘
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Logger } from 'pino';
import { PointsmanError } from '../core/errors.js';
import type { WorkerStatus } from '../control/control-plane.js';
import type { ControlChannel } from '../control/control-socket.js';
import type { Envelope, Stats } from '../control/messages.js';
import { STATS_TIMEOUT_MS } from '../core/limits.js';
import { WORKER_LAUNCH_VARIABLE, type WorkerLaunch } from '../control/worker-launch.js';
import { spawnEntry } from './worker-entry.js';

export interface SlotOptions {
  readonly launch: WorkerLaunch;
  /** Descriptors that the process inherits, in the order of the launch. */
  readonly listenDescriptors: readonly number[];
  readonly logger: Logger;
  /** The process is gone and was not told to end. */
  readonly onDeath: () => void;
}

/** What a worker answers to a prepare or commit. */
type Step = 'prepared' | 'committed';

interface Awaited {
  readonly step: Step;
  readonly revision: number;
  readonly settle: (error: string | null) => void;
}

export class WorkerSlot {
  readonly #options: SlotOptions;
  #process: ChildProcess | null = null;
  #channel: ControlChannel | null = null;
  #state: WorkerStatus['state'] = 'STARTING';
  #revision = 0;
  #awaited: Awaited | null = null;
  #statsRequestId = 0;
  readonly #statsWaiting = new Map<number, (stats: Stats | null) => void>();
  #onEnded: (() => void) | null = null;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get state(): WorkerStatus['state'] {
    return this.#state;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Starts the process; it says hello on the control socket by itself. */
  spawn(): void {
    const { launch, listenDescriptors, logger } = this.#options;
    this.#state = 'STARTING';
    const child = spawn(process.execPath, spawnEntry(), {
      stdio: ['ignore', 'inherit', 'inherit', ...listenDescriptors],
      env: { ...process.env, [WORKER_LAUNCH_VARIABLE]: JSON.stringify(launch) },
    });
    this.#process = child;
    child.once('error', (error) => {
      logger.error({ slot: launch.slot, error: error.message }, 'worker cannot be started');
    });
    child.once('exit', (code, signal) => {
      if (this.#process !== child) return;
      this.#ended(code, signal);
    });
  }

  /** The process connected: `channel` is its side of the control socket from now on. */
  join(channel: ControlChannel): void {
    this.#channel = channel;
  }

  send(envelope: Envelope): void {
    this.#channel?.send(envelope);
  }

  /** @throws PointsmanError TEMPORARILY_UNAVAILABLE after `timeoutMs`, INTERNAL_ERROR when the worker refuses. */
  request(step: Step, revision: number, envelope: Envelope, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#awaited?.settle('');
      }, timeoutMs);
      this.#awaited = {
        step,
        revision,
        settle: (error) => {
          clearTimeout(timer);
          this.#awaited = null;
          if (error === null) resolve();
          else reject(this.#stepError(step, revision, error));
        },
      };
      this.send(envelope);
    });
  }

  onEnvelope(envelope: Envelope): void {
    const awaited = this.#awaited;
    if (envelope.prepared !== undefined && awaited?.step === 'prepared') {
      const { revision, error } = envelope.prepared;
      if (revision === awaited.revision) awaited.settle(error === '' ? null : error);
    }
    if (envelope.committed !== undefined) {
      this.#revision = envelope.committed.revision;
      if (this.#state === 'STARTING') this.#state = 'SERVING';
      if (awaited?.step === 'committed' && this.#revision === awaited.revision)
        awaited.settle(null);
    }
    if (envelope.stats !== undefined) {
      this.#statsWaiting.get(envelope.stats.requestId)?.(envelope.stats);
    }
  }

  /** Null when the worker does not answer in time. */
  stats(): Promise<Stats | null> {
    if (this.#channel === null || this.#state === 'DEAD') return Promise.resolve(null);
    this.#statsRequestId += 1;
    const requestId = this.#statsRequestId;
    return new Promise((resolve) => {
      const finish = (stats: Stats | null): void => {
        clearTimeout(timer);
        this.#statsWaiting.delete(requestId);
        resolve(stats);
      };
      const timer = setTimeout(() => {
        finish(null);
      }, STATS_TIMEOUT_MS);
      this.#statsWaiting.set(requestId, finish);
      this.send({ statsRequest: { requestId } });
    });
  }

  /** Resolves when the process has ended; it is killed when it outlives both times and a second. */
  drain(delayMs: number, timeoutMs: number): Promise<void> {
    const child = this.#process;
    if (child === null) return Promise.resolve();
    this.#state = 'DRAINING';
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), delayMs + timeoutMs + 1_000);
      this.#onEnded = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#channel === null) child.kill('SIGKILL');
      else this.send({ drain: { delayMs, timeoutMs } });
    });
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    const { launch, logger, onDeath } = this.#options;
    const wanted = this.#state === 'DRAINING';
    this.#process = null;
    this.#channel?.close();
    this.#channel = null;
    this.#state = 'DEAD';
    this.#awaited?.settle('the worker died');
    for (const finish of [...this.#statsWaiting.values()]) finish(null);
    this.#onEnded?.();
    if (wanted) return;
    logger.error({ slot: launch.slot, code, signal }, 'worker died');
    onDeath();
  }

  #stepError(step: Step, revision: number, error: string): PointsmanError {
    const what = `Revision ${String(revision)} was not ${step} by worker ${String(this.#options.launch.slot)}`;
    return error === ''
      ? new PointsmanError('TEMPORARILY_UNAVAILABLE', `${what} in time; nothing has changed`)
      : new PointsmanError('INTERNAL_ERROR', `${what}: ${error}`);
  }
}
