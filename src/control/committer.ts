/**
 * The one place where state changes: trial build, store, publish, then memory (design: "A change of
 * configuration"). Owns the content that everybody reads and the snapshot that the workers serve.
 *
 *   draft ─► compile ─► trialBuild ─► store (revision n) ─► publish ─► content, snapshot replaced
 *                           │                                 │
 *                           └ refused: nothing changed        └ rejected: what was before is stored
 *                                                               as revision n+1; memory is as it
 *                                                               was
 *
 * Calls must not overlap; the control plane's queue sees to that.
 */
import type { Clock } from '../core/clock.js';
import { isTemporary, PointsmanError, messageOf } from '../core/errors.js';
import { giveWay } from '../core/give-way.js';
import type { ConfigChange, RecordChange, RevisionInput, Store } from '../store/store.js';
import { SnapshotCompiler } from './compile.js';
import { deletedIds, historyOf, revertedHistory } from './config-history.js';
import { draftBetween, endpointDraft, type Draft } from './content.js';
import type { ControlLogger } from './control-logger.js';
import type { DataPlane } from './data-plane.js';
import { difference } from './delta.js';
import { indexServes } from './deployment-input.js';
import { sameJson } from './json.js';
import type { DeploymentAddresses, DeploymentSpec, EndpointRoutes, Snapshot } from './messages.js';
import type { Prober } from './probes.js';
import {
  servingSpec,
  type ConfigRecord,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
} from './records.js';
import { recoveryPlans, REVISIONS_UNDONE_MAX, type RecoveryPlan } from './recovery.js';
import { ShardedMap } from './sharded-map.js';
import { StatsSlots } from './stats-slots.js';

/** Principal of changes that nobody asked for: an activation, a passed deadline, a recovery. */
export const DAEMON = 'pointsman';

export interface CommitterOptions {
  readonly store: Store;
  readonly dataPlane: DataPlane;
  readonly prober: Prober;
  readonly logger: ControlLogger;
  readonly clock: Clock;
}

/** Between two tries to store what is owed. */
const SETTLE_INTERVAL_MS = 1_000;

export class Committer {
  readonly #options: CommitterOptions;
  readonly #compiler: SnapshotCompiler;
  #content: Content;
  #published: Snapshot | null = null;
  #publishing: Snapshot | null = null;
  /** Deployments whose addresses changed while a publish was under way, or found no numbers. */
  readonly #unsent = new Set<string>();
  /** What could not be put back after a failed publish; it goes with the next commit, or as soon as the store takes it. */
  #owed: Owed = NOTHING_OWED;
  #endSettling = (): void => undefined;

  /** @throws Error when a stored record cannot be read. */
  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#compiler = new SnapshotCompiler(new StatsSlots(options.dataPlane.counters));
    this.#content = load(options.store);
  }

  get content(): Content {
    return this.#content;
  }

  /** The revision that the workers serve; 0 before the first publish. */
  get revision(): number {
    return this.#published?.revision ?? 0;
  }

  /** What the workers serve; null before the first publish. */
  get published(): Snapshot | null {
    return this.#published;
  }

  /** The published routes of an active config. */
  routesOf(config: ConfigRecord): EndpointRoutes | undefined {
    return this.#compiler.routesOf(config);
  }

  /** What the workers know of a deployment; undefined while nothing uses it. */
  specOf(deployment: string): DeploymentSpec | undefined {
    return this.#compiler.specOf(deployment);
  }

  /** The address lists that the workers have now. */
  addressLists(): DeploymentAddresses[] {
    const published = this.#published?.addresses ?? [];
    return published.map((list) => this.#compiler.updated(list.deployment) ?? list);
  }

  /**
   * Publishes what the store holds, under its own revision. When that is refused, what it held
   * before, or nothing, becomes the next revision (recovery.ts).
   * @throws PointsmanError TEMPORARILY_UNAVAILABLE: no reason to undo what was acknowledged. Nothing is stored
   * when it throws.
   */
  async publishStored(nowMs: number): Promise<void> {
    const { store } = this.#options;
    store.keepConfigsOf([...this.#content.endpoints.values()].map(({ id }) => id));
    try {
      await this.#tryPublish(this.#content, store.revision);
    } catch (error) {
      if (isTemporary(error)) throw error;
      await this.#recover(nowMs, error);
    }
    this.#sendAddresses([]);
  }

  /** @throws PointsmanError when a snapshot of this content cannot be built. Changes nothing. */
  trial(content: Content): void {
    const snapshot = this.#compile(content, this.#options.store.revision + 1);
    try {
      if (this.#isVisible(content, snapshot)) this.#options.dataPlane.trialBuild(snapshot);
    } finally {
      this.#compiler.discard();
    }
  }

  /**
   * @param next `applyDraft(content, draft)` of the present content.
   * @param always makes a revision although routing sees no difference.
   * @throws PointsmanError; nothing has changed then.
   */
  async commit(
    draft: Draft,
    next: Content,
    revision: RevisionInput,
    always = false,
  ): Promise<void> {
    const before = this.#content;
    giveWay();
    const snapshot = this.#compile(next, this.#options.store.revision + 1);
    giveWay();
    try {
      await this.#storeAndPublish(draft, next, snapshot, revision, always);
    } finally {
      this.#compiler.discard();
    }
    this.#content = next;
    this.#watch(draft);
    this.#sendAddresses(draft.deployments.keys());
    this.#forget(deletedIds(draft, before));
  }

  /**
   * Tries again what found no numbers. Updates free theirs only with the next revision, so one is made
   * where that helps.
   * @returns whether nothing is left.
   * @throws PointsmanError as `commit` does.
   */
  async resendAddresses(nowMs: number): Promise<boolean> {
    if (this.#unsent.size === 0) return true;
    if (this.#compiler.awaitsRevision(this.revision)) {
      const summary = 'make room for addresses of replicas';
      const revision = { createdAt: nowMs, principal: DAEMON, summary };
      await this.commit(endpointDraft([]), this.#content, revision, true);
    } else {
      this.#sendAddresses([]);
    }
    return this.#unsent.size === 0;
  }

  /** To be called when the prober says that a deployment's addresses changed. */
  addressesChanged(name: string): void {
    // Sent now it would be the list of before, and come behind the revision that brings another one.
    if (this.#publishing !== null) this.#unsent.add(name);
    else this.#sendAddressesOf(name);
  }

  /** To be called at the end: what is owed would be lost. */
  settle(): void {
    this.#endSettling();
    if (!this.#owes) return;
    try {
      this.#options.store.commit(this.#owed);
      this.#owed = NOTHING_OWED;
      this.#options.logger.info({}, 'the store has taken the previous records back');
    } catch {
      // It was logged when it came to be owed. What is stored is whole, but not what was served.
    }
  }

  get #owes(): boolean {
    return this.#owed.records.length + this.#owed.configs.length > 0;
  }

  /** A start after a crash would serve what was refused. */
  #settleLater(): void {
    this.#endSettling = this.#options.clock.after(SETTLE_INTERVAL_MS, () => {
      this.settle();
      if (this.#owes) this.#settleLater();
    });
  }

  async #storeAndPublish(
    draft: Draft,
    next: Content,
    snapshot: Snapshot,
    revision: RevisionInput,
    always: boolean,
  ): Promise<void> {
    const { createdAt: nowMs, principal } = revision;
    const changes = toChanges(draft);
    const changed = new Set(changes.map(keyOf));
    const owed = this.#owed.records.filter((record) => !changed.has(keyOf(record)));
    const records = [...owed, ...changes];
    const history = historyOf(draft, this.#content, { nowMs, principal });
    const configs = [...this.#owed.configs, ...history];
    if (!always && !this.#isVisible(next, snapshot)) {
      this.#store(records, configs, null);
      this.#owed = NOTHING_OWED;
      return;
    }
    this.#options.dataPlane.trialBuild(snapshot);
    giveWay();
    this.#store(records, configs, revision);
    giveWay();
    this.#owed = NOTHING_OWED;
    try {
      await this.#publish(snapshot);
    } catch (error) {
      this.#revert(draft, snapshot.revision, revision, error);
      throw error;
    }
  }

  async #tryPublish(content: Content, revision: number, whenPrepared?: () => void): Promise<void> {
    const snapshot = this.#compile(content, revision);
    try {
      this.#options.dataPlane.trialBuild(snapshot);
      await this.#publish(snapshot, whenPrepared);
    } finally {
      this.#compiler.discard();
    }
  }

  async #recover(nowMs: number, refusal: unknown): Promise<void> {
    const { store, logger } = this.#options;
    const refused = store.revision;
    const reason = messageOf(refusal);
    logger.error({ revision: refused, reason }, 'the stored revision cannot be served');
    const rows = store.revisions(REVISIONS_UNDONE_MAX);
    for (const plan of recoveryPlans(this.#content, rows, refused, reason)) {
      if (await this.#restored(plan, nowMs)) return;
    }
    throw refusal;
  }

  /** Stored once the workers can build it, and before it serves: a start that fails leaves the store as it was. */
  async #restored(plan: RecoveryPlan, nowMs: number): Promise<boolean> {
    const { next, summary } = plan;
    const draft = draftBetween(this.#content, next);
    const principal = DAEMON;
    const revision = { createdAt: nowMs, principal, summary };
    const history = historyOf(draft, this.#content, { nowMs, principal });
    try {
      await this.#tryPublish(next, this.#options.store.revision + 1, () => {
        this.#store(toChanges(draft), history, revision);
      });
      this.#content = next;
    } catch (error) {
      if (isTemporary(error)) throw error;
      this.#options.logger.error({ reason: messageOf(error) }, `could not ${summary}`);
      return false;
    }
    this.#options.logger.error({ revision: this.revision }, summary);
    return true;
  }

  #compile(content: Content, revision: number): Snapshot {
    const addressesOf = (record: DeploymentRecord) => this.#options.prober.addressesFor(record);
    return this.#compiler.compile(content, revision, addressesOf);
  }

  /** Whether a request could go elsewhere, or otherwise, than under the published snapshot. */
  #isVisible(next: Content, snapshot: Snapshot): boolean {
    if (this.#published === null) return true;
    if (differs(this.#published.endpoints, snapshot.endpoints)) return true;
    if (differs(this.#published.deployments, snapshot.deployments)) return true;
    return snapshot.deployments.some(({ name }) => {
      const before = this.#content.deployments.get(name);
      const after = next.deployments.get(name);
      return before !== after && !sameJson(replicasOf(before), replicasOf(after));
    });
  }

  #store(
    records: readonly RecordChange[],
    configs: readonly ConfigChange[],
    revision: RevisionInput | null,
  ): void {
    try {
      const change = { records, configs };
      this.#options.store.commit(revision === null ? change : { ...change, revision });
    } catch (cause) {
      this.#options.logger.error({ reason: messageOf(cause) }, 'the store refused a change');
      throw new PointsmanError(
        'INTERNAL_ERROR',
        'The change could not be stored; nothing has changed.',
        { cause },
      );
    }
  }

  async #publish(snapshot: Snapshot, whenPrepared?: () => void): Promise<void> {
    this.#publishing = snapshot;
    try {
      await this.#options.dataPlane.publish(snapshot, whenPrepared);
      this.#compiler.adopt(this.#published, snapshot);
      this.#published = snapshot;
    } finally {
      this.#publishing = null;
    }
  }

  #revert(draft: Draft, failed: number, input: RevisionInput, error: unknown): void {
    const records = revertingChanges(draft, this.#content);
    const configs = revertedHistory(draft, this.#content);
    const summary = `revert revision ${String(failed)}: it could not be published`;
    this.#options.logger.error({ revision: failed, reason: messageOf(error) }, summary);
    try {
      this.#options.store.commit({ records, configs, revision: { ...input, summary } });
    } catch (cause) {
      this.#owed = { records, configs };
      this.#options.logger.error(
        { revision: failed, reason: messageOf(cause) },
        'the store refused to take the previous records back; it is tried again',
      );
      if (this.#owes) this.#settleLater();
    }
    this.#sendAddresses([]);
  }

  #watch(draft: Draft): void {
    for (const [name, record] of draft.deployments) {
      if (record === null) this.#options.prober.unwatch(name);
      else this.#options.prober.watch(record);
    }
  }

  #sendAddresses(names: Iterable<string>): void {
    const all = new Set([...names, ...this.#unsent]);
    this.#unsent.clear();
    for (const name of all) this.#sendAddressesOf(name);
  }

  #sendAddressesOf(name: string): void {
    const record = this.#content.deployments.get(name);
    if (record === undefined || this.#published === null) return;
    if (!this.#published.deployments.some((deployment) => deployment.name === name)) return;
    const nextRevision = this.#published.revision + 1;
    try {
      const addresses = this.#options.prober.addressesFor(record);
      const update = this.#compiler.update(name, addresses, nextRevision);
      this.#options.dataPlane.updateAddresses(update);
    } catch (error) {
      // Nobody asked for this change, so nobody can be answered. The workers keep what they have.
      const reason = messageOf(error);
      this.#options.logger.error({ deployment: name, reason }, 'new addresses cannot be used');
      this.#unsent.add(name);
    }
  }

  /** What is left of them after a failure here goes at the next start. */
  #forget(endpointIds: readonly string[]): void {
    try {
      for (const id of endpointIds) this.#options.store.forgetConfigsOf(id);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.logger.warn({ reason }, 'configs of deleted endpoints are still stored');
    }
  }
}

interface Owed {
  readonly records: readonly RecordChange[];
  readonly configs: readonly ConfigChange[];
}

const NOTHING_OWED: Owed = { records: [], configs: [] };

function replicasOf(record: DeploymentRecord | undefined): unknown {
  return record === undefined ? undefined : servingSpec(record).replicas;
}

function differs<T extends object>(before: readonly T[], after: readonly T[]): boolean {
  const { gone, fresh } = difference(before, after);
  return gone.length + fresh.length > 0;
}

function load(store: Store): Content {
  const endpoints = ShardedMap.of(
    store
      .records('endpoint')
      .map(({ name, json }) => [name, JSON.parse(json) as EndpointRecord] as const),
  );
  const deployments = new Map(
    store
      .records('deployment')
      .map(({ name, json }) => [name, JSON.parse(json) as DeploymentRecord]),
  );
  return {
    endpoints,
    deployments,
    servedBy: indexServes(deployments.values(), ({ name }) => name),
  };
}

function toChanges(draft: Draft): RecordChange[] {
  return [
    ...[...draft.deployments].map(([name, record]) => change('deployment', name, record)),
    ...[...draft.endpoints].map(([name, record]) => change('endpoint', name, record)),
  ];
}

function revertingChanges(draft: Draft, before: Content): RecordChange[] {
  return [
    ...[...draft.deployments.keys()].map((name) =>
      change('deployment', name, before.deployments.get(name) ?? null),
    ),
    ...[...draft.endpoints.keys()].map((name) =>
      change('endpoint', name, before.endpoints.get(name) ?? null),
    ),
  ];
}

function change(kind: RecordChange['kind'], name: string, record: object | null): RecordChange {
  return { kind, name, json: record === null ? null : JSON.stringify(record) };
}

function keyOf({ kind, name }: RecordChange): string {
  return `${kind} ${name}`;
}
