/**
 * The processes behind the data port: opens the sockets, starts workers, speaks with them, carries revisions to
 * them in two phases. To the control plane it is the DataPlane.
 *
 *   publish: prepare on every worker -> all prepared -> commit on every worker -> all committed
 *
 * One publish or one joining worker at a time (`#exclusive`), so a worker that is born during a publish gets the
 * revision that the publish ends with.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from 'pino';
import type { TokenCredential } from '../auth/credentials.js';
import type { Config } from '../config/config.js';
import type { ListenAddress } from '../config/listen-address.js';
import { invalidField, messageOf, PointsmanError } from '../core/errors.js';
import { PREPARE_TIMEOUT_MS } from '../core/limits.js';
import type { WorkerStatus } from '../control/control-plane.js';
import { ControlChannel, controlSocketPath } from '../control/control-socket.js';
import type { DataPlane } from '../control/data-plane.js';
import type { DeploymentAddresses, Envelope, Setup, Snapshot, Stats } from '../control/messages.js';
import { READ_BUFFER_BYTES } from '../native/addon.js';
import type { Addon, Engine } from '../native/contract.js';
import { openListeners, type Listeners } from './listeners.js';
import { WorkerSlot } from './worker-process.js';

export interface SupervisorOptions {
  readonly config: Config;
  readonly addon: Addon;
  readonly credentials: readonly TokenCredential[];
  readonly logger: Logger;
  readonly logReadable: boolean;
}

/** More workers are accepted by the setting when shared memory carries their counters. */
const SLOTS = 1;
/** Wait before a dead worker's slot is started again. */
const RESPAWN_DELAY_MS = 200;

export class Supervisor implements DataPlane {
  readonly #options: SupervisorOptions;
  /** Builds every revision once before it is stored; carries no traffic. */
  readonly #trialEngine: Engine;
  readonly #server: Server;
  readonly #slots: WorkerSlot[] = [];
  #listeners: Listeners = { addresses: [], descriptorsBySlot: [] };
  #active: Snapshot | null = null;
  /** As last told; what a worker that joins later must know. */
  readonly #addresses = new Map<string, DeploymentAddresses>();
  #queue: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#trialEngine = new options.addon.Engine(
      () => undefined,
      new Uint8Array(READ_BUFFER_BYTES),
      new Float64Array(2),
    );
    this.#server = createServer((socket) => {
      this.#onConnection(socket);
    });
  }

  /** Where the data port listens, ports filled in. */
  get addresses(): readonly ListenAddress[] {
    return this.#listeners.addresses;
  }

  /** Opens the sockets of the data port and the control socket. No connection is accepted yet. */
  async open(): Promise<void> {
    const { config, addon } = this.#options;
    this.#listeners = await openListeners(addon, config.data_plane.listen, SLOTS);
    const socketPath = controlSocketPath(config.state_dir);
    // A daemon that was killed leaves the file behind; the lock of the directory says that it is gone.
    rmSync(path.join(config.state_dir, path.basename(socketPath)), { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
  }

  /** Starts the workers; resolves when every one serves the active revision. */
  async startWorkers(): Promise<void> {
    const { config, logger, logReadable } = this.#options;
    for (const [slot, listenDescriptors] of this.#listeners.descriptorsBySlot.entries()) {
      const worker: WorkerSlot = new WorkerSlot({
        launch: {
          slot,
          stateDir: config.state_dir,
          listeners: listenDescriptors.length,
          logLevel: config.log.level,
          logReadable,
        },
        listenDescriptors,
        logger,
        onDeath: () => {
          this.#respawn(worker);
        },
      });
      this.#slots.push(worker);
      worker.spawn();
    }
    const deadline = Date.now() + PREPARE_TIMEOUT_MS;
    while (this.#slots.some((worker) => worker.state !== 'SERVING')) {
      if (Date.now() > deadline) throw new Error('the workers did not start; see the lines above');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Lets requests in flight finish, ends the workers, closes all sockets. */
  async stop(delayMs: number, timeoutMs: number): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#slots.map((worker) => worker.drain(delayMs, timeoutMs)));
    for (const descriptor of this.#listeners.descriptorsBySlot.flat()) {
      this.#options.addon.closeDescriptor(descriptor);
    }
    this.#trialEngine.close();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  trialBuild(snapshot: Snapshot): void {
    try {
      this.#trialEngine.prepare(snapshot);
    } catch (error) {
      throw new PointsmanError('INVALID_PARAMETER_VALUE', messageOf(error), { cause: error });
    } finally {
      this.#trialEngine.discard();
    }
  }

  publish(snapshot: Snapshot): Promise<void> {
    return this.#exclusive(async () => {
      const workers = this.#slots.filter((worker) => worker.state === 'SERVING');
      await Promise.all(workers.map((worker) => prepare(worker, snapshot)));
      await Promise.all(workers.map((worker) => commit(worker, snapshot.revision)));
      this.#active = snapshot;
      this.#addresses.clear();
      for (const update of snapshot.addresses) this.#addresses.set(update.deployment, update);
    });
  }

  updateAddresses(update: DeploymentAddresses): void {
    // After a publish under way, which brings addresses of its own.
    void this.#exclusive(() => {
      this.#addresses.set(update.deployment, update);
      for (const worker of this.#slots) worker.send({ addresses: update });
    });
  }

  async stats(): Promise<Stats[]> {
    const answers = await Promise.all(this.#slots.map((worker) => worker.stats()));
    return answers.filter((stats) => stats !== null);
  }

  async workers(): Promise<WorkerStatus[]> {
    return Promise.all(
      this.#slots.map(async (worker, slot) => {
        const stats = await worker.stats();
        return {
          slot,
          pid: worker.pid,
          state: worker.state,
          revision: worker.revision,
          connections: stats?.connectionsOpen ?? 0,
          in_flight: stats?.requestsInFlight ?? 0,
        };
      }),
    );
  }

  #onConnection(socket: Socket): void {
    let worker: WorkerSlot | null = null;
    const channel = new ControlChannel(
      socket,
      (envelope: Envelope) => {
        if (envelope.hello === undefined) {
          worker?.onEnvelope(envelope);
          return;
        }
        worker = this.#slots[envelope.hello.slot] ?? null;
        if (worker === null || worker.pid !== envelope.hello.pid) channel.close();
        else this.#admit(worker, channel);
      },
      () => undefined,
    );
  }

  #admit(worker: WorkerSlot, channel: ControlChannel): void {
    const { logger } = this.#options;
    worker.join(channel);
    worker.send({ setup: this.#setup() });
    this.#exclusive(async () => {
      if (this.#active === null) throw new Error('no revision is active');
      const snapshot = { ...this.#active, addresses: [...this.#addresses.values()] };
      await prepare(worker, snapshot);
      await commit(worker, snapshot.revision);
    }).catch((error: unknown) => {
      logger.error({ pid: worker.pid, error: messageOf(error) }, 'worker cannot join');
    });
  }

  #setup(): Setup {
    const { config, credentials } = this.#options;
    return {
      workspaceId: config.workspace_id,
      authRequired: config.auth.mode === 'required',
      credentials: [...credentials],
      maxRequestBytes: config.data_plane.max_request_bytes,
      maxHeaderBytes: config.data_plane.max_header_bytes,
      maxConnections: config.data_plane.max_connections,
    };
  }

  #respawn(worker: WorkerSlot): void {
    if (this.#stopping) return;
    setTimeout(() => {
      if (!this.#stopping) worker.spawn();
    }, RESPAWN_DELAY_MS);
  }

  #exclusive<T>(task: () => T | Promise<T>): Promise<T> {
    const done = this.#queue.then(task);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

function prepare(worker: WorkerSlot, snapshot: Snapshot): Promise<void> {
  const { revision } = snapshot;
  return worker.request('prepared', revision, { prepare: { snapshot } }, PREPARE_TIMEOUT_MS);
}

function commit(worker: WorkerSlot, revision: number): Promise<void> {
  return worker.request('committed', revision, { commit: { revision } }, PREPARE_TIMEOUT_MS);
}

/**
 * Takes the state directory for this process; the lock ends with it.
 * @throws PointsmanError when another daemon has it.
 */
export function lockStateDir(addon: Addon, stateDir: string): number {
  const descriptor = addon.lockFile(path.join(stateDir, 'lock'));
  if (descriptor >= 0) return descriptor;
  throw invalidField(
    'state_dir',
    `${stateDir} is in use by another pointsman; stop it or choose another`,
  );
}
