/**
 * Every series of `/metrics` that is ours. docs/metrics.md lists the same rows and a test compares
 * them.
 */
import type { MetricSpec } from './exposition.js';

const ENTITY = ['endpoint', 'served_entity'] as const;
const ADDRESS = ['deployment', 'address'] as const;
const DEPLOYMENT = ['deployment'] as const;

export const METRICS = {
  info: {
    name: 'pointsman_info',
    type: 'gauge',
    help: 'Always 1; the label says which version runs.',
    labels: ['version'],
  },
  activeRevision: {
    name: 'pointsman_active_revision',
    type: 'gauge',
    help: 'Number of the active routing state.',
    labels: [],
  },
  workerUp: {
    name: 'pointsman_worker_up',
    type: 'gauge',
    help: '1 while the worker of the slot serves.',
    labels: ['slot'],
  },
  workerRevision: {
    name: 'pointsman_worker_revision',
    type: 'gauge',
    help: 'Revision that the worker of the slot dispatches under.',
    labels: ['slot'],
  },
  workerHeartbeatAge: {
    name: 'pointsman_worker_heartbeat_age_seconds',
    type: 'gauge',
    help: 'Time since the event loop of the worker was last seen turning; absent while it is dead.',
    labels: ['slot'],
  },
  workerRevisionsHeld: {
    name: 'pointsman_worker_revisions_held',
    type: 'gauge',
    help: 'Revisions besides the active one that requests in flight hold on to.',
    labels: ['slot'],
  },
  workerRestarts: {
    name: 'pointsman_worker_restarts_total',
    type: 'counter',
    help: 'Times that the process of the slot was started again.',
    labels: ['slot'],
  },
  workerDegraded: {
    name: 'pointsman_worker_degraded',
    type: 'gauge',
    help: '1 while the slot serves with less after repeated native crashes: an alarm.',
    labels: ['slot'],
  },
  openConnections: {
    name: 'pointsman_open_connections',
    type: 'gauge',
    help: 'Client connections of all workers.',
    labels: [],
  },
  refusedConnections: {
    name: 'pointsman_refused_connections_total',
    type: 'counter',
    help: 'Client connections turned away because a worker had as many as it may.',
    labels: [],
  },
  requests: {
    name: 'pointsman_requests_total',
    type: 'counter',
    help: 'Invocations answered, by status class and by the door that served them.',
    labels: [...ENTITY, 'status_class', 'path'],
  },
  requestDuration: {
    name: 'pointsman_request_duration_seconds',
    type: 'histogram',
    help: 'Time from the dispatch of an invocation to the end of its answer.',
    labels: ENTITY,
  },
  inFlight: {
    name: 'pointsman_in_flight_requests',
    type: 'gauge',
    help: 'Invocations under way.',
    labels: ENTITY,
  },
  refused: {
    name: 'pointsman_refused_requests_total',
    type: 'counter',
    help: 'Requests of the data port answered with an error of pointsman itself, by error code.',
    labels: ['code'],
  },
  endpointReady: {
    name: 'pointsman_endpoint_ready',
    type: 'gauge',
    help: '1 while the endpoint is READY.',
    labels: ['endpoint'],
  },
  endpointConfigVersion: {
    name: 'pointsman_endpoint_config_version',
    type: 'gauge',
    help: 'Active config version of the endpoint; absent before the first one.',
    labels: ['endpoint'],
  },
  endpointPending: {
    name: 'pointsman_endpoint_update_pending',
    type: 'gauge',
    help: '1 while a pending config waits for readiness.',
    labels: ['endpoint'],
  },
  deploymentInFlight: {
    name: 'pointsman_deployment_in_flight_requests',
    type: 'gauge',
    help: 'Requests under way at the deployment, counted against its limit.',
    labels: DEPLOYMENT,
  },
  deploymentInFlightLimit: {
    name: 'pointsman_deployment_in_flight_limit',
    type: 'gauge',
    help: 'Limit max_in_flight of the deployment; absent when it has none.',
    labels: DEPLOYMENT,
  },
  deploymentWaiting: {
    name: 'pointsman_deployment_waiting_requests',
    type: 'gauge',
    help: 'Requests that wait for a place of the deployment or of one of its entities.',
    labels: DEPLOYMENT,
  },
  deploymentRefused: {
    name: 'pointsman_deployment_refused_requests_total',
    type: 'counter',
    help: 'Requests answered 429: no place and no queue or a full one (full), none in time (deadline).',
    labels: [...DEPLOYMENT, 'reason'],
  },
  addressReady: {
    name: 'pointsman_address_ready',
    type: 'gauge',
    help: '1 while the health probe finds the address ready.',
    labels: ADDRESS,
  },
  addressRequests: {
    name: 'pointsman_address_requests_total',
    type: 'counter',
    help: 'Requests relayed to the address.',
    labels: ADDRESS,
  },
  addressInFlight: {
    name: 'pointsman_address_in_flight_requests',
    type: 'gauge',
    help: 'Requests under way at the address.',
    labels: ADDRESS,
  },
  addressIdle: {
    name: 'pointsman_address_idle_connections',
    type: 'gauge',
    help: 'Pooled connections to the address without a request.',
    labels: ADDRESS,
  },
  addressConnects: {
    name: 'pointsman_address_connects_total',
    type: 'counter',
    help: 'Connections opened to the address.',
    labels: ADDRESS,
  },
  addressConnectFailures: {
    name: 'pointsman_address_connect_failures_total',
    type: 'counter',
    help: 'Attempts to connect to the address that failed.',
    labels: ADDRESS,
  },
  addressRetries: {
    name: 'pointsman_address_retries_total',
    type: 'counter',
    help: 'Requests relayed to the address that were tried before, there or at another one.',
    labels: ADDRESS,
  },
  addressFailures: {
    name: 'pointsman_address_failures_total',
    type: 'counter',
    help: 'Requests relayed to the address that ended in a way that speaks against it.',
    labels: ADDRESS,
  },
  addressEjections: {
    name: 'pointsman_address_ejections_total',
    type: 'counter',
    help: 'Times that a worker left the address out because requests failed there.',
    labels: ADDRESS,
  },
  addressEjected: {
    name: 'pointsman_address_ejected_workers',
    type: 'gauge',
    help: 'Workers that leave the address out now.',
    labels: ADDRESS,
  },
} as const satisfies Record<string, MetricSpec>;
