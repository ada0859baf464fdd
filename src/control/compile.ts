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
  servingSpec,
  type ConfigRecord,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
  type EntityRecord,
  type ServedBy,
} from './records.js';
import { sameJson } from './json.js';
import type { StatsSlots } from './stats-slots.js';
import { upperConcurrency } from './workload.js';

const PPM_PER_PERCENT = PPM / 100;

/** Where an entity's requests go, and how many of its own at once. */
type Target = Pick<EntityRoute, 'deployment' | 'maxInFlight'>;

interface CompiledRoutes {
  readonly servedBy: ServedBy;
  readonly grants: EndpointRecord['grants'];
  readonly routes: EndpointRoutes;
}

/** The endpoints of one shard of a content. */
interface CompiledShard {
  readonly routes: readonly EndpointRoutes[];
  /** Deployments that they route to. */
  readonly used: ReadonlySet<string>;
}

interface Compiled {
  readonly content: Content;
  readonly shards: readonly CompiledShard[];
  readonly snapshot: Snapshot;
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
  #draftSpecs: DeploymentSpec[] = [];
  /** What the published snapshot was compiled to; its routes are held as long as it is the published one. */
  #published: Compiled | null = null;
  #draft: Compiled | null = null;

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
    const specs = difference(before?.deployments ?? [], published.deployments);
    for (const spec of specs.fresh) this.#slots.deployments.hold(spec);
    for (const spec of specs.gone) {
      this.#slots.deployments.drop(spec, revision);
      this.#newestSpecs.delete(spec.name);
    }
    for (const spec of published.deployments) this.#newestSpecs.set(spec.name, spec);
    this.#published = this.#draft?.snapshot === published ? this.#draft : null;
    this.discard();
  }

  /** Gives back what was compiled since the last `adopt` or `discard` and was not adopted. */
  discard(): void {
    for (const { routes } of this.#draftRoutes.values()) this.#slots.routes.drop(routes, null);
    for (const list of this.#draftLists) this.#slots.addresses.drop(list, null);
    for (const spec of this.#draftSpecs) this.#slots.deployments.drop(spec, null);
    this.#draftRoutes.clear();
    this.#draftLists = [];
    this.#draftSpecs = [];
    this.#draft = null;
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

  /** Whether there would be more numbers for addresses if a revision after this one were published. */
  awaitsRevision(revision: number): boolean {
    if (this.#slots.addresses.awaitsRevision(revision)) return true;
    return (this.#published?.snapshot.addresses ?? []).some(({ deployment, addresses }) => {
      const update = this.#updates.get(deployment)?.addresses;
      const kept = update && new Set(update.map(({ statsSlot }) => statsSlot));
      return kept !== undefined && addresses.some(({ statsSlot }) => !kept.has(statsSlot));
    });
  }

  /** What workers have for a deployment beyond the published snapshot. */
  updated(deployment: string): DeploymentAddresses | undefined {
    return this.#updates.get(deployment);
  }

  /** What the workers know of a deployment that a published config uses. */
  specOf(deployment: string): DeploymentSpec | undefined {
    return this.#newestSpecs.get(deployment);
  }

  /** The routes of a published config. */
  routesOf(config: ConfigRecord): EndpointRoutes | undefined {
    const routes = this.#routes.get(config)?.routes;
    return routes !== undefined && this.#slots.routes.has(routes) ? routes : undefined;
  }

  #compile(content: Content, revision: number, addressesOf: AddressesOf): Snapshot {
    const endpoints: EndpointRoutes[] = [];
    const used = new Set<string>();
    const shards = this.#shards(content);
    for (const shard of shards) {
      for (const routes of shard.routes) endpoints.push(routes);
      for (const deployment of shard.used) used.add(deployment);
    }
    const deployments: DeploymentSpec[] = [];
    const addresses: DeploymentAddresses[] = [];
    for (const record of content.deployments.values()) {
      if (!used.has(record.name)) continue;
      deployments.push(this.#spec(record));
      const list = this.#listOf(record, addressesOf(record));
      this.#draftLists.push(list);
      addresses.push(list);
    }
    const snapshot = { revision, endpoints, deployments, addresses };
    this.#draft = { content, shards, snapshot };
    return snapshot;
  }

  /** Shards that did not change since the last publish are what they were. */
  #shards(content: Content): CompiledShard[] {
    const { servedBy, endpoints } = content;
    const known = this.#published?.content.servedBy === servedBy ? this.#published : null;
    return endpoints.shards.map((shard, index) => {
      const compiled = known?.shards[index];
      if (compiled !== undefined && known?.content.endpoints.shards[index] === shard) {
        return compiled;
      }
      const routes: EndpointRoutes[] = [];
      const used = new Set<string>();
      for (const record of shard.values()) {
        if (record.active === null) continue;
        const one = this.#endpoint(record, record.active, content);
        routes.push(one);
        for (const { deployment } of one.entities) if (deployment !== '') used.add(deployment);
      }
      return { routes, used };
    });
  }

  #spec(record: DeploymentRecord): DeploymentSpec {
    const { deployments } = this.#slots;
    const known = this.#specs.get(record);
    if (known !== undefined && deployments.has(known)) return known;
    const fresh = deployments.make([record.name], ([slot = 0]) => compileDeployment(record, slot));
    this.#draftSpecs.push(fresh);
    const newest = this.#newestSpecs.get(record.name);
    const spec = newest !== undefined && sameJson(newest, fresh) ? newest : fresh;
    this.#specs.set(record, spec);
    return spec;
  }

  #endpoint(record: EndpointRecord, config: ConfigRecord, content: Content): EndpointRoutes {
    const { servedBy } = content;
    const known = this.#routes.get(config);
    const held = known !== undefined && this.#slots.routes.has(known.routes);
    const { grants } = record;
    if (held && known.servedBy === servedBy && known.grants === grants) return known.routes;
    const targets = config.entities.map((one) => targetOf(one, content));
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
    targets: readonly Target[],
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
        deployment: targets[index]?.deployment ?? '',
        statsSlot: slots[index] ?? 0,
        maxInFlight: targets[index]?.maxInFlight ?? 0,
      })),
    }));
  }

  /**
   * Where there are no numbers for other addresses of the same replicas, the workers keep what they
   * have: names that were resolved anew must not be in the way of a change.
   */
  #listOf(record: DeploymentRecord, plain: readonly PlainAddress[]): DeploymentAddresses {
    try {
      return this.#list(record.name, plain);
    } catch (error) {
      const { content, snapshot } = this.#published ?? {};
      const before = content?.deployments.get(record.name);
      const present =
        this.#updates.get(record.name) ??
        snapshot?.addresses.find(({ deployment }) => deployment === record.name);
      if (before === undefined || present === undefined || !sameReplicas(before, record)) {
        throw error;
      }
      this.#slots.addresses.hold(present);
      return present;
    }
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

function sameReplicas(a: DeploymentRecord, b: DeploymentRecord): boolean {
  return sameJson(servingSpec(a).replicas, servingSpec(b).replicas);
}

/** Ids of who may query the endpoint beside admins. */
function readersOf(record: EndpointRecord): number[] {
  const grants = grantsOf(record).filter(({ level }) => holds(level, 'CAN_QUERY'));
  return grants.map(({ principal }) => Number(principal)).sort((a, b) => a - b);
}

function targetOf(entity: EntityRecord, { servedBy, deployments }: Content): Target {
  const serving = servingOf(entity, servedBy);
  const deployment = serving === null || serving.waits ? '' : serving.deployment;
  const record = deployments.get(deployment);
  const limited = record !== undefined && servingSpec(record).limits.from_workload;
  return { deployment, maxInFlight: limited ? upperConcurrency(entity.settings) : 0 };
}

function sameTargets({ entities }: EndpointRoutes, targets: readonly Target[]): boolean {
  return entities.every(
    ({ deployment, maxInFlight }, index) =>
      deployment === targets[index]?.deployment && maxInFlight === targets[index].maxInFlight,
  );
}

function compileDeployment(record: DeploymentRecord, limitSlot: number): DeploymentSpec {
  const spec = servingSpec(record);
  return {
    name: record.name,
    protocol: spec.protocol === 'raw' ? Protocol.RAW : Protocol.MLFLOW,
    headers: Object.entries(spec.headers).map(([field, value]) => ({ name: field, value })),
    connectMs: spec.timeouts.connect_ms,
    responseHeaderMs: spec.timeouts.response_header_ms,
    bodyIdleMs: spec.timeouts.body_idle_ms,
    totalMs: spec.timeouts.total_ms,
    keepaliveIdleMs: spec.timeouts.keepalive_idle_ms,
    replaySafe: spec.replay_safe,
    limitSlot,
    maxInFlight: spec.limits.max_in_flight,
    queueMax: spec.limits.queue,
    queueMs: spec.limits.queue_ms,
  };
}
