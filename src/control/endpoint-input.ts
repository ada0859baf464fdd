/**
 * The body of a create (POST /api/2.0/serving-endpoints): everything beside the config, which
 * config-input.ts reads (reference/databricks-serving-api.md, sections 3.1 and 3.7).
 */
import { invalidField } from '../core/errors.js';
import {
  DESCRIPTION_CHARS_MAX,
  EXTRA_BYTES_MAX,
  TAG_VALUE_CHARS_MAX,
  TAGS_MAX,
} from '../core/limits.js';
import { parseConfig, type ConfigInput, type ConfigContext } from './config-input.js';
import type { JsonObject } from './control-plane.js';
import { checkBytes, checkName, Fields, TEXT_CHARS_MAX } from './input.js';
import type { TagRecord } from './records.js';

const RESERVED_PREFIX = 'databricks-';

/** Path segments below /api/2.0/serving-endpoints/ that are calls (reference, section 2). */
const RESERVED_NAMES = ['pt', 'get-model-optimization-info'];

export interface CreateInput {
  readonly name: string;
  readonly description: string;
  readonly tags: readonly TagRecord[] | null;
  readonly routeOptimized: boolean;
  readonly extras: JsonObject;
  readonly config: ConfigInput | null;
}

export type CreateContext = Omit<ConfigContext, 'current' | 'active' | 'routeOptimized' | 'strict'>;

/** @throws PointsmanError INVALID_PARAMETER_VALUE naming the field. */
export function parseCreate(body: unknown, context: CreateContext): CreateInput {
  const fields = new Fields(body, '');
  const given = fields.string('name');
  if (given === null) throw invalidField('name', 'missing');
  const name = checkEndpointName(given, 'name');
  const routeOptimized = fields.boolean('route_optimized') ?? false;
  const config = fields.object('config');
  checkRateLimits(fields);
  return {
    name,
    description: fields.string('description', DESCRIPTION_CHARS_MAX) ?? '',
    tags: parseTags(fields),
    routeOptimized,
    extras: parseExtras(fields),
    config:
      config === null
        ? null
        : parseConfig(config, {
            ...context,
            current: null,
            active: null,
            routeOptimized,
            strict: false,
          }),
  };
}

export function checkEndpointName(name: string, path: string): string {
  checkName(name, path);
  if (name.toLowerCase().startsWith(RESERVED_PREFIX)) {
    throw invalidField(path, `the prefix ${RESERVED_PREFIX} is reserved`);
  }
  if (RESERVED_NAMES.includes(name)) {
    throw invalidField(path, `${name} is reserved: it is a call of the API`);
  }
  return name;
}

export function parseTags(fields: Fields): TagRecord[] | null {
  const list = fields.objects('tags');
  if (list === null) return null;
  if (list.length > TAGS_MAX) {
    throw invalidField(fields.at('tags'), `takes at most ${String(TAGS_MAX)} tags`);
  }
  const seen = new Set<string>();
  return list.map((item) => {
    const key = item.requiredText('key');
    if (seen.has(key)) throw invalidField(item.at('key'), `duplicate key ${JSON.stringify(key)}`);
    seen.add(key);
    const value = item.string('value', TAG_VALUE_CHARS_MAX);
    return value === null ? { key } : { key, value };
  });
}

/** Stored and shown; not acted on in this version. */
function parseExtras(fields: Fields): JsonObject {
  const extras: JsonObject = {};
  const budget = fields.string('budget_policy_id', TEXT_CHARS_MAX);
  if (budget !== null) extras['budget_policy_id'] = budget;
  const notifications = fields.object('email_notifications');
  if (notifications !== null) {
    const kept: JsonObject = {};
    for (const key of ['on_update_success', 'on_update_failure']) {
      const addresses = notifications.list(key);
      if (addresses === null) continue;
      kept[key] = addresses.map((address, index) => {
        if (typeof address === 'string') return address;
        throw invalidField(`${notifications.at(key)}[${String(index)}]`, 'must be a string');
      });
    }
    extras['email_notifications'] = kept;
  }
  for (const key of ['ai_gateway', 'telemetry_config']) {
    const value = fields.jsonObject(key);
    if (value !== null) extras[key] = value;
  }
  for (const [key, value] of Object.entries(extras)) {
    checkBytes(value, EXTRA_BYTES_MAX, fields.at(key));
  }
  return extras;
}

/** Write-only in the API and superseded there: checked, neither stored nor shown. */
function checkRateLimits(fields: Fields): void {
  for (const limit of fields.objects('rate_limits') ?? []) {
    if (limit.integer('calls', 0, Number.MAX_SAFE_INTEGER) === null) {
      throw invalidField(limit.at('calls'), 'missing');
    }
    if (limit.oneOf('renewal_period', ['minute']) === null) {
      throw invalidField(limit.at('renewal_period'), 'missing');
    }
    limit.oneOf('key', ['user', 'endpoint']);
  }
}
