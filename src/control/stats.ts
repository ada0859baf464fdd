/**
 * What the workers have counted, summed over all of them and over those that died: counters never fall while
 * the daemon runs. Read from the shared memory, so it costs the workers nothing.
 */

export interface Stats {
  readonly entities: EntityStats[];
  readonly addresses: AddressStats[];
  readonly deployments: DeploymentStats[];
  readonly refusals: RefusalStats[];
  readonly workers: WorkerGauges[];
}

export interface EntityStats {
  readonly endpoint: string;
  readonly entity: string;
  /** Counts of 1xx..5xx answers at index 0..4. */
  readonly statusClasses: number[];
  /** The part of them that the native door answered. */
  readonly nativeClasses: number[];
  /** Counts per bucket of LATENCY_BUCKETS_MS (the last is +Inf); not cumulative. */
  readonly latencyBuckets: number[];
  readonly latencySumMs: number;
  readonly inFlight: number;
}

export interface AddressStats {
  readonly deployment: string;
  /** `host:port` or `unix:/path`. */
  readonly address: string;
  readonly inFlight: number;
  readonly idleConnections: number;
  readonly connects: number;
  readonly connectFailures: number;
  /** Attempts, retries included. */
  readonly requests: number;
  /** Attempts beyond the first of their request. */
  readonly retries: number;
  /** Attempts that spoke against the address. */
  readonly failures: number;
  readonly ejections: number;
  /** Workers that leave it out now. */
  readonly ejectedWorkers: number;
  /** Until the last of them tries it again. */
  readonly ejectedForMs: number;
}

export interface DeploymentStats {
  readonly deployment: string;
  /** 0: no limit. */
  readonly maxInFlight: number;
  readonly inFlight: number;
  /** Requests that wait for a place of the deployment or of one of its entities. */
  readonly waiting: number;
  /** Answered 429: no place and no queue, or a full one. */
  readonly refusedFull: number;
  /** Answered 429: no place in `queue_ms`. */
  readonly refusedDeadline: number;
}

/** Requests that a worker answered by itself, by error code. */
export interface RefusalStats {
  readonly code: string;
  readonly count: number;
}

export interface WorkerGauges {
  readonly slot: number;
  /** Rises several times a second while the worker's loop turns. */
  readonly heartbeat: number;
  /** Revision of the worker's last dispatch or switch; 0 before the first. */
  readonly revision: number;
  /** Oldest revision that a request in flight was dispatched under. */
  readonly oldestRevision: number;
  /** Revisions besides the active one that requests in flight hold on to. */
  readonly revisionsHeld: number;
  readonly connectionsOpen: number;
  readonly requestsInFlight: number;
  /** At the limit of connections, since the worker's process began. */
  readonly connectionsRefused: number;
}
