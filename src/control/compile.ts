/**
 * Records -> Snapshot, the immutable form of a revision that workers build their routing from.
 *
 * Compiled parts are kept and reused, so a change among 10,000 endpoints compiles one endpoint, and
 * equal parts of two snapshots are the same object: that identity is how a change is seen
 * (delta.ts).
 *
 * Whatever `compile` makes is a draft until `adopt` says that the snapshot was published or
 * `discard` that it was not; the numbers of stats-slots.ts are held and given back accordingly.
 */
import { PPM } from '../core/limits.js';
import { difference } from './delta.js';
import { grantsOf, holds } from './grants.js';
import { Protocol, type DeploymentAddresses, type DeploymentSpec } from './messages.js';
import type { EndpointRoutes, EntityRoute, Snapshot } from './messages.js';
import { addressText, type PlainAddress } from './probes.js';
import {
  servingOf,
  type ConfigRecord,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
  type ServedBy,
} from './records.js';
import { sameJson } from './json.js';
import type { StatsSlots } from './stats-slots.js';

const PPM_PER_PERCENT = PPM / 100;

interface CompiledRoutes {
  readonly servedBy: ServedBy;
  readonly grants: EndpointRecord['grants'];
  readonly routes: EndpointRoutes;
}

type AddressesOf = (deployment: DeploymentRecord) => readonly PlainAddress[];

export class SnapshotCompiler {
  readonly #slots: StatsSlots;
  /** Of published configs. A draft never takes the place of one: its identity is what is compared. */
  readonly #routes = new WeakMap<ConfigRecord, CompiledRoutes>();
  readonly #specs = new WeakMap<DeploymentRecord, DeploymentSpec>();
  /** Newest spec by name, so that a record that differs in nothing the workers see keeps it. */
  readonly #newestSpecs = new Map<string, DeploymentSpec>();
  readonly #lists = new WeakMap<readonly PlainAddress[], DeploymentAddresses>();
  /** Lists that the workers got since the last publish. */
  readonly #updates = new Map<string, DeploymentAddresses>();
  readonly #draftRoutes = new Map<ConfigRecord, CompiledRoutes>();
  #draftLists: DeploymentAddresses[] = [];

  constructor(slots: StatsSlots) {
    this.#slots = slots;
  }

  /**
   * @param addressesOf addresses as known now; called for deployments that an active config uses.
   * @throws PointsmanError INVALID_PARAMETER_VALUE when there is more than can be counted.
   */
  compile(content: Content, revision: number, addressesOf: AddressesOf): Snapshot {
    try {
      return this.#compile(content, revision, addressesOf);
    } catch (error) {
      this.discard();
      throw error;
    }
  }

  /** @param before what was published until now. */
  adopt(before: Snapshot | null, published: Snapshot): void {
    const { revision } = published;
    const endpoints = difference(before?.endpoints ?? [], published.endpoints);
    for (const routes of endpoints.fresh) this.#slots.routes.hold(routes);
    for (const routes of endpoints.gone) this.#slots.routes.drop(routes, revision);
    for (const [config, compiled] of this.#draftRoutes) this.#routes.set(config, compiled);
    const lists = difference(before?.addresses ?? [], published.addresses);
    for (const list of lists.fresh) this.#slots.addresses.hold(list);
    for (const list of lists.gone) this.#slots.addresses.drop(list, revision);
    // One that was sent while the publish was under way may have been used under the new revision.
    for (const list of this.#updates.values()) this.#slots.addresses.drop(list, revision + 1);
    this.#updates.clear();
    for (const { name } of difference(before?.deployments ?? [], published.deployments).gone) {
      this.#newestSpecs.delete(name);
    }
    for (const spec of published.deployments) this.#newestSpecs.set(spec.name, spec);
    this.discard();
  }

  /** Gives back what was compiled since the last `adopt` or `discard` and was not adopted. */
  discard(): void {
    for (const { routes } of this.#draftRoutes.values()) this.#slots.routes.drop(routes, null);
    for (const list of this.#draftLists) this.#slots.addresses.drop(list, null);
    this.#draftRoutes.clear();
    this.#draftLists = [];
  }

  /**
   * The list that workers are to have from now on; not a draft.
   * @param nextRevision a number that no snapshot has had so far, published or on its way.
   * @throws PointsmanError INVALID_PARAMETER_VALUE when there is more than can be counted.
   */
  update(
    deployment: string,
    addresses: readonly PlainAddress[],
    nextRevision: number,
  ): DeploymentAddresses {
    const list = this.#list(deployment, addresses);
    const before = this.#updates.get(deployment);
    this.#updates.set(deployment, list);
    if (before !== undefined) this.#slots.addresses.drop(before, nextRevision);
    return list;
  }

  /** What workers have for a deployment beyond the published snapshot. */
  updated(deployment: string): DeploymentAddresses | undefined {
    return this.#updates.get(deployment);
  }

  /** The routes of a published config. */
  routesOf(config: ConfigRecord): EndpointRoutes | undefined {
    const routes = this.#routes.get(config)?.routes;
    return routes !== undefined && this.#slots.routes.has(routes) ? routes : undefined;
  }

  #compile(content: Content, revision: number, addressesOf: AddressesOf): Snapshot {
    const endpoints: EndpointRoutes[] = [];
    const used = new Set<string>();
    for (const record of content.endpoints.values()) {
      if (record.active === null) continue;
      const routes = this.#endpoint(record, record.active, content.servedBy);
      endpoints.push(routes);
      for (const { deployment } of routes.entities) if (deployment !== '') used.add(deployment);
    }
    const deployments: DeploymentSpec[] = [];
    const addresses: DeploymentAddresses[] = [];
    for (const record of content.deployments.values()) {
      if (!used.has(record.name)) continue;
      deployments.push(this.#spec(record));
      const list = this.#list(record.name, addressesOf(record));
      this.#draftLists.push(list);
      addresses.push(list);
    }
    return { revision, endpoints, deployments, addresses };
  }

  #spec(record: DeploymentRecord): DeploymentSpec {
    const known = this.#specs.get(record);
    if (known !== undefined) return known;
    const fresh = compileDeployment(record);
    const newest = this.#newestSpecs.get(record.name);
    const spec = newest !== undefined && sameJson(newest, fresh) ? newest : fresh;
    this.#specs.set(record, spec);
    return spec;
  }

  #endpoint(record: EndpointRecord, config: ConfigRecord, servedBy: ServedBy): EndpointRoutes {
    const known = this.#routes.get(config);
    const held = known !== undefined && this.#slots.routes.has(known.routes);
    const { grants } = record;
    if (held && known.servedBy === servedBy && known.grants === grants) return known.routes;
    const targets = config.entities.map((one) => servingOf(one, servedBy)?.deployment ?? '');
    if (held && sameTargets(known.routes, targets) && sameJson(known.grants, grants)) {
      this.#routes.set(config, { servedBy, grants, routes: known.routes });
      return known.routes;
    }
    const routes = this.#compileEndpoint(record, config, targets);
    this.#draftRoutes.set(config, { servedBy, grants, routes });
    return routes;
  }

  #compileEndpoint(
    record: EndpointRecord,
    config: ConfigRecord,
    targets: readonly string[],
  ): EndpointRoutes {
    const percentages = new Map(config.routes.map((route) => [route.entity, route.percentage]));
    const keys = config.entities.map(({ name }) => `${record.id} ${name}`);
    return this.#slots.routes.make(keys, (slots) => ({
      name: record.name,
      id: record.id,
      configVersion: config.version,
      readers: readersOf(record),
      routeOptimized: record.routeOptimized,
      entities: config.entities.map(({ name }, index): EntityRoute => ({
        name,
        sharePpm: (percentages.get(name) ?? 0) * PPM_PER_PERCENT,
        deployment: targets[index] ?? '',
        statsSlot: slots[index] ?? 0,
      })),
    }));
  }

  /** Held once more for the caller. */
  #list(deployment: string, plain: readonly PlainAddress[]): DeploymentAddresses {
    const known = this.#lists.get(plain);
    if (known !== undefined && this.#slots.addresses.has(known)) {
      this.#slots.addresses.hold(known);
      return known;
    }
    const keys = plain.map((address) => `${deployment} ${addressText(address)}`);
    const list = this.#slots.addresses.make(keys, (slots) => ({
      deployment,
      addresses: plain.map((address, index) => ({ ...address, statsSlot: slots[index] ?? 0 })),
    }));
    this.#lists.set(plain, list);
    return list;
  }
}

/** Ids of who may query the endpoint beside admins. */
function readersOf(record: EndpointRecord): number[] {
  const grants = grantsOf(record).filter(({ level }) => holds(level, 'CAN_QUERY'));
  return grants.map(({ principal }) => Number(principal)).sort((a, b) => a - b);
}

function sameTargets(routes: EndpointRoutes, targets: readonly string[]): boolean {
  return routes.entities.every((entity, index) => entity.deployment === targets[index]);
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
