/** Records, health and the workers' counters as one picture for operators. */
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import type {
  AddressStatus,
  DeploymentView,
  EndpointStatus,
  EntityStatus,
  PendingEntityStatus,
  PendingStatus,
  ProbedAddress,
  Traffic,
} from './control-plane.js';
import type { Counters } from './data-plane.js';
import type { DeploymentAddresses, DeploymentSpec, EndpointRoutes } from './messages.js';
import { addressText, type Prober } from './probes.js';
import {
  entityReadiness,
  failureOf,
  NO_PROBE_YET,
  waitingFor,
  type ReadinessContext,
} from './readiness.js';
import {
  isLeaving,
  servingOf,
  servingSpec,
  type ConfigRecord,
  type DeploymentRecord,
  type EndpointRecord,
  type EntityRecord,
} from './records.js';
import type { AddressStats, DeploymentStats, EntityStats } from './stats.js';

/** What is counted under one slot. */
export type EntityCounts = ReturnType<Counters['entity']>;
type DeploymentCounts = ReturnType<Counters['deployment']>;

/** Of a deployment that nothing uses. */
const NO_LOAD: DeploymentCounts = {
  inFlight: 0,
  waiting: 0,
  refusedFull: 0,
  refusedDeadline: 0,
};

export interface StatusContext extends ReadinessContext {
  readonly counters: Pick<Counters, 'entity'>;
  /** The published routes of an active config. */
  routesOf(config: ConfigRecord): EndpointRoutes | undefined;
}

const SERVER_ERRORS = 4;

export const NO_TRAFFIC: Traffic = {
  requests: 0,
  errors: 0,
  in_flight: 0,
  latency_p50_ms: null,
  latency_p90_ms: null,
  latency_p99_ms: null,
};

/** Sums over served entities; quantiles over all their requests together. */
export function trafficOf(counts: readonly EntityCounts[]): Traffic {
  let requests = 0;
  let errors = 0;
  let inFlight = 0;
  for (const { statusClasses, inFlight: underWay } of counts) {
    for (const count of statusClasses) requests += count;
    errors += statusClasses[SERVER_ERRORS] ?? 0;
    inFlight += underWay;
  }
  if (requests === 0) return inFlight === 0 ? NO_TRAFFIC : { ...NO_TRAFFIC, in_flight: inFlight };
  const [first] = counts;
  const buckets =
    counts.length === 1 && first !== undefined ? first.latencyBuckets : sumBuckets(counts);
  return {
    requests,
    errors,
    in_flight: inFlight,
    latency_p50_ms: quantileMs(buckets, 0.5),
    latency_p90_ms: quantileMs(buckets, 0.9),
    latency_p99_ms: quantileMs(buckets, 0.99),
  };
}

function sumBuckets(counts: readonly EntityCounts[]): number[] {
  const sums = new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0);
  for (const { latencyBuckets } of counts) {
    for (let index = 0; index < sums.length; index += 1) {
      sums[index] = (sums[index] ?? 0) + (latencyBuckets[index] ?? 0);
    }
  }
  return sums;
}

/**
 * A quantile of bucketed latencies by linear interpolation inside its bucket; the bucket without an
 * upper bound counts as its lower one. Null when nothing was counted.
 */
export function quantileMs(buckets: readonly number[], quantile: number): number | null {
  let count = 0;
  for (const value of buckets) count += value;
  if (count === 0) return null;
  const rank = quantile * count;
  let below = 0;
  for (const [index, value] of buckets.entries()) {
    if (value > 0 && below + value >= rank) {
      const low = LATENCY_BUCKETS_MS[index - 1] ?? 0;
      const high = LATENCY_BUCKETS_MS[index] ?? low;
      return low + ((high - low) * (rank - below)) / value;
    }
    below += value;
  }
  return LATENCY_BUCKETS_MS[LATENCY_BUCKETS_MS.length - 1] ?? null;
}

// Objects are written out below: spreading them would be half of the cost at 10,000 endpoints.

export function endpointStatus(record: EndpointRecord, context: StatusContext): EndpointStatus {
  const { active, pending } = record;
  const config = active ?? pending?.config ?? null;
  const routes = active === null ? undefined : context.routesOf(active);
  const counts = (routes?.entities ?? []).map((one) => context.counters.entity(one.statsSlot));
  const traffic = trafficOf(counts);
  return {
    name: record.name,
    id: record.id,
    ready: active === null ? 'NOT_READY' : 'READY',
    config_update: record.update,
    config_version: active?.version ?? null,
    pending_config_version: pending?.config.version ?? null,
    message: messageOf(record, context),
    requests: traffic.requests,
    errors: traffic.errors,
    in_flight: traffic.in_flight,
    latency_p50_ms: traffic.latency_p50_ms,
    latency_p90_ms: traffic.latency_p90_ms,
    latency_p99_ms: traffic.latency_p99_ms,
    entities: config === null ? [] : entityStatuses(config, routes, counts, context),
    pending: pending === null ? null : pendingStatus(record, pending, context),
  };
}

function messageOf(record: EndpointRecord, context: ReadinessContext): string {
  if (record.update !== 'IN_PROGRESS' || record.pending === null) return record.message;
  const waiting = Object.values(waitingFor(record.pending.config, record.active, context));
  return [...new Set([...waiting, record.message].filter((text) => text !== ''))].join('; ');
}

/** @param counts in the order of the config's entities; empty: the config is not published. */
function entityStatuses(
  config: ConfigRecord,
  routes: EndpointRoutes | undefined,
  counts: readonly EntityCounts[],
  { servedBy }: ReadinessContext,
): EntityStatus[] {
  return config.entities.map((entity, index) => {
    const own = counts[index];
    const traffic = own === undefined ? NO_TRAFFIC : trafficOf([own]);
    const routed = routes?.entities[index];
    return {
      name: entity.name,
      entity_name: entity.entityName,
      entity_version: entity.entityVersion,
      traffic_percentage: percentageOf(config, entity.name),
      deployment: routed?.deployment ?? servingOf(entity, servedBy)?.deployment ?? '',
      requests: traffic.requests,
      errors: traffic.errors,
      in_flight: traffic.in_flight,
      latency_p50_ms: traffic.latency_p50_ms,
      latency_p90_ms: traffic.latency_p90_ms,
      latency_p99_ms: traffic.latency_p99_ms,
    };
  });
}

function pendingStatus(
  record: EndpointRecord,
  { config, startedAt }: NonNullable<EndpointRecord['pending']>,
  context: ReadinessContext,
): PendingStatus {
  const entities = config.entities.map((entity): PendingEntityStatus => {
    const reason = reasonOf(record, entity, context);
    return {
      name: entity.name,
      entity_name: entity.entityName,
      entity_version: entity.entityVersion,
      traffic_percentage: percentageOf(config, entity.name),
      deployment: servingOf(entity, context.servedBy)?.deployment ?? '',
      ready: reason === '',
      reason,
    };
  });
  return { config_version: config.version, started_at: startedAt, entities };
}

/** While it waits what it waits for; afterwards what it lacked at the end. */
function reasonOf(record: EndpointRecord, entity: EntityRecord, context: ReadinessContext): string {
  if (record.update !== 'IN_PROGRESS') return failureOf(record, entity.name);
  const { ready, problem } = entityReadiness(entity, context);
  if (ready) return '';
  return problem === '' ? NO_PROBE_YET : problem;
}

/** A search, because routes are few and a map per endpoint is not. */
function percentageOf(config: ConfigRecord, entity: string): number {
  return config.routes.find((route) => route.entity === entity)?.percentage ?? 0;
}

/** What `viewDeployment` reads besides the record. */
export interface DeploymentContext {
  readonly prober: Prober;
  readonly counters: Pick<Counters, 'address' | 'deployment'>;
  readonly nowMs: number;
  /** The list that the workers have; undefined: they do not know the deployment. */
  addressesOf(deployment: string): DeploymentAddresses | undefined;
  /** Where the workers count its load; undefined as above. */
  limitSlotOf(deployment: string): number | undefined;
}

/** The view shares the record's `spec`: it is for reading. */
export function viewDeployment(
  record: DeploymentRecord,
  context: DeploymentContext,
  usedBy: readonly string[],
): DeploymentView {
  const { prober, counters } = context;
  const limitSlot = context.limitSlotOf(record.name);
  const load = limitSlot === undefined ? NO_LOAD : counters.deployment(limitSlot);
  const listed = context.addressesOf(record.name)?.addresses ?? [];
  const slots = new Map(listed.map((one) => [addressText(one), one.statsSlot]));
  const { ready, problem } = prober.health(record.name);
  const messages = [waitingMessage(record, prober), ready ? '' : problem];
  return {
    name: record.name,
    spec: record.spec,
    state: ready ? 'READY' : 'NOT_READY',
    pending: record.serving !== undefined,
    message: messages.filter((text) => text !== '').join('; '),
    addresses: prober.status(record.name).map((probed) => {
      const slot = slots.get(probed.address);
      return viewAddress(probed, slot === undefined ? null : counters.address(slot), context);
    }),
    load: {
      in_flight: load.inFlight,
      max_in_flight: servingSpec(record).limits.max_in_flight,
      waiting: load.waiting,
      refused_full: load.refusedFull,
      refused_deadline: load.refusedDeadline,
    },
    used_by: [...usedBy],
  };
}

/** Why a change, or the end, of a deployment is not in force yet. */
function waitingMessage(record: DeploymentRecord, prober: Prober): string {
  if (record.serving === undefined) return '';
  const what = isLeaving(record) ? 'deleted' : 'changed';
  const { problem } = prober.healthOfWaiting(record.name);
  const waits = `${what}, but serves as before until what takes over has a ready address`;
  return problem === '' ? waits : `${waits}: ${problem}`;
}

function viewAddress(
  probed: ProbedAddress,
  counts: ReturnType<Counters['address']> | null,
  { nowMs }: Pick<DeploymentContext, 'nowMs'>,
): AddressStatus {
  const ejectedWorkers = counts?.ejectedWorkers ?? 0;
  const isEjected = ejectedWorkers > 0;
  const shows = isEjected && (probed.state === 'READY' || probed.state === 'UNKNOWN');
  return {
    ...probed,
    state: shows ? 'EJECTED' : probed.state,
    in_flight: counts?.inFlight ?? 0,
    ejected_workers: ejectedWorkers,
    ejected_until: isEjected ? nowMs + (counts?.ejectedForMs ?? 0) : null,
    ejections: counts?.ejections ?? 0,
  };
}

/** Counters of every served entity that the routes name. */
export function entityStats(
  endpoints: readonly EndpointRoutes[],
  counters: Pick<Counters, 'entity'>,
): EntityStats[] {
  return endpoints.flatMap(({ name: endpoint, entities }) =>
    entities.map(({ name, statsSlot }) => ({
      endpoint,
      entity: name,
      ...counters.entity(statsSlot),
    })),
  );
}

export function deploymentStats(
  specs: readonly DeploymentSpec[],
  counters: Pick<Counters, 'deployment'>,
): DeploymentStats[] {
  return specs.map(({ name, maxInFlight, limitSlot }) => ({
    deployment: name,
    maxInFlight,
    ...counters.deployment(limitSlot),
  }));
}

/** Counters of every address in the lists; addresses that are counted together appear once. */
export function addressStats(
  lists: readonly DeploymentAddresses[],
  counters: Pick<Counters, 'address'>,
): AddressStats[] {
  return lists.flatMap(({ deployment, addresses }) => {
    const bySlot = new Map(addresses.map((one) => [one.statsSlot, addressText(one)]));
    return [...bySlot].map(([slot, address]) => ({
      deployment,
      address,
      ...counters.address(slot),
    }));
  });
}
