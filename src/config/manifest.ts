/**
 * The manifest: which deployments run where, and which endpoints stand in front of them.
 *
 * This schema is the one source of types, defaults, ranges and docs/manifest.md (a test compares
 * both ways). What a schema cannot say (URLs, one deployment per entity version, what is not built
 * yet) is checked in src/control/deployment-input.ts; an endpoint's `config` is the body of the
 * REST API and is read by src/control/endpoint-input.ts.
 */
import Type, { type Static } from 'typebox';
import { DESCRIPTION_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX } from '../core/limits.js';
import { compileValidator } from './validate.js';

const CLOSED = { additionalProperties: false };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const DEPLOYMENTS_MAX = 10_000;
export const ENDPOINTS_MAX = 100_000;
export const REPLICAS_MAX = 1_000;
export const REPLICA_WEIGHT_MAX = 1_000;
export const DEPLOYMENT_HEADERS_MAX = 32;
export const IN_FLIGHT_MAX = 1_000_000;
export const QUEUE_MAX = 10_000;

const milliseconds = (minimum: number, maximum: number, byDefault: number, description: string) =>
  Type.Integer({ minimum, maximum, default: byDefault, description });

const ServesSchema = Type.Object(
  {
    entity_name: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Name of the model or feature spec, as served entities name it',
    }),
    entity_version: Type.Optional(
      Type.Unsafe<string | number>({
        type: ['string', 'integer'],
        minLength: 1,
        maxLength: 255,
        description: 'Version; absent for a feature spec; an integer is taken as text',
      }),
    ),
    kind: Type.Optional(
      Type.Unsafe<'model' | 'feature_spec' | 'foundation'>({
        type: 'string',
        enum: ['model', 'feature_spec', 'foundation'],
        description: 'By default `model` with a version, `feature_spec` without one',
      }),
    ),
    model: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        description: 'Name of the model in the replicas, where a protocol carries one',
      }),
    ),
  },
  CLOSED,
);

const ReplicaSchema = Type.Object(
  {
    url: Type.String({
      minLength: 1,
      maxLength: 2_048,
      description: 'Base URL: `http://host[:port][/path]` or `unix:/path.sock`',
    }),
    weight: Type.Integer({
      minimum: 0,
      maximum: REPLICA_WEIGHT_MAX,
      default: 1,
      description: "Share of the deployment's requests relative to the other replicas; 0 drains",
    }),
  },
  CLOSED,
);

const HealthSchema = Type.Object(
  {
    type: Type.Optional(
      Type.Unsafe<'http' | 'tcp'>({
        type: 'string',
        enum: ['http', 'tcp'],
        description: 'By default `http` for `mlflow` or when `path` is given, else `tcp`',
      }),
    ),
    path: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2_048,
        description:
          "Asked by GET below the replica's URL; by default `/ping`; only with `type: http`",
      }),
    ),
    interval_ms: milliseconds(50, HOUR_MS, 2_000, 'Time between two probes of an address'),
    timeout_ms: milliseconds(10, 60_000, 1_000, 'A probe without an answer by then has failed'),
    healthy_after: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 1,
      description: 'Successes in a row that make an address ready',
    }),
    unhealthy_after: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 3,
      description: 'Failures in a row that take an address out',
    }),
  },
  { ...CLOSED, default: {}, description: 'How its addresses are probed' },
);

const TimeoutsSchema = Type.Object(
  {
    connect_ms: milliseconds(1, 600_000, 1_000, 'To open a connection to a replica'),
    response_header_ms: milliseconds(1, HOUR_MS, 297_000, "Until the head of a replica's answer"),
    body_idle_ms: milliseconds(1, HOUR_MS, 60_000, 'Longest silence inside a body'),
    total_ms: milliseconds(0, DAY_MS, 0, 'Whole exchange; 0: no bound'),
    keepalive_idle_ms: milliseconds(1, HOUR_MS, 4_000, 'An idle connection is closed after that'),
  },
  { ...CLOSED, default: {}, description: 'Bounds on time towards replicas' },
);

const LimitsSchema = Type.Object(
  {
    max_in_flight: Type.Integer({
      minimum: 0,
      maximum: IN_FLIGHT_MAX,
      default: 0,
      description: 'Requests that its replicas work on at once, over all workers; 0: no limit',
    }),
    from_workload: Type.Boolean({
      default: false,
      description: 'Limits each served entity to the upper concurrency of its workload size, too',
    }),
    queue: Type.Integer({
      minimum: 0,
      maximum: QUEUE_MAX,
      default: 0,
      description:
        'Requests that wait while a limit is reached, over all workers; the next one is answered 429',
    }),
    queue_ms: milliseconds(0, 600_000, 0, 'A request that has waited that long is answered 429'),
  },
  { ...CLOSED, default: {}, description: 'Bounds on load (see below)' },
);

export const DeploymentSchema = Type.Object(
  {
    name: Type.String({ description: 'Letters, digits, `-` and `_`; at most 63' }),
    serves: Type.Array(ServesSchema, {
      minItems: 1,
      maxItems: 1_000,
      description: 'Entity versions that run here; each belongs to one deployment',
    }),
    protocol: Type.Unsafe<'mlflow' | 'raw' | 'openai' | 'oip'>({
      type: 'string',
      enum: ['mlflow', 'raw', 'openai', 'oip'],
      default: 'mlflow',
      description:
        '`mlflow` relays to `{url}/invocations`; `raw` relays method, body and query to `{url}`; ' +
        '`openai` and `oip` are refused in this version',
    }),
    replicas: Type.Array(ReplicaSchema, {
      minItems: 1,
      maxItems: REPLICAS_MAX,
      description: 'Where it runs',
    }),
    headers: Type.Record(Type.String(), Type.String({ maxLength: 8_192 }), {
      default: {},
      description: 'Fields set on every request to a replica, probes too',
    }),
    health: HealthSchema,
    timeouts: TimeoutsSchema,
    limits: LimitsSchema,
    replay_safe: Type.Boolean({
      default: false,
      description: 'A request may be sent again when a reused connection closed without an answer',
    }),
  },
  CLOSED,
);

const TagSchema = Type.Object(
  {
    key: Type.String({ minLength: 1, description: 'Unique in the endpoint' }),
    value: Type.Optional(
      Type.String({
        maxLength: TAG_VALUE_CHARS_MAX,
        description: `Free text, at most ${String(TAG_VALUE_CHARS_MAX)} characters`,
      }),
    ),
  },
  CLOSED,
);

export const ManifestEndpointSchema = Type.Object(
  {
    name: Type.String({ description: 'Letters, digits, `-` and `_`; at most 63' }),
    config: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description:
          'As in the REST API (see below); absent: the endpoint keeps the one that it has',
      }),
    ),
    tags: Type.Array(TagSchema, {
      default: [],
      maxItems: TAGS_MAX,
      description: '`key` and an optional `value` each',
    }),
    description: Type.String({
      default: '',
      maxLength: DESCRIPTION_CHARS_MAX,
      description: `Free text, at most ${String(DESCRIPTION_CHARS_MAX)} characters`,
    }),
    route_optimized: Type.Boolean({ default: false, description: 'Cannot change after creation' }),
    policy: Type.Record(Type.String(), Type.Unknown(), {
      default: {},
      description: 'Only empty in this version',
    }),
    access_control_list: Type.Optional(
      Type.Array(Type.Unsafe<Record<string, unknown>>({ type: 'object' }), {
        maxItems: 1_000,
        description:
          'Direct permissions: `user_name`, `group_name` or `service_principal_name` with ' +
          '`permission_level`; absent: kept as they are',
      }),
    ),
  },
  CLOSED,
);

export const ManifestSchema = Type.Object(
  {
    deployments: Type.Array(DeploymentSchema, {
      default: [],
      maxItems: DEPLOYMENTS_MAX,
      description: 'Where entities run',
    }),
    endpoints: Type.Array(ManifestEndpointSchema, {
      default: [],
      maxItems: ENDPOINTS_MAX,
      description: 'What clients call',
    }),
  },
  CLOSED,
);

export type DeploymentInput = Static<typeof DeploymentSchema>;
export type ManifestEndpointInput = Static<typeof ManifestEndpointSchema>;

export const validateManifest = compileValidator(ManifestSchema);
export const validateDeployment = compileValidator(DeploymentSchema);
