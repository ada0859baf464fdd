/**
 * Endpoint records -> what the REST API shows (reference/databricks-serving-api.md, sections 4 and
 * 16): both entity lists and both route names whichever form was sent, numbers as numbers, and
 * never rate limits, burst_scaling_enabled or plaintext secrets (which no record holds).
 */
import type { JsonObject } from './control-plane.js';
import { entityReadiness, failureOf, NO_PROBE_YET, type ReadinessContext } from './readiness.js';
import type { ConfigRecord, EndpointRecord, EntityRecord, UpdateState } from './records.js';

export interface ViewContext extends ReadinessContext {
  readonly publicUrl: string;
  readonly workspaceId: string;
  /** Behind an endpoint's id in host names of its own; empty: there are none. */
  readonly servingDomain: string;
}

/** Which of an endpoint's configs is shown; decides how an entity's readiness is worded. */
type Shown = 'active' | 'pending' | 'accepted' | 'failed' | 'canceled';

/** ServingEndpointDetailed. */
export function viewEndpoint(record: EndpointRecord, context: ViewContext): JsonObject {
  return view(record, context, PENDING_AS[record.update]);
}

const PENDING_AS = {
  NOT_UPDATING: 'pending',
  IN_PROGRESS: 'pending',
  UPDATE_FAILED: 'failed',
  UPDATE_CANCELED: 'canceled',
} as const satisfies Record<UpdateState, Shown>;

/**
 * The answer to the create that made the record: every entity is being created, whatever is known
 * of its deployment by then. Later reads say what it waits for.
 */
export function viewAccepted(record: EndpointRecord, context: ViewContext): JsonObject {
  return view(record, context, 'accepted');
}

function view(record: EndpointRecord, context: ViewContext, pendingAs: Shown): JsonObject {
  const shown: JsonObject = { ...identity(record), state: stateOf(record) };
  if (record.active !== null) {
    shown['config'] = viewConfig(record, record.active, context, 'active');
  }
  if (record.pending !== null) {
    shown['pending_config'] = viewConfig(record, record.pending.config, context, pendingAs);
  }
  shown['permission_level'] = 'CAN_MANAGE';
  shown['route_optimized'] = record.routeOptimized;
  if (record.routeOptimized) Object.assign(shown, routeOptimizedFields(record, context));
  return { ...shown, ...rest(record) };
}

/** ServingEndpoint: an item of the list, with a summary of the active config. */
export function viewSummary(record: EndpointRecord): JsonObject {
  const shown: JsonObject = { ...identity(record), state: stateOf(record) };
  if (record.active !== null) {
    shown['config'] = {
      served_entities: record.active.entities.map((entity) => ({
        name: entity.name,
        ...target(entity, 'entity_name', 'entity_version'),
      })),
      served_models: record.active.entities.map((entity) => ({
        name: entity.name,
        ...target(entity, 'model_name', 'model_version'),
      })),
    };
  }
  const { ai_gateway: gateway, budget_policy_id: budget } = record.extras;
  if (gateway !== undefined) shown['ai_gateway'] = gateway;
  if (budget !== undefined) shown['budget_policy_id'] = budget;
  return { ...shown, ...described(record) };
}

function identity(record: EndpointRecord): JsonObject {
  return {
    name: record.name,
    id: record.id,
    creator: record.creator,
    creation_timestamp: record.createdAt,
    last_updated_timestamp: record.updatedAt,
  };
}

function stateOf(record: EndpointRecord): JsonObject {
  return {
    ready: record.active === null ? 'NOT_READY' : 'READY',
    config_update: record.update,
  };
}

function described(record: EndpointRecord): JsonObject {
  const shown: JsonObject = { description: record.description };
  if (record.tags !== null) shown['tags'] = record.tags.map((tag) => ({ ...tag }));
  const config = record.active ?? record.pending?.config;
  const task = config?.entities[0]?.externalModel?.['task'];
  if (task !== undefined) shown['task'] = task;
  return shown;
}

function rest(record: EndpointRecord): JsonObject {
  return { ...described(record), ...record.extras };
}

function routeOptimizedFields(record: EndpointRecord, context: ViewContext): JsonObject {
  const { workspaceId } = context;
  const origin = originOf(record, context);
  const url = `${origin}/${workspaceId}/serving-endpoints/${record.name}/invocations`;
  const details = [
    {
      type: 'workspace_permission',
      object_type: 'serving-endpoints',
      object_path: `/serving-endpoints/${record.id}`,
      actions: ['query_inference_endpoint'],
    },
  ];
  return {
    endpoint_url: url,
    data_plane_info: {
      query_info: { endpoint_url: url, authorization_details: JSON.stringify(details) },
    },
  };
}

function originOf({ id }: EndpointRecord, { publicUrl, servingDomain }: ViewContext): string {
  if (servingDomain === '') return publicUrl;
  const { protocol, port } = new URL(publicUrl);
  return `${protocol}//${id}.${servingDomain}${port === '' ? '' : `:${port}`}`;
}

function viewConfig(
  record: EndpointRecord,
  config: ConfigRecord,
  context: ViewContext,
  shownAs: Shown,
): JsonObject {
  const shown: JsonObject = { config_version: config.version };
  if (shownAs !== 'active' && record.pending !== null) {
    shown['start_time'] = record.pending.startedAt;
  }
  const states = config.entities.map((entity) => entityState(record, entity, context, shownAs));
  shown['served_entities'] = config.entities.map((entity, index) => ({
    name: entity.name,
    ...target(entity, 'entity_name', 'entity_version'),
    ...entity.settings,
    creator: entity.creator,
    creation_timestamp: entity.createdAt,
    state: { ...states[index] },
  }));
  shown['served_models'] = config.entities.map((entity, index) => ({
    name: entity.name,
    ...target(entity, 'model_name', 'model_version'),
    ...entity.settings,
    state: { ...states[index] },
  }));
  shown['traffic_config'] = { routes: viewRoutes(config) };
  if (config.autoCapture !== null) shown['auto_capture_config'] = { ...config.autoCapture };
  return shown;
}

function viewRoutes(config: ConfigRecord): JsonObject[] {
  return config.routes.map(({ entity, percentage }) => ({
    served_model_name: entity,
    served_entity_name: entity,
    traffic_percentage: percentage,
  }));
}

/** Name and version under the given keys; an external model or a feature spec has fewer of them. */
function target(entity: EntityRecord, nameKey: string, versionKey: string): JsonObject {
  if (entity.externalModel !== null) return { external_model: entity.externalModel };
  const shown: JsonObject = { [nameKey]: entity.entityName };
  if (entity.entityVersion !== null) shown[versionKey] = entity.entityVersion;
  return shown;
}

function entityState(
  record: EndpointRecord,
  entity: EntityRecord,
  context: ViewContext,
  shownAs: Shown,
): JsonObject {
  if (shownAs === 'accepted') return state('DEPLOYMENT_CREATING', NO_PROBE_YET);
  if (shownAs === 'failed' || shownAs === 'canceled') {
    const failure = failureOf(record, entity.name);
    if (failure === '') return state('DEPLOYMENT_READY', '');
    return state(shownAs === 'failed' ? 'DEPLOYMENT_FAILED' : 'DEPLOYMENT_ABORTED', failure);
  }
  const { ready, problem } = entityReadiness(entity, context);
  if (ready) return state('DEPLOYMENT_READY', '');
  if (shownAs === 'active') {
    // Right after a start nothing is probed yet and everything serves.
    return problem === '' ? state('DEPLOYMENT_READY', '') : state('DEPLOYMENT_RECOVERING', problem);
  }
  return state('DEPLOYMENT_CREATING', problem === '' ? NO_PROBE_YET : problem);
}

function state(deployment: string, message: string): JsonObject {
  return { deployment, deployment_state_message: message };
}

/**
 * The config as a request body would give it, for the manifest; feeding it back changes nothing.
 */
export function configAsInput(config: ConfigRecord): JsonObject {
  const shown: JsonObject = {
    served_entities: config.entities.map((entity) => ({
      name: entity.name,
      ...target(entity, 'entity_name', 'entity_version'),
      ...entity.settings,
    })),
    traffic_config: {
      routes: config.routes.map(({ entity, percentage }) => ({
        served_entity_name: entity,
        traffic_percentage: percentage,
      })),
    },
  };
  if (config.autoCapture !== null) shown['auto_capture_config'] = { ...config.autoCapture };
  return shown;
}
