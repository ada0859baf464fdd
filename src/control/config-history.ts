/**
 * What a change means for the history of accepted configs that the store keeps, and how that history
 * is shown. Derived from the records before and after, so that no kind of change can forget it.
 */
import { PointsmanError } from '../core/errors.js';
import {
  CONFIGS_KEPT,
  SERVED_CONFIGS_KEPT,
  type ConfigChange,
  type StoredConfig,
} from '../store/store.js';
import type { ConfigInput } from './config-input.js';
import type { Draft } from './content.js';
import type { ConfigHistoryItem } from './control-plane.js';
import { configAsInput } from './endpoint-view.js';
import { sameJson } from './json.js';
import type { ConfigRecord, Content, EndpointRecord } from './records.js';

/** Versions that a message about an unknown one lists. */
const VERSIONS_NAMED_MAX = 10;

export interface ChangeOrigin {
  readonly nowMs: number;
  readonly principal: string;
}

export function historyOf(draft: Draft, before: Content, origin: ChangeOrigin): ConfigChange[] {
  const changes: ConfigChange[] = [];
  for (const [name, record] of draft.endpoints) {
    if (record === null) continue;
    const old = sameEndpoint(record, before.endpoints.get(name));
    const endpointId = record.id;
    const accepted = newestConfig(record);
    if (accepted !== null && record.lastVersion !== (old?.lastVersion ?? 0)) {
      changes.push({
        kind: 'accepted',
        endpointId,
        version: accepted.version,
        acceptedAt: origin.nowMs,
        principal: origin.principal,
        json: JSON.stringify(accepted),
      });
    }
    const activated = activatedVersion(record, old);
    if (activated === null) continue;
    changes.push({ kind: 'activated', endpointId, version: activated, at: origin.nowMs });
  }
  return changes;
}

/**
 * Undoes the activations of a draft that was stored and could not be published. Acceptances need no
 * undoing: a version above the record's last one is not shown, and the next acceptance replaces it.
 */
export function revertedHistory(draft: Draft, before: Content): ConfigChange[] {
  const changes: ConfigChange[] = [];
  for (const [name, record] of draft.endpoints) {
    if (record === null) continue;
    const version = activatedVersion(record, sameEndpoint(record, before.endpoints.get(name)));
    if (version !== null) {
      changes.push({ kind: 'activated', endpointId: record.id, version, at: null });
    }
  }
  return changes;
}

/** Ids of endpoints that the draft deletes. */
export function deletedIds(draft: Draft, before: Content): string[] {
  const ids: string[] = [];
  for (const [name, record] of draft.endpoints) {
    const old = before.endpoints.get(name);
    if (old !== undefined && record?.id !== old.id) ids.push(old.id);
  }
  return ids;
}

export function viewHistory(
  record: EndpointRecord,
  stored: readonly StoredConfig[],
): ConfigHistoryItem[] {
  const active = record.active === null ? null : configAsInput(record.active);
  return acceptedOf(record, stored).map((row) => {
    const config = JSON.parse(row.json) as ConfigRecord;
    const percentages = new Map(config.routes.map((route) => [route.entity, route.percentage]));
    return {
      config_version: row.version,
      accepted_at: row.acceptedAt,
      principal: row.principal,
      activated_at: row.activatedAt,
      active: row.version === record.active?.version,
      equals_active: sameJson(configAsInput(config), active),
      pending: record.update === 'IN_PROGRESS' && row.version === record.pending?.config.version,
      split: config.entities.map(({ name, entityName, entityVersion }) => ({
        name,
        entity_name: entityName,
        entity_version: entityVersion,
        traffic_percentage: percentages.get(name) ?? 0,
      })),
    };
  });
}

/** What is kept, without versions of changes that were taken back. */
function acceptedOf(
  record: EndpointRecord,
  stored: readonly StoredConfig[],
): readonly StoredConfig[] {
  const rows = stored.filter(({ version }) => version <= record.lastVersion);
  const served = rows.filter((row) => row.activatedAt !== null).slice(0, SERVED_CONFIGS_KEPT);
  return rows.filter((row, index) => index < CONFIGS_KEPT || served.includes(row));
}

function sameEndpoint(
  record: EndpointRecord,
  old: EndpointRecord | undefined,
): EndpointRecord | null {
  return old?.id === record.id ? old : null;
}

function newestConfig(record: EndpointRecord): ConfigRecord | null {
  const { pending, active, lastVersion } = record;
  if (pending?.config.version === lastVersion) return pending.config;
  return active?.version === lastVersion ? active : null;
}

function activatedVersion(record: EndpointRecord, old: EndpointRecord | null): number | null {
  const { active } = record;
  return active === null || active.version === old?.active?.version ? null : active.version;
}

/**
 * A config that was accepted before under that version, as it was.
 * @throws PointsmanError RESOURCE_DOES_NOT_EXIST that names the versions that are kept.
 */
export function acceptedConfig(
  record: EndpointRecord,
  stored: Parameters<typeof acceptedOf>[1],
  version: number,
): ConfigInput {
  const rows = acceptedOf(record, stored);
  const row = rows.find((one) => one.version === version);
  if (row !== undefined) return JSON.parse(row.json) as ConfigRecord;
  const kept = rows.map((one) => String(one.version)).slice(0, VERSIONS_NAMED_MAX);
  const known = kept.length === 0 ? 'none is kept' : `the newest kept are ${kept.join(', ')}`;
  throw new PointsmanError(
    'RESOURCE_DOES_NOT_EXIST',
    `config_version: endpoint ${record.name} has no config version ${String(version)}; ${known}`,
  );
}
