/**
 * `pointsman endpoints` for those who are no admins: what the REST API shows of the endpoints that
 * they may view. Counters and deployments are in the status, which is for admins.
 */
import { API, type AdminClient } from './client.js';
import type { Io } from './io.js';
import { listOf, number, objectOf, optional, text } from './shape.js';
import { modelText, renderTable } from './table.js';

interface EntityView {
  readonly name: string;
  readonly entity_name?: string | undefined;
  readonly entity_version?: string | undefined;
  readonly state?: { readonly deployment_state_message: string } | undefined;
}

interface ConfigView {
  readonly config_version?: number | undefined;
  readonly served_entities: readonly EntityView[];
  readonly traffic_config?: { readonly routes: readonly RouteView[] } | undefined;
}

interface RouteView {
  readonly served_entity_name: string;
  readonly traffic_percentage: number;
}

interface EndpointView {
  readonly name: string;
  readonly state: { readonly ready: string; readonly config_update: string };
  readonly config?: ConfigView | undefined;
  readonly pending_config?: ConfigView | undefined;
}

const config = objectOf<ConfigView>({
  config_version: optional(number),
  served_entities: listOf(
    objectOf<EntityView>({
      name: text,
      entity_name: optional(text),
      entity_version: optional(text),
      state: optional(
        objectOf<NonNullable<EntityView['state']>>({ deployment_state_message: text }),
      ),
    }),
  ),
  traffic_config: optional(
    objectOf<NonNullable<ConfigView['traffic_config']>>({
      routes: listOf(objectOf<RouteView>({ served_entity_name: text, traffic_percentage: number })),
    }),
  ),
});

const endpointShape = objectOf<EndpointView>({
  name: text,
  state: objectOf<EndpointView['state']>({ ready: text, config_update: text }),
  config: optional(config),
  pending_config: optional(config),
});

const listShape = objectOf<{ readonly endpoints?: readonly EndpointView[] }>({
  endpoints: optional(listOf(endpointShape)),
});

export async function showViewedEndpoints(
  client: AdminClient,
  name: string | undefined,
  json: boolean,
  io: Io,
): Promise<void> {
  const path = `${API}/serving-endpoints`;
  if (name === undefined) {
    const { body } = await client.call('GET', path, listShape);
    io.out(json ? JSON.stringify(body, null, 2) : describeList(body.endpoints ?? []));
  } else {
    const own = `${path}/${encodeURIComponent(name)}`;
    const { body } = await client.call('GET', own, endpointShape);
    io.out(json ? JSON.stringify(body, null, 2) : describeOne(body));
  }
  io.err('Counters and deployments are shown to admins alone.');
}

function describeList(endpoints: readonly EndpointView[]): string {
  if (endpoints.length === 0) return 'No endpoints that you may view.';
  const rows = endpoints.map(({ name, state, config: active }) => [
    name,
    state.ready,
    state.config_update,
    (active?.served_entities ?? []).map(({ name: entity }) => entity).join(', '),
  ]);
  return renderTable(['endpoint', 'ready', 'update', 'entities'], rows);
}

function describeOne({
  name,
  state,
  config: active,
  pending_config: pending,
}: EndpointView): string {
  const parts = [`${name}: ${state.ready}, ${state.config_update}`];
  if (active !== undefined) parts.push(`${titleOf(active)} serves:\n${describeConfig(active)}`);
  if (pending !== undefined) {
    const title = `${titleOf(pending)} does not serve, ${state.config_update}:`;
    parts.push(`${title}\n${describeConfig(pending)}`);
  }
  return parts.join('\n\n');
}

function titleOf({ config_version: version }: ConfigView): string {
  return `Config version ${String(version)}`;
}

function describeConfig({
  served_entities: entities,
  traffic_config: traffic,
}: ConfigView): string {
  const rows = entities.map(({ name, entity_name: model, entity_version: version, state }) => {
    const share = traffic?.routes.find((route) => route.served_entity_name === name);
    return [
      name,
      `${String(share?.traffic_percentage ?? 0)} %`,
      modelText(model ?? null, version ?? null),
      state?.deployment_state_message ?? '',
    ];
  });
  return renderTable(['entity', 'share', 'model', 'waits for'], rows);
}
