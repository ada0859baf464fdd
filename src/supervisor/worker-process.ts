/**
 * One worker slot: its listening sockets, the process that serves them now, and the conversation with it.
 *
 *   starting ─ hello, setup, setupDone ─► connected ─ prepared, first commit ─► serving ─ drain ─► draining ─► ended
 *       ▲                                                              │
 *       └──────────────────────── died: started again ◄────────────────┘
 *
 * Messages go through one stream socket and are answered in order, so the n-th `prepared` answers the n-th
 * `prepare`: an answer that comes after its time can never be taken for that of a later one.
 */
import type { Logger } from 'pino';
import type { WorkerStatus } from '../control/control-plane.js';
import type { ControlChannel } from '../control/control-socket.js';
import type { Envelope } from '../control/messages.js';
import { WORKER_LAUNCH_VARIABLE, type WorkerLaunch } from '../control/worker-launch.js';
import { messageOf } from '../core/errors.js';
import type { Addon } from '../native/contract.js';
import { Child } from './child.js';
import type { BoundSocket } from './listeners.js';
import { RespawnPolicy } from './respawn.js';
import { startTimeOf, type WorkerRecord } from './worker-file.js';

/** A worker whose heartbeat stands still for this long is killed. */
export const HEARTBEAT_TIMEOUT_MS = 10_000;
/** Before its first beat it loads its code, on a machine that may be overloaded. */
const START_TIMEOUT_MS = 30_000;
/** So many processes in a row that end before they are set up are no accident. */
const STARTS_UNTIL_HOPELESS = 3;
/** Beyond the drain time, before a worker is killed. */
const DRAIN_GRACE_MS = 1_000;

export interface SlotOptions {
  readonly addon: Pick<Addon, 'spawnProcess'>;
  /** Arguments of node that start a worker. */
  readonly entry: readonly string[];
  /** Without what the slot decides itself. */
  readonly launch: Omit<WorkerLaunch, 'listeners' | 'wakes'>;
  /** Descriptors of the shared memory, inherited before the sockets. */
  readonly memoryDescriptors: readonly [controlPage: number, columns: number];
  /** Of all slots, by which workers wake each other; inherited behind the memory. */
  readonly wakeDescriptors: readonly number[];
  readonly sockets: readonly BoundSocket[];
  readonly logger: Logger;
  /** The process has started or is gone, its exit confirmed. */
  readonly onSpawn: () => void;
  /** It can prepare revisions. */
  readonly onConnected: () => void;
  /** It accepts connections. */
  readonly onServing: () => void;
  readonly onExit: () => void;
}

/** What became of a prepare. */
export type PrepareOutcome =
  | { readonly kind: 'ready' }
  /** There was no process that serves: whoever comes next gets what is active then. */
  | { readonly kind: 'gone' }
  /** The process has exited before it answered, perhaps because of what it was to prepare. */
  | { readonly kind: 'died' }
  /** The same, by SIGKILL: that says more of the machine than of what it was to prepare. */
  | { readonly kind: 'killed' }
  | { readonly kind: 'late' }
  | { readonly kind: 'refused'; readonly error: string };

interface AwaitedAnswer {
  readonly revision: number;
  /** Calls after the first do nothing. */
  readonly settle: (outcome: PrepareOutcome) => void;
}

export class WorkerSlot {
  readonly #options: SlotOptions;
  readonly #policy = new RespawnPolicy();
  #process: Child | null = null;
  #startTime: number | null = null;
  #spawnedAt = 0;
  #channel: ControlChannel | null = null;
  #isSetUp = false;
  /** Since a process was set up last. */
  #starts = 0;
  #state: WorkerStatus['state'] = 'STARTING';
  #base = 0;
  #prepared = 0;
  #awaited: AwaitedAnswer[] = [];
  #restarts = 0;
  #heartbeat = 0;
  #stillMs = 0;
  #stopping = false;
  #respawnTimer: NodeJS.Timeout | null = null;
  readonly #onEnded: (() => void)[] = [];
  readonly #onJoined: ((joined: boolean) => void)[] = [];

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get slot(): number {
    return this.#options.launch.slot;
  }

  get state(): WorkerStatus['state'] {
    return this.#state;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** It can prepare revisions. A process that dies before has died of something else. */
  get connected(): boolean {
    return this.#channel !== null && this.#isSetUp;
  }

  /** A process that can prepare is there or should come soon; else the slot ends, or none gets that far. */
  get isExpected(): boolean {
    if (this.connected || this.#stopping) return this.connected;
    return this.#process !== null || this.#starts < STARTS_UNTIL_HOPELESS;
  }

  /** The revision that it was last made to follow; 0: it has none. */
  get base(): number {
    return this.#base;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Does not serve, and its processes die again and again. */
  get fails(): boolean {
    return this.#state !== 'SERVING' && this.#policy.backsOff;
  }

  get degraded(): boolean {
    return this.#policy.degraded;
  }

  /** For how long the heartbeat has been standing still, as last looked at; null while there is no process. */
  get heartbeatAgeMs(): number | null {
    return this.#process === null ? null : Math.round(this.#stillMs);
  }

  /** Null while there is no process. */
  get record(): WorkerRecord | null {
    const { pid } = this;
    if (pid === null || this.#startTime === null) return null;
    const listeners = this.#options.sockets.map(({ address }) => address);
    return { pid, startTime: this.#startTime, listeners };
  }

  /** Starts the process; it says hello on the control socket by itself. */
  spawn(): void {
    const { addon, entry, launch, memoryDescriptors, wakeDescriptors, sockets } = this.#options;
    const { logger, onSpawn } = this.#options;
    this.#state = 'STARTING';
    this.#starts += 1;
    this.#stillMs = 0;
    this.#heartbeat = 0;
    this.#spawnedAt = performance.now();
    const worker: WorkerLaunch = {
      ...launch,
      wakes: wakeDescriptors.length,
      listeners: sockets.length,
    };
    const listening = sockets.map(({ descriptor }) => descriptor);
    const descriptors = [...memoryDescriptors, ...wakeDescriptors, ...listening];
    const variables = {
      ...environmentOfWorkers(),
      [WORKER_LAUNCH_VARIABLE]: JSON.stringify(worker),
    };
    try {
      const child = new Child(addon, { arguments: entry, environment: variables, descriptors });
      this.#process = child;
      this.#startTime = startTimeOf(child.pid);
      child.onceExited((code, signal) => {
        if (this.#process === child) this.#ended(child.pid, code, signal);
      });
    } catch (error) {
      logger.error({ slot: launch.slot, error: messageOf(error) }, 'worker cannot be started');
      // Later, as the end of a process comes: whoever called may not be ready for it.
      setImmediate(() => {
        this.#ended(null, null, null);
      });
    }
    onSpawn();
  }

  /** The process connected: `channel` is its side of the control socket from now on. */
  join(channel: ControlChannel): void {
    this.#disconnect();
    this.#channel = channel;
  }

  /** The connection is gone. A process that cannot be told of revisions must not serve. */
  left(channel: ControlChannel): void {
    if (this.#channel !== channel) return;
    this.#disconnect();
    if (this.#state !== 'DRAINING') this.kill();
  }

  /**
   * Resolves with true once there is a process that can prepare, with false after `timeoutMs`: the last one may have
   * died, and more may die before one comes. With false at once when none will come: a draining slot starts none.
   */
  joined(timeoutMs: number): Promise<boolean> {
    if (this.connected || this.#stopping || timeoutMs <= 0) return Promise.resolve(this.connected);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
      }, timeoutMs);
      this.#onJoined.push((joined) => {
        clearTimeout(timer);
        resolve(joined);
      });
    });
  }

  send(envelope: Envelope): void {
    this.#channel?.send(envelope);
  }

  /** An encoded envelope that needs no answer. */
  sendFrame(frame: Buffer): void {
    this.#channel?.sendFrame(frame);
  }

  /**
   * `frame`: an encoded `prepare` of the revision. Never rejects. `gone`, `died` and `killed` only when the process
   * starts no more requests: it has exited, or has not begun to serve.
   */
  prepare(revision: number, frame: Buffer, timeoutMs: number): Promise<PrepareOutcome> {
    const child = this.#process;
    if (child === null || (!this.connected && this.#state === 'STARTING')) {
      return Promise.resolve({ kind: 'gone' });
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve({ kind: 'late' });
      }, timeoutMs);
      const finish = (outcome: PrepareOutcome): void => {
        clearTimeout(timer);
        resolve(outcome);
      };
      const finishDead = (outcome: PrepareOutcome): void => {
        finish(outcome.kind === 'died' && child.wasKilled ? { kind: 'killed' } : outcome);
      };
      const settle = (outcome: PrepareOutcome): void => {
        if (outcome.kind !== 'gone' && outcome.kind !== 'died') finish(outcome);
        else if (child.hasExited) finishDead(outcome);
        else {
          child.onceExited(() => {
            finishDead(outcome);
          });
        }
      };
      if (this.#channel === null) {
        settle({ kind: 'gone' });
        return;
      }
      this.#awaited.push({ revision, settle });
      this.#channel.sendFrame(frame);
    });
  }

  /**
   * After the store: a worker that has prepared the revision follows it by itself, at its next dispatch or beat. Told
   * is only the one that waits for its first revision to accept.
   */
  commit(revision: number): void {
    if (this.#prepared !== revision) return;
    this.#base = revision;
    if (this.#state === 'STARTING') this.send({ commit: { revision } });
  }

  onEnvelope(envelope: Envelope): void {
    if (envelope.setupDone !== undefined) {
      this.#isSetUp = true;
      this.#starts = 0;
      this.#settleJoined(true);
      this.#options.onConnected();
    }
    if (envelope.prepared !== undefined) {
      const { error } = envelope.prepared;
      const awaited = this.#awaited.shift();
      if (awaited === undefined) return;
      if (error === '') this.#prepared = awaited.revision;
      awaited.settle(error === '' ? { kind: 'ready' } : { kind: 'refused', error });
    }
    if (envelope.committed === undefined || this.#state !== 'STARTING') return;
    this.#state = 'SERVING';
    this.#options.onServing();
  }

  /**
   * A look at the worker's heartbeat word. `elapsedMs`: since the last look, bounded by the caller, so that a
   * stop of the whole machine counts little.
   */
  observe(heartbeat: number, elapsedMs: number): void {
    const { logger } = this.#options;
    const started = heartbeat !== 0;
    this.#stillMs = heartbeat === this.#heartbeat ? this.#stillMs + elapsedMs : 0;
    this.#heartbeat = heartbeat;
    const limitMs = started ? HEARTBEAT_TIMEOUT_MS : START_TIMEOUT_MS;
    if (this.#process === null || this.#stillMs < limitMs) return;
    logger.error({ slot: this.slot, pid: this.pid }, 'worker does not answer; killing it');
    this.#stillMs = 0;
    this.kill();
  }

  /** Resolves when the process has ended; it is killed when it outlives both times and a second. */
  drain(delayMs: number, timeoutMs: number): Promise<void> {
    this.#stopping = true;
    if (!this.connected) this.#settleJoined(false);
    if (this.#respawnTimer !== null) clearTimeout(this.#respawnTimer);
    if (this.#process === null) return Promise.resolve();
    // One that does not accept yet has nothing to finish.
    const serves = this.#state === 'SERVING';
    this.#state = 'DRAINING';
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => {
          this.kill();
        },
        serves ? delayMs + timeoutMs + DRAIN_GRACE_MS : 0,
      );
      this.#onEnded.push(() => {
        clearTimeout(timer);
        resolve();
      });
      this.send({ drain: { delayMs, timeoutMs } });
    });
  }

  kill(): void {
    this.#process?.kill('SIGKILL');
  }

  #ended(pid: number | null, code: number | null, signal: NodeJS.Signals | null): void {
    const { logger, onExit } = this.#options;
    this.#process = null;
    this.#state = 'DEAD';
    this.#disconnect();
    onExit();
    for (const resolve of this.#onEnded.splice(0)) resolve();
    if (this.#stopping) return;
    const now = performance.now();
    const wasDegraded = this.#policy.degraded;
    const delayMs = this.#policy.died(now, now - this.#spawnedAt, signal);
    logger.error({ slot: this.slot, pid, code, signal, delayMs }, 'worker died');
    if (this.#policy.degraded && !wasDegraded) {
      logger.error({ slot: this.slot }, 'native crashes: the slot goes on without the fast path');
    }
    this.#restarts += 1;
    this.#respawnTimer = setTimeout(() => {
      this.spawn();
    }, delayMs);
  }

  #settleJoined(joined: boolean): void {
    for (const settle of this.#onJoined.splice(0)) settle(joined);
  }

  #disconnect(): void {
    const channel = this.#channel;
    this.#channel = null;
    this.#isSetUp = false;
    this.#base = 0;
    this.#prepared = 0;
    for (const awaited of this.#awaited.splice(0)) awaited.settle({ kind: 'died' });
    channel?.close();
  }
}

/** A worker relays what strangers send: it has no use for the secrets of the supervisor's variables. */
function environmentOfWorkers(): NodeJS.ProcessEnv {
  const secret = ['POINTSMAN_MASTER_KEY', 'POINTSMAN_ADMIN_TOKEN'];
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !secret.includes(name)));
}
