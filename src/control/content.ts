/** Content (all records) and drafts of a change: pure functions, no I/O. */
import { DEPLOYMENTS_MAX, ENDPOINTS_MAX } from '../config/manifest.js';
import { PointsmanError } from '../core/errors.js';
import { indexServes } from './deployment-input.js';
import {
  entityKey,
  servingOf,
  type ConfigRecord,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
} from './records.js';

/** Records that a change replaces; null deletes. */
export interface Draft {
  readonly endpoints: ReadonlyMap<string, EndpointRecord | null>;
  readonly deployments: ReadonlyMap<string, DeploymentRecord | null>;
}

export const NO_DEPLOYMENTS: Draft['deployments'] = new Map();
export const NO_ENDPOINTS: Draft['endpoints'] = new Map();

export function endpointDraft(records: Iterable<EndpointRecord>): Draft {
  const endpoints = new Map([...records].map((record) => [record.name, record]));
  return { endpoints, deployments: NO_DEPLOYMENTS };
}

/**
 * @param pathOf where a changed deployment stands in the request, for messages.
 * @throws PointsmanError INVALID_PARAMETER_VALUE when two deployments would serve one entity
 *   version.
 */
export function applyDraft(
  content: Content,
  draft: Draft,
  pathOf: (deployment: DeploymentRecord) => string = () => '',
): Content {
  const endpoints = content.endpoints.with(draft.endpoints);
  if (draft.deployments.size === 0) return { ...content, endpoints };
  const deployments = merged(content.deployments, draft.deployments);
  // Unchanged ones first, so that a clash is reported at the request's own deployment.
  const ordered = [...deployments.values()].sort(
    (a, b) => Number(draft.deployments.has(a.name)) - Number(draft.deployments.has(b.name)),
  );
  return { endpoints, deployments, servedBy: indexServes(ordered, pathOf) };
}

/** The draft that makes one content of the other, by identity of records. */
export function draftBetween(before: Content, after: Content): Draft {
  return {
    endpoints: replaced(before.endpoints, after.endpoints),
    deployments: replaced(before.deployments, after.deployments),
  };
}

function replaced<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): Map<string, T | null> {
  const changes = new Map<string, T | null>();
  for (const name of before.keys()) if (!after.has(name)) changes.set(name, null);
  for (const [name, record] of after) if (before.get(name) !== record) changes.set(name, record);
  return changes;
}

function merged<T>(
  before: ReadonlyMap<string, T>,
  changes: ReadonlyMap<string, T | null>,
): ReadonlyMap<string, T> {
  if (changes.size === 0) return before;
  const after = new Map(before);
  for (const [name, record] of changes) {
    if (record === null) after.delete(name);
    else after.set(name, record);
  }
  return after;
}

/** Configs that take traffic or wait to take it. */
export function liveConfigs(record: EndpointRecord): ConfigRecord[] {
  const configs: ConfigRecord[] = [];
  if (record.active !== null) configs.push(record.active);
  if (record.pending !== null && record.update === 'IN_PROGRESS') {
    configs.push(record.pending.config);
  }
  return configs;
}

/**
 * Refuses what no change may do, however it came.
 * @throws PointsmanError
 */
export function checkChange(before: Content, after: Content): void {
  checkCount('endpoints', before.endpoints.size, after.endpoints.size, ENDPOINTS_MAX);
  checkCount('deployments', before.deployments.size, after.deployments.size, DEPLOYMENTS_MAX);
  checkStillServed(before, after);
}

function checkCount(what: string, before: number, after: number, max: number): void {
  if (after <= max || after <= before) return;
  throw new PointsmanError(
    'INVALID_PARAMETER_VALUE',
    `too many ${what}: a daemon has at most ${String(max)}, this would make ${String(after)}`,
  );
}

/**
 * Refuses a change that takes a deployment from a config that goes on serving or waiting. A config
 * that the change itself retires does not count, so ask only after the draft's own activations.
 * @throws PointsmanError RESOURCE_CONFLICT
 */
function checkStillServed(before: Content, after: Content): void {
  if (before.servedBy === after.servedBy) return;
  if ([...before.servedBy.keys()].every((key) => after.servedBy.has(key))) return;
  for (const record of after.endpoints.values()) {
    const old = before.endpoints.get(record.name);
    const kept = old === undefined ? [] : liveConfigs(old);
    for (const config of liveConfigs(record)) {
      if (!kept.includes(config)) continue;
      for (const entity of config.entities) {
        const serving = servingOf(entity, before.servedBy);
        if (serving === null || entity.entityName === null) continue;
        if (after.servedBy.has(entityKey(entity.entityName, entity.entityVersion))) continue;
        const which = config === record.active ? 'active' : 'pending';
        throw new PointsmanError(
          'RESOURCE_CONFLICT',
          `Deployment ${serving.deployment} is used by the ${which} config of endpoint ` +
            `${record.name} (served entity ${entity.name}); change or delete the endpoint first.`,
        );
      }
    }
  }
}

/**
 * For every deployment the names of the endpoints whose active or pending config uses it, sorted.
 */
export function usage(content: Content): Map<string, string[]> {
  const users = new Map<string, Set<string>>();
  for (const record of content.endpoints.values()) {
    for (const config of liveConfigs(record)) {
      for (const entity of config.entities) {
        const serving = servingOf(entity, content.servedBy);
        if (serving === null) continue;
        const names = users.get(serving.deployment) ?? new Set();
        users.set(serving.deployment, names.add(record.name));
      }
    }
  }
  return new Map([...users].map(([name, names]) => [name, [...names].sort()]));
}
