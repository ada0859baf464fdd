/** The workers' counters merged into the operator's picture of endpoints and deployments. */
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import type { DeploymentView, EndpointStatus, EntityStatus } from './control-plane.js';
import type { EntityStats, Stats } from './messages.js';
import type { Prober } from './probes.js';
import { waitingFor, type ReadinessContext } from './readiness.js';
import { servingOf, type DeploymentRecord, type EndpointRecord, type ServedBy } from './records.js';

const SERVER_ERRORS = 4;

interface EntityTotals {
  requests: number;
  errors: number;
  inFlight: number;
  readonly buckets: number[];
}

/** Totals over all workers by endpoint and served entity. */
export function mergeStats(stats: readonly Stats[]): Map<string, EntityTotals> {
  const totals = new Map<string, EntityTotals>();
  for (const { entities } of stats) for (const entity of entities) add(totals, entity);
  return totals;
}

function add(totals: Map<string, EntityTotals>, stats: EntityStats): void {
  const key = statsKey(stats.endpoint, stats.entity);
  const total = totals.get(key) ?? {
    requests: 0,
    errors: 0,
    inFlight: 0,
    buckets: new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0),
  };
  totals.set(key, total);
  for (const count of stats.statusClasses) total.requests += count;
  total.errors += stats.statusClasses[SERVER_ERRORS] ?? 0;
  total.inFlight += stats.inFlight;
  stats.latencyBuckets.forEach((count, index) => {
    total.buckets[index] = (total.buckets[index] ?? 0) + count;
  });
}

function statsKey(endpoint: string, entity: string): string {
  return `${endpoint}/${entity}`;
}

/**
 * A quantile of bucketed latencies by linear interpolation inside its bucket; the bucket without an
 * upper bound counts as its lower one. Null when nothing was counted.
 */
export function quantileMs(buckets: readonly number[], quantile: number): number | null {
  const count = buckets.reduce((sum, value) => sum + value, 0);
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

export function endpointStatus(
  record: EndpointRecord,
  context: ReadinessContext,
  totals: ReadonlyMap<string, EntityTotals>,
): EndpointStatus {
  return {
    name: record.name,
    id: record.id,
    ready: record.active === null ? 'NOT_READY' : 'READY',
    config_update: record.update,
    config_version: record.active?.version ?? null,
    pending_config_version: record.pending?.config.version ?? null,
    message: messageOf(record, context),
    entities: entityStatuses(record, context.servedBy, totals),
  };
}

function messageOf(record: EndpointRecord, context: ReadinessContext): string {
  if (record.update !== 'IN_PROGRESS' || record.pending === null) return record.message;
  const waiting = Object.values(waitingFor(record.pending.config, context));
  return [...new Set([...waiting, record.message].filter((text) => text !== ''))].join('; ');
}

function entityStatuses(
  record: EndpointRecord,
  servedBy: ServedBy,
  totals: ReadonlyMap<string, EntityTotals>,
): EntityStatus[] {
  const config = record.active ?? record.pending?.config;
  if (config === undefined) return [];
  const percentages = new Map(config.routes.map((route) => [route.entity, route.percentage]));
  return config.entities.map((entity) => {
    const total = totals.get(statsKey(record.name, entity.name));
    return {
      name: entity.name,
      traffic_percentage: percentages.get(entity.name) ?? 0,
      deployment: servingOf(entity, servedBy)?.deployment ?? '',
      requests: total?.requests ?? 0,
      errors: total?.errors ?? 0,
      in_flight: total?.inFlight ?? 0,
      latency_p50_ms: total === undefined ? null : quantileMs(total.buckets, 0.5),
      latency_p99_ms: total === undefined ? null : quantileMs(total.buckets, 0.99),
    };
  });
}

export function viewDeployment(
  record: DeploymentRecord,
  prober: Prober,
  usedBy: readonly string[],
): DeploymentView {
  const { ready, problem } = prober.health(record.name);
  return {
    name: record.name,
    spec: structuredClone(record.spec),
    state: ready ? 'READY' : 'NOT_READY',
    message: ready ? '' : problem,
    addresses: prober.status(record.name),
    used_by: [...usedBy],
  };
}
