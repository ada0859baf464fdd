/** Bounds that no setting changes; each has one reader at least. Settings with bounds live in src/config. */

/** Bounds of the latency histogram's buckets in milliseconds; one more bucket holds the rest. Same in native/core. */
export const LATENCY_BUCKETS_MS = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
] as const;

/** Body of a management call or manifest in bytes. */
export const ADMIN_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Invocations that the admin port relays at once; one more is answered 429 and names the data port. */
export const ADMIN_RELAY_IN_FLIGHT_MAX = 64;

/** Served entities of one endpoint (reference, section 5: 10 documented, 15 real). */
export const SERVED_ENTITIES_MAX = 15;

/** Letters of an endpoint's or served entity's name (reference, section 3.1). */
export const NAME_CHARS_MAX = 63;

/** Letters of an endpoint's description. */
export const DESCRIPTION_CHARS_MAX = 4_096;

/** Tags of one endpoint. */
export const TAGS_MAX = 100;

/** Letters of a tag's value. */
export const TAG_VALUE_CHARS_MAX = 1_024;

/** Letters of an environment variable's value. */
export const ENVIRONMENT_VALUE_CHARS_MAX = 8_192;

/** Bytes of one accepted config as it is stored. An endpoint has two of them at most: the active and the last one. */
export const CONFIG_BYTES_MAX = 256 * 1024;

/** Bytes of each part of an endpoint that is stored and shown without being acted on (`ai_gateway` and so on). */
export const EXTRA_BYTES_MAX = 64 * 1024;

/** Addresses one replica's host name may resolve to. */
export const ADDRESSES_PER_REPLICA_MAX = 64;

/** How often host names of replicas are resolved again, in milliseconds. */
export const RESOLVE_INTERVAL_MS = 5_000;

/** Shares are kept as parts per million of an endpoint's routed traffic. */
export const PPM = 1_000_000;

/**
 * Active endpoints and deployments together, as they are sent to a worker that has none. Half of what one message may
 * take: names of replicas may resolve to more addresses later.
 */
export const SNAPSHOT_BYTES_MAX = 32 * 1024 * 1024;

/** How long every worker may take to build a revision before the change is refused, in milliseconds. */
export const PREPARE_TIMEOUT_MS = 10_000;

/** Connections that may wait in a listening socket. */
export const LISTEN_BACKLOG = 4_096;
