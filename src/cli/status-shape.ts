/** The daemon's status, as far as commands read it. */
import type {
  AddressStatus,
  DeploymentLoad,
  DeploymentView,
  EndpointStatus,
  EntityStatus,
  PendingEntityStatus,
  PendingStatus,
  Status,
  WorkerStatus,
} from '../control/control-plane.js';
import { flag, listOf, number, objectOf, orNull, text, time, type Shape } from './shape.js';

const worker = objectOf<WorkerStatus>({
  slot: number,
  pid: orNull(number),
  state: text,
  mode: text,
  revision: number,
  heartbeat_age_ms: orNull(number),
  revisions_held: number,
  connections: number,
  connections_refused: number,
  in_flight: number,
  restarts: number,
  degraded: flag,
});

const entity = objectOf<EntityStatus>({
  name: text,
  entity_name: orNull(text),
  entity_version: orNull(text),
  traffic_percentage: number,
  deployment: text,
  requests: number,
  errors: number,
  in_flight: number,
  latency_p50_ms: orNull(number),
  latency_p90_ms: orNull(number),
  latency_p99_ms: orNull(number),
});

const pendingEntity = objectOf<PendingEntityStatus>({
  name: text,
  entity_name: orNull(text),
  entity_version: orNull(text),
  traffic_percentage: number,
  deployment: text,
  ready: flag,
  reason: text,
});

const pending = objectOf<PendingStatus>({
  config_version: number,
  started_at: time,
  entities: listOf(pendingEntity),
});

const endpoint = objectOf<EndpointStatus>({
  name: text,
  id: text,
  ready: text,
  config_update: text,
  config_version: orNull(number),
  pending_config_version: orNull(number),
  message: text,
  entities: listOf(entity),
  pending: orNull(pending),
});

const address = objectOf<AddressStatus>({
  address: text,
  replica_url: text,
  weight: number,
  state: text,
  since: number,
  last_error: text,
  in_flight: number,
  ejected_workers: number,
  ejected_until: orNull(number),
});

const load = objectOf<DeploymentLoad>({
  in_flight: number,
  max_in_flight: number,
  waiting: number,
  refused_full: number,
  refused_deadline: number,
});

const deployment = objectOf<DeploymentView>({
  name: text,
  state: text,
  message: text,
  addresses: listOf(address),
  pending: flag,
  load,
  used_by: listOf(text),
});

export const statusShape: Shape<Status> = objectOf<Status>({
  version: text,
  revision: number,
  uptime_s: number,
  workers: listOf(worker),
  endpoints: listOf(endpoint),
  deployments: listOf(deployment),
});
