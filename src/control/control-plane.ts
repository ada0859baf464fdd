/**
 * The door of the control plane: what the admin port, the command line's server side and the supervisor call.
 * Every change runs alone (one queue), is validated whole, stored before it is visible, and answers with
 * what was stored. All methods throw PointsmanError for expected failures.
 */
import type { GrantBook } from './grant-book.js';
import type { Stats } from './stats.js';

/** Anything that JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface ChangeOptions {
  /** Who asks; becomes `creator` of what is made. */
  readonly principal: string;
  /** Id of that principal, where it has one: who makes an endpoint gets CAN_MANAGE on it. */
  readonly principalId?: string;
  /** `If-Match` of the request: the change happens only if the resource's ETag is this one, else 409 RESOURCE_CONFLICT. */
  readonly ifMatch?: string;
  /** A pending update of the same endpoint is replaced instead of refused with 409. */
  readonly preempt?: boolean;
}

/** A resource as the API shows it, with its entity tag (a quoted string). */
export interface Tagged<T> {
  readonly value: T;
  readonly etag: string;
}

export interface ManifestOptions extends ChangeOptions {
  /** `replace` deletes what the manifest does not name; `upsert` leaves it alone. */
  readonly mode: 'replace' | 'upsert';
  /** Validate and report, change nothing. */
  readonly dryRun: boolean;
}

/** What applying a manifest did, or (dry run) would do. */
export interface ManifestResult {
  readonly dry_run: boolean;
  readonly revision: number;
  readonly changes: ManifestChange[];
}

export interface ManifestChange {
  readonly kind: 'deployment' | 'endpoint';
  readonly name: string;
  readonly action: 'create' | 'update' | 'delete' | 'unchanged';
  /** Paths of the fields that differ, e.g. `config.traffic_config.routes[0].traffic_percentage`. */
  readonly fields: string[];
}

/** An address as its probes see it. */
export interface ProbedAddress {
  readonly address: string;
  readonly replica_url: string;
  readonly weight: number;
  readonly state: 'READY' | 'DOWN' | 'UNKNOWN' | 'DRAINING';
  /** Epoch milliseconds of the last change of `state`. */
  readonly since: number;
  readonly last_error: string;
}

/** The same with what the workers find when they use it. */
export interface AddressStatus extends Omit<ProbedAddress, 'state'> {
  /** EJECTED: probes do not speak against it, but requests fail there, and some worker leaves it out. */
  readonly state: ProbedAddress['state'] | 'EJECTED';
  /** Requests under way there, over all workers. */
  readonly in_flight: number;
  readonly ejected_workers: number;
  /** Epoch milliseconds when the last of these workers tries it again; null when none leaves it out. */
  readonly ejected_until: number | null;
  /** Times that a worker began to leave it out. */
  readonly ejections: number;
}

export interface DeploymentView {
  readonly name: string;
  /** As in the manifest, defaults filled in. */
  readonly spec: JsonObject;
  /** Whether what serves has a ready address. */
  readonly state: 'READY' | 'NOT_READY';
  /** True: it serves as before its last change, or its deletion, until what takes over is ready. */
  readonly pending: boolean;
  readonly message: string;
  /** What serves, then what is to take over. */
  readonly addresses: AddressStatus[];
  readonly load: DeploymentLoad;
  /** Endpoints whose active or pending config uses it. */
  readonly used_by: string[];
}

/** Over all workers; what was refused since the daemon's start. */
export interface DeploymentLoad {
  readonly in_flight: number;
  /** `limits.max_in_flight`; 0: no limit. */
  readonly max_in_flight: number;
  /** Requests that wait for a place. */
  readonly waiting: number;
  /** Answered 429 because there was no place and no queue, or a full one. */
  readonly refused_full: number;
  /** Answered 429 because no place became free in `limits.queue_ms`. */
  readonly refused_deadline: number;
}

/** Sums since the daemon's start, over workers that live and workers that died. */
export interface Traffic {
  readonly requests: number;
  /** Answers of status 500 and above. */
  readonly errors: number;
  readonly in_flight: number;
  /** Quantiles are read from histogram buckets; null without any request. */
  readonly latency_p50_ms: number | null;
  readonly latency_p90_ms: number | null;
  readonly latency_p99_ms: number | null;
}

export interface EndpointStatus extends Traffic {
  readonly name: string;
  readonly id: string;
  readonly ready: 'READY' | 'NOT_READY';
  readonly config_update: 'NOT_UPDATING' | 'IN_PROGRESS' | 'UPDATE_FAILED' | 'UPDATE_CANCELED';
  readonly config_version: number | null;
  readonly pending_config_version: number | null;
  /** Why a pending config waits or an update ended without becoming active; empty otherwise. */
  readonly message: string;
  /** Of the active config; of the pending one as long as there is none. */
  readonly entities: EntityStatus[];
  /** The config that waits, or the one whose update failed or was canceled; null: none. */
  readonly pending: PendingStatus | null;
}

/** What a served entity serves; a feature spec has no version, an external model neither. */
export interface ServedModel {
  readonly entity_name: string | null;
  readonly entity_version: string | null;
}

export interface EntityStatus extends ServedModel, Traffic {
  readonly name: string;
  readonly traffic_percentage: number;
  readonly deployment: string;
}

export interface PendingStatus {
  readonly config_version: number;
  /** Epoch milliseconds. */
  readonly started_at: number;
  readonly entities: PendingEntityStatus[];
}

export interface PendingEntityStatus extends ServedModel {
  readonly name: string;
  readonly traffic_percentage: number;
  readonly deployment: string;
  readonly ready: boolean;
  /** What it waits for, or what it lacked when the update ended; empty when ready. */
  readonly reason: string;
}

/** One accepted config of an endpoint. */
export interface ConfigHistoryItem {
  readonly config_version: number;
  /** Epoch milliseconds. */
  readonly accepted_at: number;
  readonly principal: string;
  /** Epoch milliseconds of the last time that it became active; null: never did. */
  readonly activated_at: number | null;
  readonly active: boolean;
  /** Says the same as the active one, which is the case for that one, too. */
  readonly equals_active: boolean;
  /** True while it waits for readiness. */
  readonly pending: boolean;
  readonly split: ShareStatus[];
}

export interface ShareStatus extends ServedModel {
  readonly name: string;
  readonly traffic_percentage: number;
}

export interface Status {
  readonly version: string;
  readonly revision: number;
  readonly uptime_s: number;
  readonly workers: WorkerStatus[];
  readonly endpoints: EndpointStatus[];
  readonly deployments: DeploymentView[];
}

export interface WorkerStatus {
  readonly slot: number;
  readonly pid: number | null;
  readonly state: 'STARTING' | 'SERVING' | 'DRAINING' | 'DEAD';
  /** Which of the data port's doors the worker has. */
  readonly mode: 'native' | 'guarded' | 'js';
  /** Revision that it dispatches under; 0 before the first. */
  readonly revision: number;
  /** Milliseconds since its event loop was last seen turning; null while it is not alive. */
  readonly heartbeat_age_ms: number | null;
  /** Revisions besides the active one that requests in flight hold on to. */
  readonly revisions_held: number;
  readonly connections: number;
  /** At the limit of connections, since the slot's process was started. */
  readonly connections_refused: number;
  readonly in_flight: number;
  /** Times that the slot's process was started again since the daemon's start. */
  readonly restarts: number;
  /** True: the slot came back with less after repeated native crashes; somebody should look. */
  readonly degraded: boolean;
}

export interface ControlPlane {
  /** Permissions on endpoints. */
  readonly grants: GrantBook;
  createEndpoint(body: unknown, options: ChangeOptions): Promise<Tagged<JsonObject>>;
  /** @throws PointsmanError RESOURCE_DOES_NOT_EXIST */
  getEndpoint(name: string): Tagged<JsonObject>;
  listEndpoints(): JsonObject[];
  updateConfig(name: string, body: unknown, options: ChangeOptions): Promise<Tagged<JsonObject>>;
  deleteEndpoint(name: string, options: ChangeOptions): Promise<void>;
  /**
   * Accepts an earlier config again, as a new version, by way of the readiness gate. Body:
   * `{"config_version": n}`.
   * @throws PointsmanError RESOURCE_DOES_NOT_EXIST for a version that is not kept, RESOURCE_CONFLICT
   *   while an update is in progress and `preempt` is not set.
   */
  rollbackEndpoint(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<JsonObject>>;
  /**
   * Ends the update in progress; the active config goes on.
   * @throws PointsmanError RESOURCE_CONFLICT when there is none.
   */
  cancelUpdate(name: string, options: ChangeOptions): Promise<Tagged<JsonObject>>;
  /** The accepted configs that are kept, newest first. */
  endpointHistory(name: string): ConfigHistoryItem[];

  listDeployments(): DeploymentView[];
  getDeployment(name: string): Tagged<DeploymentView>;
  /** Creates or replaces; answers with the state before the probes have spoken. */
  putDeployment(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<DeploymentView>>;
  /** @throws PointsmanError RESOURCE_CONFLICT while an active or pending config uses it. */
  deleteDeployment(name: string, options: ChangeOptions): Promise<void>;

  getManifest(): Tagged<JsonObject>;
  /** All or nothing. Endpoints that must wait for readiness are pending when it answers. */
  applyManifest(manifest: unknown, options: ManifestOptions): Promise<ManifestResult>;
  /** Resolves when no endpoint has a pending config, or after `timeoutMs`; false in the latter case. */
  waitSettled(timeoutMs: number): Promise<boolean>;

  /** Status without the workers' part, which the supervisor adds. Reads counters; asks nobody. */
  status(): Pick<Status, 'revision' | 'endpoints' | 'deployments'>;
  /** Counters of everything that the active revision names. */
  stats(): Pick<Stats, 'entities' | 'addresses' | 'deployments'>;
  readonly revision: number;
}
