/**
 * A control plane over a real store and real probes, with a data plane in memory and replicas over
 * HTTP.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock, type Clock } from '../../../src/core/clock.js';
import type { ChangeOptions, JsonObject } from '../../../src/control/control-plane.js';
import {
  createControlPlane,
  type ControlPlaneOptions,
  type RunningControlPlane,
} from '../../../src/control/create-control-plane.js';
import type { Counters, DataPlane } from '../../../src/control/data-plane.js';
import type { DeploymentAddresses, Snapshot } from '../../../src/control/messages.js';
import { probeAddress } from '../../../src/control/probe.js';
import { Prober, type ProberOptions } from '../../../src/control/probes.js';
import { LATENCY_BUCKETS_MS } from '../../../src/core/limits.js';
import { Store } from '../../../src/store/store.js';

export const MIA: ChangeOptions = { principal: 'mia@example.org' };
export const REPLACE = { ...MIA, mode: 'replace', dryRun: false } as const;
export const UPSERT = { ...MIA, mode: 'upsert', dryRun: false } as const;

type EntityCounts = ReturnType<Counters['entity']>;
type AddressCounts = ReturnType<Counters['address']>;
type DeploymentCounts = ReturnType<Counters['deployment']>;

/** Counters by slot that a test fills in; a slot that is cleared counts from zero. */
export class MemoryCounters implements Counters {
  entitySlotsMax = 1_000_000;
  addressSlotsMax = 1_000_000;
  deploymentSlotsMax = 1_000_000;
  oldest = 0;
  readonly entities = new Map<number, EntityCounts>();
  readonly addresses = new Map<number, AddressCounts>();
  readonly deployments = new Map<number, DeploymentCounts>();
  readonly clearedEntities: number[] = [];
  readonly clearedAddresses: number[] = [];
  readonly clearedDeployments: number[] = [];

  entity(slot: number): EntityCounts {
    return this.entities.get(slot) ?? entityCounts(0, 0);
  }

  address(slot: number): AddressCounts {
    return this.addresses.get(slot) ?? addressCounts(0);
  }

  deployment(slot: number): DeploymentCounts {
    return (
      this.deployments.get(slot) ?? { inFlight: 0, waiting: 0, refusedFull: 0, refusedDeadline: 0 }
    );
  }

  oldestRevision(): number {
    return this.oldest;
  }

  clearEntity(slot: number): void {
    this.clearedEntities.push(slot);
    this.entities.delete(slot);
  }

  clearAddress(slot: number): void {
    this.clearedAddresses.push(slot);
    this.addresses.delete(slot);
  }

  clearDeployment(slot: number): void {
    this.clearedDeployments.push(slot);
    this.deployments.delete(slot);
  }
}

/** Answers of less than a millisecond. */
export function entityCounts(ok: number, failed: number): EntityCounts {
  const latencyBuckets = new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0);
  latencyBuckets[0] = ok + failed;
  return {
    nativeClasses: [],
    statusClasses: [0, ok, 0, 0, failed],
    latencyBuckets,
    latencySumMs: 1,
    inFlight: 0,
  };
}

export function addressCounts(requests: number): AddressCounts {
  return {
    inFlight: 0,
    idleConnections: 0,
    connects: 0,
    connectFailures: 0,
    requests,
    retries: 0,
    failures: 0,
    ejections: 0,
    ejectedWorkers: 0,
    ejectedForMs: 0,
  };
}

export class MemoryDataPlane implements DataPlane {
  readonly counters = new MemoryCounters();
  readonly published: Snapshot[] = [];
  readonly updates: DeploymentAddresses[] = [];
  trials = 0;
  failTrial: Error | null = null;
  /** Decides per snapshot, after `failTrial`. */
  refuse: (snapshot: Snapshot) => Error | null = () => null;
  failPublish: Error | null = null;
  /** Called inside publish, before it resolves. */
  duringPublish: (snapshot: Snapshot) => Promise<void> = () => Promise.resolve();

  trialBuild(snapshot: Snapshot): void {
    this.trials += 1;
    const failure = this.failTrial ?? this.refuse(snapshot);
    if (failure !== null) throw failure;
  }

  async publish(snapshot: Snapshot, whenPrepared: () => void = () => undefined): Promise<void> {
    await this.duringPublish(snapshot);
    if (this.failPublish !== null) throw this.failPublish;
    whenPrepared();
    this.published.push(snapshot);
  }

  updateAddresses(update: DeploymentAddresses): void {
    this.updates.push(update);
  }

  get last(): Snapshot {
    const last = this.published.at(-1);
    if (last === undefined) throw new Error('nothing was published');
    return last;
  }
}

/** Time that moves only by `advance`. */
export class ManualClock implements Clock {
  #nowMs = 1_788_718_020_000;
  readonly #timers = new Set<{ atMs: number; callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      const due = [...this.#timers].filter(({ atMs }) => atMs <= endMs);
      const next = due.sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}

export interface Replica {
  readonly url: string;
  readonly port: number;
  /** Status of every answer. */
  status: number;
  readonly paths: string[];
  readonly headers: NodeJS.Dict<string | string[]>[];
  close(): Promise<void>;
}

export async function startReplica(t: Test, port = 0): Promise<Replica> {
  const paths: string[] = [];
  const headers: NodeJS.Dict<string | string[]>[] = [];
  const server: Server = createServer((request, response) => {
    paths.push(`${String(request.method)} ${String(request.url)}`);
    headers.push(request.headers);
    response.writeHead(replica.status).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  const replica: Replica = {
    url: `http://127.0.0.1:${String(bound)}`,
    port: bound,
    status: 200,
    paths,
    headers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  t.teardown(() => (server.listening ? replica.close() : undefined));
  return replica;
}

/** A URL on which nothing listens, and on which a replica can be started later. */
export async function reservePort(t: Test): Promise<number> {
  const replica = await startReplica(t);
  await replica.close();
  return replica.port;
}

export function tempDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'pointsman-control-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

export interface Harness {
  readonly control: RunningControlPlane;
  readonly dataPlane: MemoryDataPlane;
  readonly store: Store;
  readonly dir: string;
  stop(): Promise<void>;
}

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined };

export async function startControl(
  t: Test,
  options: Partial<ControlPlaneOptions> & { dir?: string } = {},
): Promise<Harness> {
  const { dir = tempDir(t), ...rest } = options;
  const store = rest.store ?? Store.open(dir);
  const dataPlane = new MemoryDataPlane();
  const control = await createControlPlane({
    store,
    dataPlane,
    clock: systemClock,
    logger: SILENT,
    workspaceId: '900800700600',
    publicUrl: 'http://127.0.0.1:8080',
    updateDeadlineMs: 540_000,
    ...rest,
  });
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await control.stop();
    store.close();
  };
  t.teardown(stop);
  await control.start();
  return {
    control,
    dataPlane: (rest.dataPlane as MemoryDataPlane | undefined) ?? dataPlane,
    store,
    dir,
    stop,
  };
}

/** Looks again on every turn of the loop until the condition holds; fails after five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves when every task that was queued so far has run. */
export async function idle(control: RunningControlPlane): Promise<void> {
  await control.deleteEndpoint('no-such-endpoint', MIA).catch(() => undefined);
}

export function deployment(
  name: string,
  serves: readonly (readonly [string, string?])[],
  urls: readonly string[],
): JsonObject {
  return {
    name,
    serves: serves.map(([entity_name, entity_version]) =>
      entity_version === undefined ? { entity_name } : { entity_name, entity_version },
    ),
    replicas: urls.map((url) => ({ url })),
    health: { interval_ms: 50, timeout_ms: 1_000, unhealthy_after: 1 },
  };
}

/** Everything that a refused change must leave alone. */
export function fingerprint({ control, store, dataPlane }: Harness): string {
  return JSON.stringify({
    endpoints: store.records('endpoint'),
    deployments: store.records('deployment'),
    stored: store.revision,
    active: control.revision,
    published: dataPlane.published.length,
    list: control.listEndpoints(),
  });
}

export async function expectRefusal(
  t: Test,
  promise: Promise<unknown>,
  status: number,
  code: string,
  message: RegExp,
): Promise<void> {
  try {
    await promise;
    t.fail(`was accepted, expected ${code} ${String(message)}`);
  } catch (error) {
    t.match(error, { code, status }, (error as Error).message);
    t.match((error as Error).message, message);
  }
}

/** Versions 1 and 2 of a model, the split of `e` between them. */
export const TWO_VERSIONS = [
  ['c.s.m', '1'],
  ['c.s.m', '2'],
] as const;

export function split(a: number): JsonObject {
  return {
    served_entities: TWO_VERSIONS.map(([entity_name, entity_version]) => ({
      name: `v${entity_version}`,
      entity_name,
      entity_version,
    })),
    traffic_config: {
      routes: [
        { served_entity_name: 'v1', traffic_percentage: a },
        { served_entity_name: 'v2', traffic_percentage: 100 - a },
      ],
    },
  };
}

/** A ready deployment `m` that serves both versions, and the endpoint `e` with a split of 90 to 10. */
export async function startReady(t: Test, options: Parameters<typeof startControl>[1] = {}) {
  const harness = await startControl(t, options);
  const replica = await startReplica(t);
  await harness.control.putDeployment('m', deployment('m', TWO_VERSIONS, [replica.url]), MIA);
  await until(() => harness.control.listDeployments()[0]?.state === 'READY', 'ready');
  await harness.control.createEndpoint({ name: 'e', config: split(90) }, MIA);
  return { ...harness, replica };
}

/** A prober by hand-moved time, with what it told. By default names are their own addresses. */
export function startProber(
  t: Test,
  options: Partial<Pick<ProberOptions, 'resolve' | 'probe'>> & { store?: Store } = {},
) {
  const { store = Store.open(tempDir(t)), ...rest } = options;
  const clock = new ManualClock();
  const changes: string[] = [];
  const logged: string[] = [];
  const log = (fields: object, message: string): void => {
    logged.push(`${message} ${Object.values(fields).join(' ')}`);
  };
  const prober = new Prober({
    clock,
    resolve: (host) => Promise.resolve([host]),
    probe: probeAddress,
    onChange: (name) => changes.push(name),
    hostMemory: store.hosts,
    logger: { info: log, warn: log, error: log },
    ...rest,
  });
  t.teardown(() => prober.stop());
  return { prober, clock, changes, logged };
}
