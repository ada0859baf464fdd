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
import { PointsmanError, messageOf } from '../core/errors.js';
import type { RecordChange, RevisionInput, Store } from '../store/store.js';
import { SnapshotCompiler, sameRoutes } from './compile.js';
import type { Draft } from './content.js';
import type { ControlLogger } from './control-logger.js';
import type { DataPlane } from './data-plane.js';
import { indexServes } from './deployment-input.js';
import { sameJson } from './json.js';
import type { Snapshot } from './messages.js';
import type { Prober } from './probes.js';
import type { Content, DeploymentRecord, EndpointRecord } from './records.js';

export interface CommitterOptions {
  readonly store: Store;
  readonly dataPlane: DataPlane;
  readonly prober: Prober;
  readonly logger: ControlLogger;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #compiler = new SnapshotCompiler();
  #content: Content;
  #published: Snapshot | null = null;
  #publishing: Snapshot | null = null;
  /** Deployments whose addresses changed while a publish was under way. */
  readonly #changedMeanwhile = new Set<string>();
  /** Records that could not be put back after a failed publish; they go with the next commit. */
  #owed: readonly RecordChange[] = [];

  /** @throws Error when a stored record cannot be read. */
  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#content = load(options.store);
  }

  get content(): Content {
    return this.#content;
  }

  /** The revision that the workers serve; 0 before the first publish. */
  get revision(): number {
    return this.#published?.revision ?? 0;
  }

  /** Publishes what the store holds, under its own revision. */
  async publishStored(): Promise<void> {
    const snapshot = this.#compile(this.#content, this.#options.store.revision);
    this.#options.dataPlane.trialBuild(snapshot);
    await this.#publish(snapshot);
    this.#sendAddresses([]);
  }

  /** @throws PointsmanError when a snapshot of this content cannot be built. Changes nothing. */
  trial(content: Content): void {
    const snapshot = this.#compile(content, this.#options.store.revision + 1);
    if (this.#isVisible(content, snapshot)) this.#options.dataPlane.trialBuild(snapshot);
  }

  /**
   * @param next `applyDraft(content, draft)` of the present content.
   * @throws PointsmanError; nothing has changed then.
   */
  async commit(draft: Draft, next: Content, revision: RevisionInput): Promise<void> {
    const snapshot = this.#compile(next, this.#options.store.revision + 1);
    const records = [...this.#owed, ...toChanges(draft)];
    if (this.#isVisible(next, snapshot)) {
      this.#options.dataPlane.trialBuild(snapshot);
      this.#store(records, revision);
      try {
        await this.#publish(snapshot);
      } catch (error) {
        this.#revert(draft, snapshot.revision, revision, error);
        throw error;
      }
    } else {
      this.#store(records, null);
    }
    this.#owed = [];
    this.#content = next;
    this.#watch(draft);
    this.#sendAddresses(draft.deployments.keys());
  }

  /** To be called when the prober says that a deployment's addresses changed. */
  addressesChanged(name: string): void {
    if (this.#publishing !== null) this.#changedMeanwhile.add(name);
    this.#sendAddressesOf(name);
  }

  #compile(content: Content, revision: number): Snapshot {
    const addressesOf = (record: DeploymentRecord) => this.#options.prober.addressesFor(record);
    return this.#compiler.compile(content, revision, addressesOf);
  }

  #isVisible(next: Content, snapshot: Snapshot): boolean {
    if (this.#published === null || !sameRoutes(this.#published, snapshot)) return true;
    return snapshot.deployments.some(({ name }) => {
      const before = this.#content.deployments.get(name);
      const after = next.deployments.get(name);
      if (before === after || before === undefined || after === undefined) return before !== after;
      return (
        !sameJson(this.#compiler.spec(before), this.#compiler.spec(after)) ||
        !sameJson(before.spec.replicas, after.spec.replicas)
      );
    });
  }

  #store(records: readonly RecordChange[], revision: RevisionInput | null): void {
    try {
      this.#options.store.commit(revision === null ? { records } : { records, revision });
    } catch (cause) {
      this.#options.logger.error({ reason: messageOf(cause) }, 'the store refused a change');
      throw new PointsmanError(
        'INTERNAL_ERROR',
        'The change could not be stored; nothing has changed.',
        { cause },
      );
    }
  }

  async #publish(snapshot: Snapshot): Promise<void> {
    this.#publishing = snapshot;
    try {
      await this.#options.dataPlane.publish(snapshot);
      this.#published = snapshot;
    } finally {
      this.#publishing = null;
    }
  }

  #revert(draft: Draft, failed: number, input: RevisionInput, error: unknown): void {
    const records = revertingChanges(draft, this.#content);
    const summary = `revert revision ${String(failed)}: it could not be published`;
    this.#options.logger.error({ revision: failed, reason: messageOf(error) }, summary);
    try {
      this.#options.store.commit({ records, revision: { ...input, summary } });
      this.#owed = [];
    } catch (cause) {
      this.#owed = records;
      this.#options.logger.error(
        { revision: failed, reason: messageOf(cause) },
        'the store refused to take the previous records back; the next change will carry them',
      );
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
    for (const name of new Set([...names, ...this.#changedMeanwhile])) this.#sendAddressesOf(name);
    this.#changedMeanwhile.clear();
  }

  #sendAddressesOf(name: string): void {
    const record = this.#content.deployments.get(name);
    if (record === undefined || this.#published === null) return;
    if (!this.#published.deployments.some((deployment) => deployment.name === name)) return;
    const addresses = this.#options.prober.addressesFor(record);
    this.#options.dataPlane.updateAddresses({ deployment: name, addresses });
  }
}

function load(store: Store): Content {
  const endpoints = new Map(
    store.records('endpoint').map(({ name, json }) => [name, JSON.parse(json) as EndpointRecord]),
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
