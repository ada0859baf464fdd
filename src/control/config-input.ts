/**
 * The config of an endpoint as a request gives it (`config` of a create, the whole body of an
 * update): entities, routes, and the rules between them (reference/databricks-serving-api.md,
 * sections 3.2 and 5).
 */
import { joinPath } from '../config/validate.js';
import { invalidField } from '../core/errors.js';
import { CONFIG_BYTES_MAX, SERVED_ENTITIES_MAX } from '../core/limits.js';
import type { JsonObject } from './control-plane.js';
import {
  ENTITY_FORM,
  MODEL_FORM,
  entityKeys,
  parseEntity,
  type EntityForm,
  type EntityInput,
} from './entity-input.js';
import { checkBytes, TEXT_CHARS_MAX, type Fields } from './input.js';
import { sameJson } from './json.js';
import {
  entityKey,
  type ConfigRecord,
  type EntityRecord,
  type RouteRecord,
  type ServedBy,
} from './records.js';

export const CONFIG_KEYS = [
  'name',
  'served_entities',
  'served_models',
  'traffic_config',
  'auto_capture_config',
] as const;
export const ROUTE_KEYS = [
  'served_model_name',
  'served_entity_name',
  'traffic_percentage',
] as const;

type EntityKind = 'model' | 'feature_spec' | 'foundation' | 'external';

export interface ConfigContext {
  /** The config that a body without entities changes; null before the first. */
  readonly current: ConfigRecord | null;
  /** The config that serves; null before the first. */
  readonly active: ConfigRecord | null;
  readonly routeOptimized: boolean;
  readonly servedBy: ServedBy;
  readonly principal: string;
  readonly nowMs: number;
  /** Unknown keys are an error (manifest) instead of ignored (REST). */
  readonly strict: boolean;
}

/** A config without its version, which the accepting change gives. */
export type ConfigInput = Omit<ConfigRecord, 'version'>;

/**
 * Null when the body names neither entities nor routes (a create without a config makes a shell).
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming the field.
 */
export function parseConfig(fields: Fields, context: ConfigContext): ConfigInput | null {
  if (context.strict) fields.onlyKeys(CONFIG_KEYS);
  const form = formOf(fields);
  const list = form === null ? null : fields.objects(form.list);
  const traffic = fields.object('traffic_config');
  if (form === null || list === null) {
    if (traffic === null) return null;
    return keepEntities(fields, traffic, context);
  }
  const inputs = parseEntities(fields.at(form.list), list, form, context);
  checkKinds(inputs, context);
  const entities = inputs.map((input) => toRecord(input, context));
  const config = {
    entities,
    routes: parseRoutes(fields.at('traffic_config'), traffic, entities, context.strict),
    autoCapture: parseAutoCapture(fields),
  };
  checkBytes(config, CONFIG_BYTES_MAX, fields.path === '' ? form.list : fields.path);
  return config;
}

function formOf(fields: Fields): EntityForm | null {
  const current = fields.has('served_entities');
  const legacy = fields.has('served_models');
  if (current && legacy) {
    throw invalidField(fields.at('served_models'), 'excludes served_entities: give one of the two');
  }
  if (current) return ENTITY_FORM;
  return legacy ? MODEL_FORM : null;
}

/** A body with routes alone changes the split and keeps the entities. */
function keepEntities(fields: Fields, traffic: Fields, context: ConfigContext): ConfigInput {
  if (context.current === null) {
    throw invalidField(fields.at('served_entities'), 'missing; the endpoint has no entities yet');
  }
  const { entities, autoCapture } = context.current;
  return {
    entities,
    routes: parseRoutes(fields.at('traffic_config'), traffic, entities, context.strict),
    autoCapture: parseAutoCapture(fields) ?? autoCapture,
  };
}

function parseEntities(
  path: string,
  list: readonly Fields[],
  form: EntityForm,
  context: ConfigContext,
): EntityInput[] {
  if (list.length === 0) throw invalidField(path, 'must name at least one entity');
  if (list.length > SERVED_ENTITIES_MAX) {
    throw invalidField(path, `takes at most ${String(SERVED_ENTITIES_MAX)} entities`);
  }
  const seen = new Map<string, string>();
  return list.map((item) => {
    if (context.strict) item.onlyKeys(entityKeys(form));
    const entity = parseEntity(item, form);
    const before = seen.get(entity.name);
    if (before !== undefined) {
      throw invalidField(
        item.at('name'),
        `duplicate name ${JSON.stringify(entity.name)}; ${before} has it already`,
      );
    }
    seen.set(entity.name, item.path);
    return entity;
  });
}

function checkKinds(inputs: readonly EntityInput[], context: ConfigContext): void {
  const first = inputs[0];
  if (first === undefined) return;
  const kind = kindOf(first, context.servedBy);
  for (const input of inputs) {
    const other = kindOf(input, context.servedBy);
    if (other !== kind) {
      throw invalidField(
        input.path,
        `entities of different kinds in one endpoint: this is ${KIND_WORDS[other]}, ` +
          `${first.path} is ${KIND_WORDS[kind]}`,
      );
    }
    if (input.externalModel?.task !== first.externalModel?.task) {
      throw invalidField(
        joinPath(joinPath(input.path, 'external_model'), 'task'),
        `must be the task of ${first.path}, ${first.externalModel?.task ?? 'none'}`,
      );
    }
  }
  if (context.routeOptimized && (kind === 'external' || kind === 'foundation')) {
    throw invalidField(
      first.path,
      `route_optimized endpoints cannot serve ${KIND_WORDS[kind]}: ` +
        'custom models and feature specs only',
    );
  }
  const wasExternal = context.active?.entities[0]?.externalModel;
  if (wasExternal !== undefined && (wasExternal !== null) !== (kind === 'external')) {
    throw invalidField(
      first.path,
      'an update cannot turn external models into other entities or back; ' +
        'delete the endpoint and create it anew',
    );
  }
}

const KIND_WORDS: Readonly<Record<EntityKind, string>> = {
  model: 'a custom model',
  feature_spec: 'a feature spec (no entity_version)',
  foundation: 'a foundation model',
  external: 'an external model',
};

function kindOf(input: EntityInput, servedBy: ServedBy): EntityKind {
  if (input.entityName === null) return 'external';
  if (input.provisionedThroughput) return 'foundation';
  const serving = servedBy.get(entityKey(input.entityName, input.entityVersion));
  return serving?.kind ?? (input.entityVersion === null ? 'feature_spec' : 'model');
}

/** An entity that an update leaves as it is keeps its creator and time. */
function toRecord(input: EntityInput, context: ConfigContext): EntityRecord {
  const fresh: EntityRecord = {
    name: input.name,
    entityName: input.entityName,
    entityVersion: input.entityVersion,
    externalModel: input.externalModel,
    settings: input.settings,
    creator: context.principal,
    createdAt: context.nowMs,
  };
  const before = context.current?.entities.find((entity) => entity.name === input.name);
  if (before === undefined) return fresh;
  const same = { ...fresh, creator: before.creator, createdAt: before.createdAt };
  return sameJson(same, before) ? before : fresh;
}

function parseRoutes(
  path: string,
  traffic: Fields | null,
  entities: readonly EntityRecord[],
  strict: boolean,
): RouteRecord[] {
  if (strict) traffic?.onlyKeys(['routes']);
  const list = traffic?.objects('routes') ?? [];
  if (list.length === 0) {
    const only = entities[0];
    if (only !== undefined && entities.length === 1)
      return [{ entity: only.name, percentage: 100 }];
    throw invalidField(
      traffic === null ? path : traffic.at('routes'),
      `missing; ${String(entities.length)} served entities need a traffic split`,
    );
  }
  const names = new Set(entities.map((entity) => entity.name));
  const routed = new Set<string>();
  const routes = list.map((item) => {
    if (strict) item.onlyKeys(ROUTE_KEYS);
    const route = parseRoute(item, names);
    if (routed.has(route.entity)) {
      throw invalidField(
        targetPath(item),
        `a second route for served entity ${JSON.stringify(route.entity)}`,
      );
    }
    routed.add(route.entity);
    return route;
  });
  const sum = routes.reduce((total, route) => total + route.percentage, 0);
  if (sum !== 100) {
    throw invalidField(
      joinPath(path, 'routes'),
      `the traffic_percentage values sum to ${String(sum)}, must be 100`,
    );
  }
  return routes;
}

function parseRoute(item: Fields, names: ReadonlySet<string>): RouteRecord {
  const model = item.string('served_model_name');
  const entity = item.string('served_entity_name');
  if (model !== null && entity !== null && model !== entity) {
    throw invalidField(
      item.at('served_entity_name'),
      `differs from served_model_name (${JSON.stringify(entity)} and ${JSON.stringify(model)})`,
    );
  }
  const target = model ?? entity;
  if (target === null) throw invalidField(item.at('served_model_name'), 'missing');
  if (!names.has(target)) {
    throw invalidField(
      targetPath(item),
      `no served entity is named ${JSON.stringify(target)}; there are ${[...names].join(', ')}`,
    );
  }
  const percentage = item.integer('traffic_percentage', 0, 100);
  if (percentage === null) throw invalidField(item.at('traffic_percentage'), 'missing');
  return { entity: target, percentage };
}

function targetPath(item: Fields): string {
  return item.at(item.has('served_model_name') ? 'served_model_name' : 'served_entity_name');
}

const AUTO_CAPTURE_TEXTS = ['catalog_name', 'schema_name', 'table_name_prefix'];

/** Stored and shown; no table is written. */
function parseAutoCapture(fields: Fields): JsonObject | null {
  const capture = fields.object('auto_capture_config');
  if (capture === null) return null;
  const kept: JsonObject = {};
  for (const key of AUTO_CAPTURE_TEXTS) {
    const value = capture.string(key, TEXT_CHARS_MAX);
    if (value !== null) kept[key] = value;
  }
  const enabled = capture.boolean('enabled');
  if (enabled !== null) kept['enabled'] = enabled;
  return kept;
}
