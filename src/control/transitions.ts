/**
 * How an endpoint's record moves through section 6 of reference/databricks-serving-api.md.
 *
 *   newEndpoint      NOT_UPDATING, no config (a shell)
 *   pendingRecord    a config was accepted: IN_PROGRESS, the active config goes on serving
 *   activatedRecord  every entity was ready: NOT_UPDATING, the pending config is the active one
 *   failedRecord     the deadline passed: UPDATE_FAILED, the pending config stays visible until the
 *   next update
 *   canceledRecord   somebody ended the update: UPDATE_CANCELED, otherwise like a failed one
 */
import { PointsmanError } from '../core/errors.js';
import type { ConfigRecord, EndpointRecord } from './records.js';

export function newEndpoint(
  name: string,
  id: string,
  creator: string,
  nowMs: number,
  given: Partial<
    Pick<EndpointRecord, 'description' | 'tags' | 'routeOptimized' | 'extras' | 'grants'>
  >,
): EndpointRecord {
  return {
    name,
    id,
    creator,
    createdAt: nowMs,
    updatedAt: nowMs,
    description: given.description ?? '',
    tags: given.tags ?? null,
    routeOptimized: given.routeOptimized ?? false,
    extras: given.extras ?? {},
    lastVersion: 0,
    active: null,
    pending: null,
    update: 'NOT_UPDATING',
    message: '',
    grants: given.grants ?? [],
  };
}

export function beingUpdated(name: string): PointsmanError {
  return new PointsmanError(
    'RESOURCE_CONFLICT',
    `Endpoint ${name} is being updated; retry when the update has finished.`,
  );
}

/** @throws PointsmanError RESOURCE_CONFLICT unless the caller wants to take an update's place. */
export function refuseWhileUpdating(
  record: EndpointRecord,
  options: { readonly preempt?: boolean },
): void {
  if (record.update === 'IN_PROGRESS' && !options.preempt) throw beingUpdated(record.name);
}

/** The record with an accepted config that waits for readiness. */
export function pendingRecord(
  record: EndpointRecord,
  config: ConfigRecord,
  nowMs: number,
): EndpointRecord {
  return {
    ...record,
    updatedAt: nowMs,
    lastVersion: config.version,
    pending: { config, startedAt: nowMs, failures: {} },
    update: 'IN_PROGRESS',
    message: '',
  };
}

/** The record after its pending config became active. */
export function activatedRecord(record: EndpointRecord): EndpointRecord {
  return {
    ...record,
    active: record.pending?.config ?? record.active,
    pending: null,
    update: 'NOT_UPDATING',
    message: '',
  };
}

export function failedRecord(
  record: EndpointRecord,
  failures: Readonly<Record<string, string>>,
  message: string,
): EndpointRecord {
  const pending = record.pending === null ? null : { ...record.pending, failures };
  return { ...record, pending, update: 'UPDATE_FAILED', message };
}

/** @param failures what its entities lacked, by the entity's name. */
export function canceledRecord(
  record: EndpointRecord,
  failures: Readonly<Record<string, string>>,
  principal: string,
  nowMs: number,
): EndpointRecord {
  const version = String(record.pending?.config.version);
  return {
    ...failedRecord(record, failures, `config version ${version} was canceled by ${principal}`),
    updatedAt: nowMs,
    update: 'UPDATE_CANCELED',
  };
}
