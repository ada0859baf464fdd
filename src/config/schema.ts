/**
 * The configuration file's schema: the only place that knows a key. Types, defaults, validation,
 * flags, environment variables and the table in docs/configuration.md are all derived from it.
 *
 * A leaf is a key that holds one setting; groups hold leaves, one level deep. Keys are spelled as
 * in the file; a leaf `group.some_key` has the flag `--group-some-key` and the variable
 * `POINTSMAN_GROUP_SOME_KEY`.
 */
import Type, { type Static, type TSchema } from 'typebox';
import { ISSUERS_MAX } from './issuers.js';

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

const listen = (defaultAddress: string, what: string) =>
  Type.Union(
    [Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })],
    {
      default: defaultAddress,
      description:
        `${what} (\`host:port\`, \`[::1]:port\`; port 0 lets the system choose), ` +
        'or a list of them',
    },
  );

const dataPlane = Type.Object({
  listen: listen('127.0.0.1:8080', 'Address of the data port'),
  workers: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 256,
    description: 'Worker processes; 0: one per available core, the cgroup quota honoured',
  }),
  public_url: Type.String({
    default: '',
    pattern: '^$|^https?://[^\\s/?#@]+$',
    description:
      'URL by which clients reach the data port; empty: made from the first listen address',
  }),
  serving_domain: Type.String({
    default: '',
    pattern: '^$|^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$',
    description: 'Domain of `{endpoint-id}.DOMAIN` host names for route-optimized endpoints',
  }),
  fast_path: Type.Boolean({
    default: true,
    description: 'Relay plain invocations natively; false: all requests by the JavaScript door',
  }),
  guard: Type.Enum(['require', 'off'], {
    default: 'require',
    description:
      'The native request guard; `off` leaves request framing to the HTTP server library',
  }),
  allow_unauthenticated: Type.Boolean({
    default: false,
    description: 'Allow `auth.mode: disabled` on a data port that others can reach',
  }),
  max_request_bytes: Type.Integer({
    default: 16 * MIB,
    minimum: 1024,
    maximum: 16 * 1024 * MIB,
    description: 'Largest request body in bytes',
  }),
  max_header_bytes: Type.Integer({
    default: 16_384,
    minimum: 1024,
    maximum: MIB,
    description: 'Largest request head in bytes',
  }),
  max_connections: Type.Integer({
    default: 10_000,
    minimum: 1,
    maximum: 1_000_000,
    description: 'Client connections of one worker',
  }),
  drain_delay_ms: Type.Integer({
    default: 5000,
    minimum: 0,
    maximum: 600_000,
    description: 'At a stop, how long `/readyz` says 503 while requests are still accepted',
  }),
  drain_timeout_ms: Type.Integer({
    default: 30_000,
    minimum: 0,
    maximum: 3_600_000,
    description: 'At a stop, how long requests in flight may take to end',
  }),
});

const admin = Type.Object({
  listen: listen('127.0.0.1:8081', 'Address of the admin port'),
  public_url: Type.String({
    default: '',
    pattern: '^$|^https?://[^\\s/?#@]+$',
    description:
      'URL by which operators reach the admin port; empty: made from the first listen address',
  }),
  allowed_hosts: Type.Array(Type.String({ pattern: '^[^\\s/:@]+$|^\\[[0-9a-fA-F:.]+\\]$' }), {
    default: [],
    maxItems: 64,
    description:
      'Host names that requests to the admin port may carry beside loopback names and that of ' +
      '`admin.public_url`; empty on a port that others can reach: any',
  }),
  allow_plaintext: Type.Boolean({
    default: false,
    description: 'Allow an admin port without TLS that others can reach',
  }),
});

const auth = Type.Object({
  mode: Type.Enum(['required', 'disabled'], {
    default: 'required',
    description: 'Whether the data port asks for a credential; the admin port always does',
  }),
  issuer: Type.String({
    default: '',
    maxLength: 1024,
    description:
      'Issuer name of our own tokens; empty: `/oidc` under `data_plane.public_url`, and without that ' +
      'under the URL of the first start, kept in `{state_dir}/issuer`',
  }),
  token_ttl_s: Type.Integer({
    default: 3600,
    minimum: 60,
    maximum: 86_400,
    description: 'Life of our own tokens in seconds',
  }),
  issuers: Type.Array(Type.Unknown(), {
    default: [],
    maxItems: ISSUERS_MAX,
    description: 'External issuers whose tokens are taken (keys below)',
  }),
});

export const CONFIG_SCHEMA = Type.Object({
  data_plane: dataPlane,
  admin,
  state_dir: Type.String({
    default: './pointsman-state',
    minLength: 1,
    description:
      'Folder of the store, the credentials and the control socket; relative to this file',
  }),
  workspace_id: Type.String({
    default: '1',
    pattern: '^[0-9]{1,20}$',
    description: 'Workspace id in `/{workspace_id}/serving-endpoints/...`',
  }),
  auth,
  update_deadline_ms: Type.Integer({
    default: 540_000,
    minimum: 1000,
    maximum: DAY_MS,
    description: 'How long a pending config may wait for readiness before it fails',
  }),
  manifest: Type.String({
    default: './manifest.yaml',
    description:
      'Manifest applied when the store is empty, later only compared; relative to this file; the ' +
      'default file may be absent; empty: none',
  }),
  core_dumps: Type.Boolean({
    default: false,
    description:
      'Leave core dumps to the environment; false: none, because the memory holds tokens and keys',
  }),
  log: Type.Object({
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      default: 'info',
      description: 'Least severity that is logged: JSON lines, readable on a terminal',
    }),
  }),
});

/** The settings as the file spells them, every default filled in. */
export type ConfigValues = Static<typeof CONFIG_SCHEMA>;

/** What the derivations read of a leaf's JSON schema. */
export interface LeafSchema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly default: unknown;
  readonly description: string;
}

export interface Leaf {
  /** Dotted key, e.g. `data_plane.listen`. */
  readonly key: string;
  readonly path: readonly string[];
  readonly schema: LeafSchema & TSchema;
  readonly kind: 'string' | 'integer' | 'boolean' | 'list' | 'string or list';
  /** Command-line flag without the dashes; null where a setting has no scalar form. */
  readonly flag: string | null;
  /** Environment variable; null with `flag`. */
  readonly variable: string | null;
}

/** Every setting in the order of the file. */
export const CONFIG_LEAVES: readonly Leaf[] = collectLeaves(CONFIG_SCHEMA, []);

function collectLeaves(schema: TSchema, path: readonly string[]): Leaf[] {
  const { properties } = schema as { properties?: Record<string, TSchema> };
  if (properties === undefined) return [createLeaf(schema as LeafSchema & TSchema, path)];
  return Object.entries(properties).flatMap(([name, child]) =>
    collectLeaves(child, [...path, name]),
  );
}

function createLeaf(schema: LeafSchema & TSchema, path: readonly string[]): Leaf {
  const kind = kindOf(schema);
  const scalar = kind !== 'list';
  const words = path.join('_');
  return {
    key: path.join('.'),
    path,
    schema,
    kind,
    flag: scalar ? words.replaceAll('_', '-') : null,
    variable: scalar ? `POINTSMAN_${words.toUpperCase()}` : null,
  };
}

function kindOf(schema: LeafSchema): Leaf['kind'] {
  if (schema.anyOf !== undefined) return 'string or list';
  if (schema.type === 'integer' || schema.type === 'boolean') return schema.type;
  return schema.type === 'array' ? 'list' : 'string';
}

/** The values a leaf takes, in words: for error messages and for the documentation. */
export function rangeOf(leaf: Leaf): string {
  const { schema } = leaf;
  if (schema.enum !== undefined) return listed(schema.enum);
  switch (leaf.kind) {
    case 'integer':
      return `an integer from ${String(schema.minimum)} to ${String(schema.maximum)}`;
    case 'boolean':
      return 'true or false';
    case 'string or list':
      return 'host:port or a list of host:port';
    case 'list':
      return LIST_FORMS[leaf.key] ?? 'a list of host names';
    case 'string':
      return TEXT_FORMS[leaf.key] ?? 'a text';
  }
}

const LIST_FORMS: Readonly<Record<string, string>> = {
  'auth.issuers': `a list of at most ${String(ISSUERS_MAX)} issuers`,
};

/** Patterns in words; a regular expression helps nobody who mistyped a URL. */
const TEXT_FORMS: Readonly<Record<string, string>> = {
  'data_plane.public_url': 'empty or http(s)://host[:port] without a path',
  'data_plane.serving_domain': 'empty or a domain name in lower case',
  'admin.public_url': 'empty or http(s)://host[:port] without a path',
  state_dir: 'the path of a folder',
  workspace_id: 'a text of 1 to 20 digits (in quotes)',
  'auth.issuer': 'a text of at most 1024 letters',
  manifest: 'empty or the path of a file',
};

/** `a or b`, `a, b or c`. */
function listed(words: readonly string[]): string {
  const head = words.slice(0, -1).join(', ');
  return head === '' ? String(words[0]) : `${head} or ${String(words.at(-1))}`;
}
