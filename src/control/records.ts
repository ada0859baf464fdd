/**
 * What the control plane keeps of endpoints and deployments: immutable records, replaced whole at a
 * change. They are stored as JSON in this very shape, so a field may be added but not renamed
 * without a migration. The API's shapes are made from them in endpoint-view.ts, the workers' in
 * compile.ts.
 */
import type { DeploymentInput } from '../config/manifest.js';
import type { JsonObject } from './control-plane.js';
import type { GrantRecord } from './grants.js';
import type { ShardedMap } from './sharded-map.js';

export interface TagRecord {
  readonly key: string;
  readonly value?: string;
}

export interface EntityRecord {
  readonly name: string;
  /** Null for an external model. */
  readonly entityName: string | null;
  /** Null for a feature spec or an external model. */
  readonly entityVersion: string | null;
  readonly externalModel: JsonObject | null;
  /** Sizes, environment and so on under the API's names, defaults filled in. */
  readonly settings: JsonObject;
  readonly creator: string;
  readonly createdAt: number;
}

export interface RouteRecord {
  readonly entity: string;
  /** 0 to 100; the routes of a config sum to 100. */
  readonly percentage: number;
}

export interface ConfigRecord {
  readonly version: number;
  readonly entities: readonly EntityRecord[];
  readonly routes: readonly RouteRecord[];
  readonly autoCapture: JsonObject | null;
}

export interface PendingRecord {
  readonly config: ConfigRecord;
  readonly startedAt: number;
  /** Why an entity was not ready when the update failed or was canceled, by the entity's name. */
  readonly failures: Readonly<Record<string, string>>;
}

export type UpdateState = 'NOT_UPDATING' | 'IN_PROGRESS' | 'UPDATE_FAILED' | 'UPDATE_CANCELED';

export interface EndpointRecord {
  readonly name: string;
  readonly id: string;
  readonly creator: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly description: string;
  /** Null: none were given, and none are shown. */
  readonly tags: readonly TagRecord[] | null;
  readonly routeOptimized: boolean;
  /**
   * Fields that are stored and shown without being acted on (`ai_gateway` and so on), under the
   * API's names.
   */
  readonly extras: JsonObject;
  /** Version of the newest accepted config; 0: none yet. Never goes back. */
  readonly lastVersion: number;
  readonly active: ConfigRecord | null;
  /**
   * Waits while `update` is IN_PROGRESS; stays visible after UPDATE_FAILED and UPDATE_CANCELED
   * until the next update.
   */
  readonly pending: PendingRecord | null;
  readonly update: UpdateState;
  /** Why the last update failed or was canceled; empty otherwise. */
  readonly message: string;
  /** Who may do what, beside admins; absent in records that are older than permissions. */
  readonly grants?: readonly GrantRecord[];
}

export interface ServesRecord {
  readonly entityName: string;
  readonly entityVersion: string | null;
  readonly kind: 'model' | 'feature_spec' | 'foundation';
}

/** A manifest's deployment with every default filled in. */
export interface DeploymentRecord {
  readonly name: string;
  /** As accepted last; without `serves` the deployment goes with its hand-over. */
  readonly spec: DeploymentInput;
  /** Serves until `spec` can take over (hand-over.ts); absent: `spec` serves. */
  readonly serving?: DeploymentInput;
}

/** What requests are relayed under. */
export function servingSpec({ spec, serving }: DeploymentRecord): DeploymentInput {
  return serving ?? spec;
}

/** Deleted, but what it serves is not taken over yet. */
export function isLeaving({ spec }: DeploymentRecord): boolean {
  return spec.serves.length === 0;
}

/**
 * Everything a snapshot is compiled from. Replaced whole at a change, so a reader never sees half
 * of one.
 */
export interface Content {
  readonly endpoints: ShardedMap<EndpointRecord>;
  readonly deployments: ReadonlyMap<string, DeploymentRecord>;
  /** Which deployment serves an entity version; same identity as long as no deployment changes. */
  readonly servedBy: ServedBy;
}

export interface Serving {
  readonly deployment: string;
  readonly kind: ServesRecord['kind'];
  /** Only what the deployment is to become serves it: there is no traffic before the hand-over. */
  readonly waits: boolean;
}

export type ServedBy = ReadonlyMap<string, Serving>;

/** Key of `ServedBy`. */
export function entityKey(entityName: string, entityVersion: string | null): string {
  return entityVersion === null ? entityName : `${entityName}\u0000${entityVersion}`;
}

export function servingOf(entity: EntityRecord, servedBy: ServedBy): Serving | null {
  if (entity.entityName === null) return null;
  return servedBy.get(entityKey(entity.entityName, entity.entityVersion)) ?? null;
}

/** The config that the endpoint has or is about to have; null for a shell. */
export function wantedConfig(record: EndpointRecord): ConfigRecord | null {
  return record.update === 'IN_PROGRESS' && record.pending !== null
    ? record.pending.config
    : record.active;
}
