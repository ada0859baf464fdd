/**
 * The text of `/metrics`: the workers' counters merged over all workers, the control plane's state,
 * and the supervisor process's own figures (prom-client's default set). Label values are names from
 * the configuration and fixed codes only, so their number is bounded by what is configured.
 */
import { Registry, collectDefaultMetrics } from 'prom-client';
import type { Status, WorkerStatus } from '../control/control-plane.js';
import type { AddressStats, EntityStats, Stats } from '../control/messages.js';
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import { Exposition, type MetricSpec } from './exposition.js';
import { METRICS } from './metric-specs.js';

export interface MetricsOptions {
  readonly version: string;
  readonly workers: () => Promise<WorkerStatus[]>;
  readonly stats: () => Promise<Stats[]>;
  readonly status: (stats: Stats[]) => Pick<Status, 'revision' | 'endpoints' | 'deployments'>;
}

export interface Metrics {
  readonly contentType: string;
  /** One consistent look at every worker; costs a round trip over the control sockets. */
  render(): Promise<string>;
}

const LATENCY_BOUNDS_S = LATENCY_BUCKETS_MS.map((bound) => bound / 1000);

/** Only one door serves requests in this version. */
const DOOR = 'js';

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    async render(): Promise<string> {
      const [workers, stats, own] = await Promise.all([
        options.workers(),
        options.stats(),
        registry.metrics(),
      ]);
      const text = new Exposition();
      text.family(METRICS.info).sample([options.version], 1);
      writeWorkers(text, workers, stats);
      writeEntities(text, mergeEntities(stats));
      writeRefusals(text, stats);
      writeState(text, options.status(stats));
      writeAddresses(text, mergeAddresses(stats));
      return text.toText() + own;
    },
  };
}

function writeWorkers(text: Exposition, workers: WorkerStatus[], stats: readonly Stats[]): void {
  const up = text.family(METRICS.workerUp);
  for (const worker of workers)
    up.sample([String(worker.slot)], worker.state === 'SERVING' ? 1 : 0);
  const revision = text.family(METRICS.workerRevision);
  for (const worker of workers) revision.sample([String(worker.slot)], worker.revision);
  text.family(METRICS.openConnections).sample(
    [],
    sum(stats, (worker) => worker.connectionsOpen),
  );
}

function writeEntities(text: Exposition, entities: readonly EntityStats[]): void {
  const requests = text.family(METRICS.requests);
  for (const { endpoint, entity, statusClasses } of entities) {
    statusClasses.forEach((count, index) => {
      requests.sample([endpoint, entity, `${String(index + 1)}xx`, DOOR], count);
    });
  }
  const duration = text.family(METRICS.requestDuration);
  for (const { endpoint, entity, latencyBuckets, latencySumMs } of entities) {
    duration.histogram([endpoint, entity], LATENCY_BOUNDS_S, latencyBuckets, latencySumMs / 1000);
  }
  const inFlight = text.family(METRICS.inFlight);
  for (const { endpoint, entity, inFlight: count } of entities)
    inFlight.sample([endpoint, entity], count);
}

function writeRefusals(text: Exposition, stats: readonly Stats[]): void {
  const totals = new Map<string, number>();
  for (const { code, count } of stats.flatMap((worker) => worker.refusals)) {
    totals.set(code, (totals.get(code) ?? 0) + count);
  }
  const refused = text.family(METRICS.refused);
  for (const [code, count] of totals) refused.sample([code], count);
}

function writeState(text: Exposition, state: ReturnType<MetricsOptions['status']>): void {
  text.family(METRICS.activeRevision).sample([], state.revision);
  const ready = text.family(METRICS.endpointReady);
  for (const { name, ready: is } of state.endpoints) ready.sample([name], is === 'READY' ? 1 : 0);
  const version = text.family(METRICS.endpointConfigVersion);
  for (const { name, config_version: number } of state.endpoints) {
    if (number !== null) version.sample([name], number);
  }
  const pending = text.family(METRICS.endpointPending);
  for (const { name, config_update: update } of state.endpoints) {
    pending.sample([name], update === 'IN_PROGRESS' ? 1 : 0);
  }
  writeAddressReadiness(text, state.deployments);
}

/** Two replicas may resolve to one address; a series may appear only once. */
function writeAddressReadiness(text: Exposition, deployments: Status['deployments']): void {
  const addressReady = text.family(METRICS.addressReady);
  for (const deployment of deployments) {
    const ready = new Map<string, boolean>();
    for (const { address, state } of deployment.addresses) {
      ready.set(address, ready.get(address) === true || state === 'READY');
    }
    for (const [address, is] of ready) addressReady.sample([deployment.name, address], is ? 1 : 0);
  }
}

const ADDRESS_SERIES: readonly (readonly [MetricSpec, (stats: AddressStats) => number])[] = [
  [METRICS.addressRequests, (stats) => stats.requests],
  [METRICS.addressInFlight, (stats) => stats.inFlight],
  [METRICS.addressIdle, (stats) => stats.idleConnections],
  [METRICS.addressConnects, (stats) => stats.connects],
  [METRICS.addressConnectFailures, (stats) => stats.connectFailures],
];

function writeAddresses(text: Exposition, addresses: readonly AddressStats[]): void {
  for (const [spec, read] of ADDRESS_SERIES) {
    const family = text.family(spec);
    for (const stats of addresses) family.sample([stats.deployment, stats.address], read(stats));
  }
}

function mergeEntities(stats: readonly Stats[]): EntityStats[] {
  const merged = new Map<string, EntityStats>();
  for (const one of stats.flatMap((worker) => worker.entities)) {
    const key = `${one.endpoint}/${one.entity}`;
    const sofar = merged.get(key);
    merged.set(key, sofar === undefined ? one : addEntities(sofar, one));
  }
  return [...merged.values()];
}

function addEntities(a: EntityStats, b: EntityStats): EntityStats {
  return {
    endpoint: a.endpoint,
    entity: a.entity,
    statusClasses: addEach(a.statusClasses, b.statusClasses),
    latencyBuckets: addEach(a.latencyBuckets, b.latencyBuckets),
    latencySumMs: a.latencySumMs + b.latencySumMs,
    inFlight: a.inFlight + b.inFlight,
  };
}

function mergeAddresses(stats: readonly Stats[]): AddressStats[] {
  const merged = new Map<string, AddressStats>();
  for (const one of stats.flatMap((worker) => worker.addresses)) {
    const key = `${one.deployment}/${one.address}`;
    const sofar = merged.get(key);
    merged.set(key, sofar === undefined ? one : addAddresses(sofar, one));
  }
  return [...merged.values()];
}

function addAddresses(a: AddressStats, b: AddressStats): AddressStats {
  return {
    deployment: a.deployment,
    address: a.address,
    inFlight: a.inFlight + b.inFlight,
    idleConnections: a.idleConnections + b.idleConnections,
    connects: a.connects + b.connects,
    connectFailures: a.connectFailures + b.connectFailures,
    requests: a.requests + b.requests,
  };
}

function addEach(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
}

function sum<T>(items: readonly T[], read: (item: T) => number): number {
  return items.reduce((total, item) => total + read(item), 0);
}
