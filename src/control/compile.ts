/**
 * Records -> Snapshot, the immutable form of a revision that workers build their routing from.
 *
 * Compiled parts are kept per record and reused, so a change among 10,000 endpoints compiles one
 * endpoint, and equal parts of two snapshots are the same object: that identity is how `sameRoutes`
 * sees a change.
 */
import { PPM } from '../core/limits.js';
import { Protocol, type Address, type DeploymentSpec } from './messages.js';
import type { EndpointRoutes, EntityRoute, Snapshot } from './messages.js';
import {
  servingOf,
  type ConfigRecord,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
  type ServedBy,
} from './records.js';

const PPM_PER_PERCENT = PPM / 100;

export class SnapshotCompiler {
  readonly #routes = new WeakMap<ConfigRecord, { servedBy: ServedBy; routes: EndpointRoutes }>();
  readonly #specs = new WeakMap<DeploymentRecord, DeploymentSpec>();

  /**
   * @param addressesOf addresses as known now; called for deployments that an active config uses.
   */
  compile(
    content: Content,
    revision: number,
    addressesOf: (deployment: DeploymentRecord) => Address[],
  ): Snapshot {
    const endpoints: EndpointRoutes[] = [];
    const used = new Set<string>();
    for (const record of content.endpoints.values()) {
      if (record.active === null) continue;
      const routes = this.#endpoint(record, record.active, content.servedBy);
      endpoints.push(routes);
      for (const { deployment } of routes.entities) if (deployment !== '') used.add(deployment);
    }
    const deployments: DeploymentSpec[] = [];
    const addresses: Snapshot['addresses'] = [];
    for (const name of [...used].sort()) {
      const record = content.deployments.get(name);
      if (record === undefined) continue;
      deployments.push(this.spec(record));
      addresses.push({ deployment: name, addresses: addressesOf(record) });
    }
    return { revision, endpoints, deployments, addresses };
  }

  spec(record: DeploymentRecord): DeploymentSpec {
    const known = this.#specs.get(record);
    if (known !== undefined) return known;
    const spec = compileDeployment(record);
    this.#specs.set(record, spec);
    return spec;
  }

  #endpoint(record: EndpointRecord, config: ConfigRecord, servedBy: ServedBy): EndpointRoutes {
    const known = this.#routes.get(config);
    if (known?.servedBy === servedBy) return known.routes;
    const fresh = compileEndpoint(record, config, servedBy);
    const routes = known !== undefined && sameTargets(known.routes, fresh) ? known.routes : fresh;
    this.#routes.set(config, { servedBy, routes });
    return routes;
  }
}

/**
 * True when no request could be routed differently by the two (addresses and deployments aside).
 */
export function sameRoutes(a: Snapshot, b: Snapshot): boolean {
  if (a.endpoints.length !== b.endpoints.length) return false;
  const before = new Set(a.endpoints);
  return b.endpoints.every((endpoint) => before.has(endpoint));
}

function sameTargets(a: EndpointRoutes, b: EndpointRoutes): boolean {
  return a.entities.every((entity, index) => entity.deployment === b.entities[index]?.deployment);
}

function compileEndpoint(
  record: EndpointRecord,
  config: ConfigRecord,
  servedBy: ServedBy,
): EndpointRoutes {
  const percentages = new Map(config.routes.map((route) => [route.entity, route.percentage]));
  const entities = config.entities.map((entity): EntityRoute => ({
    name: entity.name,
    sharePpm: (percentages.get(entity.name) ?? 0) * PPM_PER_PERCENT,
    deployment: servingOf(entity, servedBy)?.deployment ?? '',
  }));
  return { name: record.name, id: record.id, configVersion: config.version, entities };
}

function compileDeployment({ name, spec }: DeploymentRecord): DeploymentSpec {
  return {
    name,
    protocol: spec.protocol === 'raw' ? Protocol.RAW : Protocol.MLFLOW,
    headers: Object.entries(spec.headers).map(([field, value]) => ({ name: field, value })),
    connectMs: spec.timeouts.connect_ms,
    responseHeaderMs: spec.timeouts.response_header_ms,
    bodyIdleMs: spec.timeouts.body_idle_ms,
    totalMs: spec.timeouts.total_ms,
    keepaliveIdleMs: spec.timeouts.keepalive_idle_ms,
    replaySafe: spec.replay_safe,
  };
}
