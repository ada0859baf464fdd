/**
 * The processes behind the data port: opens the sockets, starts workers, speaks with them, carries revisions to
 * them. To the control plane it is the DataPlane.
 *
 *   publish: prepare on every worker -> all prepared -> one store to the shared memory -> workers clean up
 *
 * One publish or one birth at a time (`#exclusive`), so a worker that is born during a publish gets the revision
 * that the publish ends with. The second publish waits until no worker of an earlier supervisor starts requests.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ListenAddress } from '../config/listen-address.js';
import { messageOf } from '../core/errors.js';
import { giveWay } from '../core/give-way.js';
import { PREPARE_TIMEOUT_MS } from '../core/limits.js';
import type { WorkerStatus } from '../control/control-plane.js';
import { ControlChannel } from '../control/control-socket.js';
import type { Counters, DataPlane } from '../control/data-plane.js';
import { deltaOf } from '../control/delta.js';
import {
  encodeFrame,
  envelopeIn,
  type AccessContent,
  type DeploymentAddresses,
  type Envelope,
  type Hello,
  type Snapshot,
} from '../control/messages.js';
import type { RefusalStats } from '../control/stats.js';
import type { Addon } from '../native/contract.js';
import type { SharedBlock } from '../native/shared-block.js';
import { AccessChannel, type AccessSource } from './access-channel.js';
import { Columns } from './columns.js';
import { ControlServer } from './control-server.js';
import { workerCount } from './cores.js';
import {
  answerNoConnects,
  checkListenable,
  openListeners,
  withoutSlots,
  type Listeners,
} from './listeners.js';
import { Orphans } from './orphans.js';
import { checkPrepared, FrameCache, prepareOn } from './prepare.js';
import { TrialEngine } from './trial.js';
import { Steering } from './steering.js';
import { spawnEntry } from './worker-entry.js';
import { removeWorkerFile, writeWorkerFile } from './worker-file.js';
import { WorkerSlot } from './worker-process.js';
import { MODE_NAMES, modeOf, setupOf, type SetupOptions } from './worker-setup.js';

export interface SupervisorOptions extends SetupOptions {
  readonly addon: Addon;
  readonly logger: Logger;
  readonly logReadable: boolean;
}

/** How often heartbeats are looked at. */
const OBSERVE_INTERVAL_MS = 250;
/** How long a start waits for workers, unless their slots fail before. */
const START_TIMEOUT_MS = 30_000;
/** At a stop, for handshakes with clients that are far. */
const HANDSHAKE_MS = 100;
/**
 * Every thread of the supervisor runs with less priority than the workers, so that one that wakes up while a change is
 * being made runs at once instead of after a millisecond or two (native/binding/scheduling.h). On a core that workers
 * keep busy it is left a tenth against one: a change of 1 to 3 ms takes some 20 then.
 */
const NICE_ADDED = 10;
const TIME_SLICE_US = 20_000;

export class Supervisor implements DataPlane {
  readonly #options: SupervisorOptions;
  readonly #block: SharedBlock;
  readonly #memoryDescriptors: readonly [number, number];
  /** By slot. */
  readonly #wakeDescriptors: readonly number[];
  readonly #access: AccessChannel;
  readonly #columns: Columns;
  readonly #trial: TrialEngine;
  readonly #server: ControlServer;
  readonly #orphans: Orphans;
  readonly #slots: WorkerSlot[] = [];
  #isUnrecorded = false;
  #listeners: Listeners = { addresses: [], socketsBySlot: [], ordered: [] };
  #steering: Steering | null = null;
  #active: Snapshot | null = null;
  #frames: FrameCache | null = null;
  /** As last told; what a worker that joins later must know. */
  readonly #addresses = new Map<string, DeploymentAddresses>();
  #queue: Promise<unknown> = Promise.resolve();
  #observer: NodeJS.Timeout | null = null;
  /** A worker serves, and none of an earlier supervisor starts requests. */
  #alone: Promise<void> = Promise.resolve();
  #stopping = false;

  /** Call with the state directory locked. */
  constructor(options: SupervisorOptions) {
    const { addon, config, logger } = options;
    this.#options = options;
    addon.openNursery();
    if (!addon.yieldToWorkers(TIME_SLICE_US, NICE_ADDED)) {
      logger.info('the priority stays as it is: changes may delay requests on the same core');
    }
    const memory = addon.createSharedBlock(workerCount(config.data_plane.workers));
    this.#block = memory.block;
    this.#memoryDescriptors = [memory.controlDescriptor, memory.columnsDescriptor];
    this.#wakeDescriptors = Array.from({ length: memory.block.workers }, () =>
      addon.createWakeDescriptor(),
    );
    this.#access = new AccessChannel(memory.block);
    this.#columns = new Columns(memory.block);
    this.#trial = new TrialEngine(addon);
    this.#orphans = new Orphans({
      addon,
      stateDir: config.state_dir,
      drainTimeoutMs: config.data_plane.drain_timeout_ms,
      logger,
    });
    this.#server = new ControlServer((socket) => {
      this.#onConnection(socket);
    });
  }

  /** Where the data port listens, ports filled in. */
  get addresses(): readonly ListenAddress[] {
    return this.#listeners.addresses;
  }

  get counters(): Counters {
    return this.#columns;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /**
   * Opens the sockets of the data port, those of orphans first, and starts the worker processes. They accept once
   * a revision is published.
   */
  async open(): Promise<void> {
    const { config, addon } = this.#options;
    await this.#server.open(config.state_dir);
    await checkListenable(addon, config.data_plane.listen, this.#orphans.addresses());
    const received = await this.#orphans.takeSockets();
    const { workers } = this.#block;
    this.#listeners = await openListeners(addon, config.data_plane.listen, workers, received);
    this.#steering = new Steering(addon, this.#listeners);
    this.#spawnWorkers();
  }

  /**
   * Resolves when workers serve the active revision, all but those that cannot, and none of an earlier supervisor
   * starts requests: these learn of no change any more. Call after the first publish.
   * @throws Error when no worker serves in time; those of the earlier supervisor serve on.
   */
  async serving(): Promise<void> {
    await this.#alone;
    const deadline = performance.now() + START_TIMEOUT_MS;
    const missing = (): WorkerSlot[] => this.#slots.filter(({ state }) => state !== 'SERVING');
    while (missing().some(({ fails }) => !fails) && performance.now() < deadline) await sleep(5);
    const slots = missing().map(({ slot }) => slot);
    if (slots.length > 0) this.#options.logger.error({ slots }, 'serving without these workers');
    this.#steering?.begin();
    this.#steer();
  }

  /** Lets requests in flight finish, ends the workers, closes all sockets. */
  async stop(delayMs: number, timeoutMs: number): Promise<void> {
    const { addon } = this.#options;
    this.#stopping = true;
    // Nobody joins the queues from the end of the delay on, so that workers can empty them before they close; who comes
    // behind that is refused instead of left waiting.
    const closing = sleep(delayMs).then(async () => {
      answerNoConnects(addon, this.#listeners);
      await sleep(HANDSHAKE_MS);
      this.#closeListeners(this.#listeners.socketsBySlot.keys());
    });
    // No process comes after one that has died, so who connects must not wait for it.
    const idle = this.#slots.filter(({ state }) => state !== 'SERVING');
    this.#closeListeners(idle.map(({ slot }) => slot));
    await Promise.all(this.#slots.map((one) => one.drain(delayMs + HANDSHAKE_MS, timeoutMs)));
    await Promise.all([closing, this.#orphans.ended()]);
    if (this.#observer !== null) clearInterval(this.#observer);
    await this.#server.close();
    removeWorkerFile(this.#options.config.state_dir);
  }

  /** The last call: gives the shared memory up, which counters are read from until then. */
  close(): void {
    this.#trial.close();
    this.#block.close();
  }

  /**
   * Ends all workers at once, without waiting: for a start that failed and an end that is forced. Orphans keep
   * the time that they were given.
   */
  abort(): void {
    this.#stopping = true;
    for (const worker of this.#slots) {
      void worker.drain(0, 0);
      worker.kill();
    }
  }

  trialBuild(snapshot: Snapshot): void {
    const frames = this.#framesOf(snapshot);
    this.#trial.build(snapshot, () => envelopeIn(frames.forBase(this.#active?.revision ?? 0)));
  }

  async publish(snapshot: Snapshot, whenPrepared: () => void = () => undefined): Promise<void> {
    // Until then the orphans serve what the first revision serves.
    await this.#alone;
    await this.#exclusive(async () => {
      const { revision } = snapshot;
      this.trialBuild(snapshot);
      giveWay();
      const frames = this.#framesOf(snapshot);
      const isFirst = this.#active === null;
      if (!isFirst) await this.#someoneThere();
      // The first revision is prepared by fresh workers too, so that one they cannot build does not stay.
      const patienceMs = isFirst ? START_TIMEOUT_MS : 0;
      const outcomes = await Promise.all(
        this.#slots.map((worker) => prepareOn(worker, revision, frames, patienceMs)),
      );
      giveWay();
      try {
        checkPrepared(outcomes, revision);
        whenPrepared();
      } catch (error) {
        for (const worker of this.#slots) worker.send({ discard: { revision } });
        this.#trial.discard();
        throw error;
      }
      // Who has seen the newer of two must not see the older; meanwhile connections wait in the sockets.
      if (isFirst) await this.#handOver(revision);
      this.#block.setActiveRevision(revision);
      this.#active = snapshot;
      this.#frames = null;
      this.#addresses.clear();
      for (const update of snapshot.addresses) this.#addresses.set(update.deployment, update);
      for (const worker of this.#slots) worker.commit(revision);
      this.#trial.follow();
      if (!isFirst) return;
      this.#alone = this.#relieveOrphans();
      // It is waited for later.
      this.#alone.catch(() => undefined);
    });
  }

  updateAddresses(update: DeploymentAddresses): void {
    // After a publish under way, which brings addresses of its own.
    void this.#exclusive(() => {
      this.#addresses.set(update.deployment, update);
      const frame = encodeFrame({ addresses: update });
      for (const worker of this.#slots) worker.sendFrame(frame);
    });
  }

  /** Call before the first publish: workers judge nobody before they know of it. */
  useAccess(source: AccessSource): void {
    this.#access.use(source);
    for (const worker of this.#slots) this.#greet(worker);
  }

  /** Who may call has changed. Effective in every worker when this returns. */
  changeAccess(change: AccessContent, takesAway: boolean): void {
    this.#access.change(change, takesAway, (frame) => {
      for (const worker of this.#slots) worker.sendFrame(frame);
    });
  }

  /** Spares the workers the verification of a token that was made here. */
  announceToken(token: string, verifiedJson: string): void {
    const frame = encodeFrame({ issuedToken: { token, verifiedJson } });
    for (const worker of this.#slots) worker.sendFrame(frame);
  }

  refusals(): RefusalStats[] {
    return this.#columns.refusals();
  }

  connectionsRefused(): number {
    return this.#columns.connectionsRefused();
  }

  workers(): WorkerStatus[] {
    return this.#slots.map((worker) => {
      const gauges = this.#columns.worker(worker.slot);
      return {
        slot: worker.slot,
        pid: worker.pid,
        state: worker.state,
        mode: MODE_NAMES[modeOf(this.#options.config, worker.degraded)],
        revision: gauges.revision,
        heartbeat_age_ms: worker.heartbeatAgeMs,
        revisions_held: gauges.revisionsHeld,
        connections: gauges.connectionsOpen,
        connections_refused: gauges.connectionsRefused,
        in_flight: gauges.requestsInFlight,
        restarts: worker.restarts,
        degraded: worker.degraded,
      };
    });
  }

  /** One and the same from the trial of a snapshot to its publish: the difference is found once. */
  #framesOf(snapshot: Snapshot): FrameCache {
    if (this.#frames?.next !== snapshot || this.#frames.base !== this.#active) {
      this.#frames = new FrameCache(this.#active, snapshot);
    }
    return this.#frames;
  }

  /** All may have died just now; the next processes come in less than a second as a rule. Gives up without an error. */
  async #someoneThere(): Promise<void> {
    if (this.#slots.some(({ connected }) => connected)) return;
    await Promise.race(this.#slots.map((worker) => worker.joined(PREPARE_TIMEOUT_MS)));
  }

  /**
   * Ends the orphans as soon as a worker of this supervisor accepts; resolves when they start nothing more.
   * @throws Error when none comes to accept; the orphans serve on.
   */
  async #relieveOrphans(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!this.#slots.some(({ state }) => state === 'SERVING')) {
      const isHopeless = this.#slots.every(({ fails }) => fails) || performance.now() > deadline;
      if (this.#stopping || isHopeless) throw new Error('no worker serves; see the lines above');
      await sleep(5);
    }
    await this.#handOver(null);
    void this.#orphans.ended();
  }

  /** `except`: those that serve this revision go on. */
  async #handOver(except: number | null): Promise<void> {
    const quiet = this.#orphans.handOver(except);
    // A supervisor after this one must not ask them for sockets that they let go of.
    this.#recordWorkers();
    await quiet;
  }

  #spawnWorkers(): void {
    const { config, logger, logReadable } = this.#options;
    for (const [slot, sockets] of this.#listeners.socketsBySlot.entries()) {
      const worker: WorkerSlot = new WorkerSlot({
        addon: this.#options.addon,
        entry: spawnEntry(),
        launch: {
          slot,
          stateDir: config.state_dir,
          logLevel: config.log.level,
          logReadable,
        },
        memoryDescriptors: this.#memoryDescriptors,
        wakeDescriptors: this.#wakeDescriptors,
        sockets,
        logger,
        onSpawn: () => {
          this.#recordWorkers();
        },
        onConnected: () => {
          void this.#exclusive(() => this.#birth(worker));
        },
        onServing: () => {
          this.#steer();
        },
        onExit: () => {
          this.#retire(slot);
          if (this.#stopping) this.#closeListeners([slot]);
          this.#steer();
        },
      });
      this.#slots.push(worker);
    }
    for (const worker of this.#slots) worker.spawn();
    let observedAt = performance.now();
    this.#observer = setInterval(() => {
      const now = performance.now();
      const elapsedMs = Math.min(now - observedAt, 2 * OBSERVE_INTERVAL_MS);
      observedAt = now;
      if (this.#isUnrecorded) this.#recordWorkers();
      for (const worker of this.#slots) {
        worker.observe(this.#columns.worker(worker.slot).heartbeat, elapsedMs);
      }
    }, OBSERVE_INTERVAL_MS);
  }

  /** One that drains accepts until its delay is over. */
  #steer(): void {
    const accepts = ({ state }: WorkerSlot): boolean => state === 'SERVING' || state === 'DRAINING';
    this.#steering?.follow(this.#slots.map(accepts));
  }

  /** Requests of other workers may wait for places that the dead one held. */
  #retire(slot: number): void {
    this.#block.retire(slot);
    for (const descriptor of this.#wakeDescriptors) this.#options.addon.wake(descriptor);
  }

  /** Orphans that finish stay in the file, so that a supervisor after this one knows them too. */
  #recordWorkers(): void {
    const { config, logger } = this.#options;
    const records = this.#slots.map(({ record }) => record).filter((record) => record !== null);
    try {
      writeWorkerFile(config.state_dir, [...records, ...this.#orphans.records()]);
      this.#isUnrecorded = false;
    } catch (error) {
      // A full disk is no reason to stop serving. It is tried again until it succeeds.
      const problem = messageOf(error);
      if (!this.#isUnrecorded) logger.error({ problem }, 'the list of workers is not written');
      this.#isUnrecorded = true;
    }
  }

  #onConnection(socket: Socket): void {
    let receive: ((envelope: Envelope) => void) | null = null;
    let worker: WorkerSlot | null = null;
    const channel: ControlChannel = new ControlChannel(
      socket,
      (envelope) => {
        if (envelope.hello === undefined) {
          receive?.(envelope);
          if (worker !== null)
            this.#access.onEnvelope(envelope, (answer) => {
              channel.send(answer);
            });
          return;
        }
        worker = this.#ownWorker(envelope.hello);
        receive = worker?.onEnvelope.bind(worker) ?? this.#orphans.greet(envelope.hello, channel);
        if (worker !== null) this.#admit(worker, channel);
        else if (receive === null) this.#dismiss(envelope.hello, channel);
      },
      (problem) => {
        const { logger } = this.#options;
        if (problem !== null) logger.error({ pid: worker?.pid, problem }, 'a worker is cut off');
        worker?.left(channel);
      },
    );
  }

  #ownWorker(hello: Hello): WorkerSlot | null {
    if (hello.blockId !== this.#block.id) return null;
    const worker = this.#slots[hello.slot];
    return worker?.pid === hello.pid ? worker : null;
  }

  /** A process that no record knows holds nothing that is wanted, and must not serve an old revision. */
  #dismiss({ pid }: Hello, channel: ControlChannel): void {
    this.#options.logger.warn({ pid }, 'an unknown worker connected; it is told to end');
    channel.send({ drain: { delayMs: 0, timeoutMs: 0 } });
  }

  #admit(worker: WorkerSlot, channel: ControlChannel): void {
    worker.join(channel);
    worker.send({ setup: setupOf(this.#options, worker.degraded) });
    this.#greet(worker);
  }

  #greet(worker: WorkerSlot): void {
    this.#access.greet((envelope) => {
      worker.send(envelope);
    });
  }

  /** Brings a worker that has no revision to the active one; it accepts then. */
  async #birth(worker: WorkerSlot): Promise<void> {
    const { logger } = this.#options;
    // A publish that was queued before has taken care of it, or it is gone again, or the first one will come.
    if (this.#active === null || worker.base > 0 || !worker.connected) return;
    const { revision } = this.#active;
    const snapshot = { ...this.#active, addresses: [...this.#addresses.values()] };
    const frame = encodeFrame({ prepare: { delta: deltaOf(null, snapshot) } });
    const outcome = await worker.prepare(revision, frame, PREPARE_TIMEOUT_MS);
    if (outcome.kind === 'ready') {
      worker.commit(revision);
    } else if (outcome.kind !== 'gone') {
      logger.error({ slot: worker.slot, pid: worker.pid, outcome }, 'worker cannot join');
      // It serves nothing yet; the next one is tried with a growing delay.
      worker.kill();
    }
  }

  /** Nobody will serve these slots again. Descriptors that it was steered by may be gone with them. */
  #closeListeners(slots: Iterable<number>): void {
    this.#steering = null;
    this.#listeners = withoutSlots(this.#options.addon, this.#listeners, slots);
  }

  #exclusive<T>(task: () => T | Promise<T>): Promise<T> {
    const done = this.#queue.then(task);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}
