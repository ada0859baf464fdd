/**
 * The text of `/metrics`: what the workers count in shared memory, the control plane's state, and
 * the supervisor process's own figures (prom-client's default set). Label values are names from the
 * configuration and fixed codes only, so their number is bounded by what is configured.
 */
import { Registry, collectDefaultMetrics } from 'prom-client';
import type { Status, WorkerStatus } from '../control/control-plane.js';
import type {
  AddressStats,
  DeploymentStats,
  EntityStats,
  RefusalStats,
  Stats,
} from '../control/stats.js';
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import { Exposition, type MetricSpec } from './exposition.js';
import { METRICS } from './metric-specs.js';

/** Sources of one scrape; none of them waits for a worker. */
export interface MetricsOptions {
  readonly version: string;
  readonly workers: () => readonly WorkerStatus[];
  readonly refusals: () => readonly RefusalStats[];
  readonly connectionsRefused: () => number;
  readonly stats: () => Pick<Stats, 'entities' | 'addresses' | 'deployments'>;
  readonly status: () => Pick<Status, 'revision' | 'endpoints' | 'deployments'>;
}

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

/**
 * What the library samples of the event loop: by default it wakes an idle supervisor a hundred times a second for them,
 * and workers share its core; sampled seldom they are wrong. nodejs_eventloop_lag_seconds is measured at each scrape.
 */
const SAMPLED_LAGS = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'];
/** The longest that there is. */
const NEVER_MS = 2 ** 31 - 1;
const LATENCY_BOUNDS_S = LATENCY_BUCKETS_MS.map((bound) => bound / 1000);

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({
    register: registry,
    eventLoopMonitoringPrecision: NEVER_MS,
  });
  for (const name of SAMPLED_LAGS)
    registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
  return {
    contentType: registry.contentType,
    async render(): Promise<string> {
      const own = await registry.metrics();
      const { entities, addresses, deployments } = options.stats();
      const text = new Exposition();
      text.family(METRICS.info).sample([options.version], 1);
      writeWorkers(text, options.workers());
      text.family(METRICS.refusedConnections).sample([], options.connectionsRefused());
      writeEntities(text, entities);
      writeRefusals(text, options.refusals());
      writeState(text, options.status());
      writeDeployments(text, deployments);
      writeAddresses(text, addresses);
      return text.toText() + own;
    },
  };
}

const WORKER_SERIES: readonly (readonly [MetricSpec, (worker: WorkerStatus) => number | null])[] = [
  [METRICS.workerUp, ({ state }) => (state === 'SERVING' ? 1 : 0)],
  [METRICS.workerRevision, ({ revision }) => revision],
  [METRICS.workerHeartbeatAge, ({ heartbeat_age_ms: age }) => (age === null ? null : age / 1000)],
  [METRICS.workerRevisionsHeld, ({ revisions_held: held }) => held],
  [METRICS.workerRestarts, ({ restarts }) => restarts],
  [METRICS.workerDegraded, ({ degraded }) => (degraded ? 1 : 0)],
];

function writeWorkers(text: Exposition, workers: readonly WorkerStatus[]): void {
  for (const [spec, read] of WORKER_SERIES) {
    const family = text.family(spec);
    for (const worker of workers) {
      const value = read(worker);
      if (value !== null) family.sample([String(worker.slot)], value);
    }
  }
  const connections = workers.reduce((sum, worker) => sum + worker.connections, 0);
  text.family(METRICS.openConnections).sample([], connections);
}

function writeEntities(text: Exposition, entities: readonly EntityStats[]): void {
  const requests = text.family(METRICS.requests);
  for (const { endpoint, entity, statusClasses, nativeClasses } of entities) {
    statusClasses.forEach((count, index) => {
      const native = nativeClasses[index] ?? 0;
      const statusClass = `${String(index + 1)}xx`;
      requests.sample([endpoint, entity, statusClass, 'native'], native);
      requests.sample([endpoint, entity, statusClass, 'js'], count - native);
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

function writeRefusals(text: Exposition, refusals: readonly RefusalStats[]): void {
  const refused = text.family(METRICS.refused);
  for (const { code, count } of refusals) refused.sample([code], count);
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

function writeDeployments(text: Exposition, deployments: readonly DeploymentStats[]): void {
  const inFlight = text.family(METRICS.deploymentInFlight);
  for (const one of deployments) inFlight.sample([one.deployment], one.inFlight);
  const limit = text.family(METRICS.deploymentInFlightLimit);
  for (const { deployment, maxInFlight } of deployments) {
    if (maxInFlight > 0) limit.sample([deployment], maxInFlight);
  }
  const waiting = text.family(METRICS.deploymentWaiting);
  for (const one of deployments) waiting.sample([one.deployment], one.waiting);
  const refused = text.family(METRICS.deploymentRefused);
  for (const { deployment, refusedFull, refusedDeadline } of deployments) {
    refused.sample([deployment, 'full'], refusedFull);
    refused.sample([deployment, 'deadline'], refusedDeadline);
  }
}

/** Two replicas may resolve to one address; a series may appear only once. */
function writeAddressReadiness(text: Exposition, deployments: Status['deployments']): void {
  const addressReady = text.family(METRICS.addressReady);
  for (const deployment of deployments) {
    const ready = new Map<string, boolean>();
    for (const { address, state } of deployment.addresses) {
      // Ejected is what requests found; this series is about probes.
      const is = state === 'READY' || state === 'EJECTED';
      ready.set(address, ready.get(address) === true || is);
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
  [METRICS.addressRetries, (stats) => stats.retries],
  [METRICS.addressFailures, (stats) => stats.failures],
  [METRICS.addressEjections, (stats) => stats.ejections],
  [METRICS.addressEjected, (stats) => stats.ejectedWorkers],
];

function writeAddresses(text: Exposition, addresses: readonly AddressStats[]): void {
  for (const [spec, read] of ADDRESS_SERIES) {
    const family = text.family(spec);
    for (const stats of addresses) family.sample([stats.deployment, stats.address], read(stats));
  }
}
