/**
 * One served entity of a request body, in the current form (`served_entities`) or the legacy one
 * (`served_models`): defaults and rules of reference/databricks-serving-api.md, sections 3.3, 3.4
 * and 5.
 */
import { invalidField } from '../core/errors.js';
import type { JsonObject } from './control-plane.js';
import { parseExternalModel, type ExternalModel } from './external-model.js';
import { ENVIRONMENT_VALUE_CHARS_MAX } from '../core/limits.js';
import { checkName, checkText, Fields } from './input.js';

export const WORKLOAD_SIZES = ['Small', 'Medium', 'Large'] as const;
export const WORKLOAD_TYPES = [
  'CPU',
  'CPU_MEDIUM',
  'CPU_LARGE',
  'GPU_SMALL',
  'GPU_MEDIUM',
  'GPU_LARGE',
  'GPU_XLARGE',
  'GPU_XLARGE_8',
  'MULTIGPU_MEDIUM',
] as const;

const ENVIRONMENT_VARS_MAX = 30;
const CONCURRENCY_STEP = 4;

/** Names of the keys that differ between the two forms. */
export interface EntityForm {
  readonly list: 'served_entities' | 'served_models';
  readonly nameKey: 'entity_name' | 'model_name';
  readonly versionKey: 'entity_version' | 'model_version';
}

export const ENTITY_FORM: EntityForm = {
  list: 'served_entities',
  nameKey: 'entity_name',
  versionKey: 'entity_version',
};
export const MODEL_FORM: EntityForm = {
  list: 'served_models',
  nameKey: 'model_name',
  versionKey: 'model_version',
};

const SETTING_KEYS = [
  'workload_size',
  'workload_type',
  'scale_to_zero_enabled',
  'min_provisioned_concurrency',
  'max_provisioned_concurrency',
  'min_provisioned_throughput',
  'max_provisioned_throughput',
  'provisioned_model_units',
  'burst_scaling_enabled',
  'environment_vars',
  'instance_profile_arn',
] as const;

const THROUGHPUT_KEYS = [
  'min_provisioned_throughput',
  'max_provisioned_throughput',
  'provisioned_model_units',
] as const;

/** Every key that a served entity may have, for docs/manifest.md and the manifest's strictness. */
export function entityKeys(form: EntityForm): string[] {
  const external = form === ENTITY_FORM ? ['external_model'] : [];
  return ['name', form.nameKey, form.versionKey, ...external, ...SETTING_KEYS];
}

export interface EntityInput {
  readonly name: string;
  readonly entityName: string | null;
  readonly entityVersion: string | null;
  readonly externalModel: ExternalModel | null;
  readonly settings: JsonObject;
  /** True when sizes in tokens or model units say that it is a foundation model. */
  readonly provisionedThroughput: boolean;
  readonly path: string;
}

/** @throws PointsmanError INVALID_PARAMETER_VALUE naming the field. */
export function parseEntity(fields: Fields, form: EntityForm): EntityInput {
  const external = form === ENTITY_FORM ? fields.object('external_model') : null;
  return external === null ? parseHosted(fields, form) : parseExternal(fields, external, form);
}

function parseExternal(fields: Fields, external: Fields, form: EntityForm): EntityInput {
  for (const key of [form.nameKey, form.versionKey]) {
    if (fields.has(key)) throw invalidField(fields.at(key), 'excludes external_model');
  }
  for (const key of THROUGHPUT_KEYS) {
    if (fields.has(key)) {
      throw invalidField(
        fields.at(key),
        'provisioned throughput is not supported for external models',
      );
    }
  }
  const externalModel = parseExternalModel(external);
  const byDefault = externalModel.name.replaceAll(/[.:]/g, '-');
  return {
    name: servedName(fields, byDefault),
    entityName: null,
    entityVersion: null,
    externalModel,
    settings: ordered(parseSettings(fields)),
    provisionedThroughput: false,
    path: fields.path,
  };
}

function parseHosted(fields: Fields, form: EntityForm): EntityInput {
  const entityName = fields.requiredText(form.nameKey);
  const entityVersion = parseVersion(fields, form.versionKey);
  if (entityVersion === null && form === MODEL_FORM) {
    throw invalidField(fields.at(form.versionKey), 'missing');
  }
  const settings = parseSettings(fields);
  const provisionedThroughput = THROUGHPUT_KEYS.some((key) => key in settings);
  applyDefaults(fields, settings, provisionedThroughput);
  const last = entityName.slice(entityName.lastIndexOf('.') + 1);
  return {
    name: servedName(fields, entityVersion === null ? last : `${last}-${entityVersion}`),
    entityName,
    entityVersion,
    externalModel: null,
    settings: ordered(settings),
    provisionedThroughput,
    path: fields.path,
  };
}

/** Text, or an integer that becomes text; null when absent. Shared with the manifest's `serves`. */
export function parseVersion(fields: Fields, key: string): string | null {
  const value = fields.get(key);
  if (value === undefined) return null;
  if (typeof value === 'string') return checkText(value, fields.at(key));
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw invalidField(fields.at(key), 'must be a string or an integer');
}

function servedName(fields: Fields, byDefault: string): string {
  const given = fields.string('name');
  if (given !== null) return checkName(given, fields.at('name'));
  try {
    return checkName(byDefault, fields.at('name'));
  } catch (cause) {
    if (cause instanceof Error) {
      throw invalidField(
        fields.at('name'),
        `missing, and the default ${JSON.stringify(byDefault)} is no legal name; give one`,
      );
    }
    throw cause;
  }
}

function parseSettings(fields: Fields): JsonObject {
  const settings: JsonObject = {};
  const put = (key: string, value: string | number | boolean | JsonObject | null) => {
    if (value !== null) settings[key] = value;
  };
  put('workload_size', fields.oneOf('workload_size', WORKLOAD_SIZES));
  put('workload_type', fields.oneOf('workload_type', WORKLOAD_TYPES));
  put('scale_to_zero_enabled', fields.boolean('scale_to_zero_enabled'));
  const unlimited = Number.MAX_SAFE_INTEGER;
  for (const key of ['min_provisioned_concurrency', 'max_provisioned_concurrency']) {
    put(key, fields.integer(key, key.startsWith('max') ? CONCURRENCY_STEP : 0, unlimited));
  }
  for (const key of THROUGHPUT_KEYS) put(key, fields.integer(key, 0, unlimited));
  // Accepted and dropped: the API never shows it (reference, 4.1) and nothing here bursts.
  fields.boolean('burst_scaling_enabled');
  put('environment_vars', parseEnvironment(fields));
  put('instance_profile_arn', fields.string('instance_profile_arn', ENVIRONMENT_VALUE_CHARS_MAX));
  checkSizes(fields, settings);
  return settings;
}

function checkSizes(fields: Fields, settings: JsonObject): void {
  for (const key of ['min_provisioned_concurrency', 'max_provisioned_concurrency']) {
    const value = settings[key];
    if (value === undefined) continue;
    if ('workload_size' in settings) {
      throw invalidField(fields.at(key), 'excludes workload_size: give one of the two');
    }
    if (Number(value) % CONCURRENCY_STEP !== 0) {
      throw invalidField(fields.at(key), `must be a multiple of ${String(CONCURRENCY_STEP)}`);
    }
  }
  for (const what of ['concurrency', 'throughput']) {
    const low = settings[`min_provisioned_${what}`];
    const high = settings[`max_provisioned_${what}`];
    if (typeof low === 'number' && typeof high === 'number' && low > high) {
      throw invalidField(
        fields.at(`min_provisioned_${what}`),
        `must not be greater than max_provisioned_${what}`,
      );
    }
  }
  if ('provisioned_model_units' in settings) {
    const other = THROUGHPUT_KEYS.slice(0, 2).find((key) => key in settings);
    if (other !== undefined)
      throw invalidField(fields.at(other), 'excludes provisioned_model_units');
  }
}

function applyDefaults(fields: Fields, settings: JsonObject, provisionedThroughput: boolean): void {
  const sized =
    'workload_size' in settings ||
    'min_provisioned_concurrency' in settings ||
    'max_provisioned_concurrency' in settings ||
    provisionedThroughput;
  const type = settings['workload_type'];
  if (!sized) {
    if (typeof type === 'string' && type.includes('GPU')) {
      throw invalidField(
        fields.at('workload_size'),
        `missing; workload_type ${type} needs a workload size or a provisioned concurrency`,
      );
    }
    settings['workload_size'] = 'Small';
  }
  settings['workload_type'] ??= 'CPU';
  settings['scale_to_zero_enabled'] ??= false;
}

/** Settings in the order of SETTING_KEYS, so that equal inputs give equal records. */
function ordered(settings: JsonObject): JsonObject {
  const sorted: JsonObject = {};
  for (const key of SETTING_KEYS) {
    const value = settings[key];
    if (value !== undefined) sorted[key] = value;
  }
  return sorted;
}

function parseEnvironment(fields: Fields): JsonObject | null {
  const vars = fields.object('environment_vars');
  if (vars === null) return null;
  const keys = vars.keys();
  if (keys.length > ENVIRONMENT_VARS_MAX) {
    throw invalidField(vars.path, `takes at most ${String(ENVIRONMENT_VARS_MAX)} variables`);
  }
  return Object.fromEntries(
    keys.map((key) => {
      const value = vars.string(key, ENVIRONMENT_VALUE_CHARS_MAX);
      if (value === null) throw invalidField(vars.at(key), 'must be a string');
      if (key === '' || /[=\0]/.test(key)) throw invalidField(vars.at(key), 'is no variable name');
      return [key, value];
    }),
  );
}
