/**
 * The control plane: endpoints, deployments, the state machine of config updates, and the readiness
 * gate.
 *
 * Every change runs alone in one queue: read the input against the present content, draft, commit
 * (committer.ts). Readers see the content of the last finished change. What becomes of a config that
 * waits is the business of update-driver.ts, in the same queue.
 */
import { invalidField, PointsmanError } from '../core/errors.js';
import { createEndpointId } from '../core/ids.js';
import { validateDeployment } from '../config/manifest.js';
import type { RevisionInput } from '../store/store.js';
import { activateInDraft, withPendingsActive } from './activation.js';
import { Committer } from './committer.js';
import { parseConfig, type ConfigInput } from './config-input.js';
import { acceptedConfig, viewHistory } from './config-history.js';
import {
  applyDraft,
  checkChange,
  endpointDraft,
  NO_ENDPOINTS,
  usage,
  type Draft,
} from './content.js';
import type {
  ChangeOptions,
  ConfigHistoryItem,
  DeploymentView,
  JsonObject,
  ManifestOptions,
  ManifestResult,
  Status,
  Tagged,
} from './control-plane.js';
import { toDeploymentRecord } from './deployment-input.js';
import { parseCreate } from './endpoint-input.js';
import { viewAccepted, viewEndpoint, viewSummary, type ViewContext } from './endpoint-view.js';
import { GrantBook, type GrantHost } from './grant-book.js';
import { creatorGrants, NO_PRINCIPALS, type Directory } from './grants.js';
import { withAllHandedOver, withHandOver } from './hand-over.js';
import { resolveHost } from './host-book.js';
import { checkIfMatch, etagOf, hashTag } from './json.js';
import { Fields } from './input.js';
import {
  byName,
  contentAsManifest,
  planManifest,
  readManifest,
  type ReadManifest,
} from './manifest-plan.js';
import { probeAddress } from './probe.js';
import type { ControlPlaneOptions, RunningControlPlane } from './options.js';
import { Prober } from './probes.js';
import { configReady, waitingFor, type ReadinessContext } from './readiness.js';
import { type Content, type DeploymentRecord, type EndpointRecord } from './records.js';
import type { Stats } from './stats.js';
import {
  addressStats,
  deploymentStats,
  endpointStatus,
  entityStats,
  viewDeployment,
  type DeploymentContext,
  type StatusContext,
} from './status.js';
import {
  activatedRecord,
  refuseWhileUpdating,
  canceledRecord,
  newEndpoint,
  pendingRecord,
} from './transitions.js';
import { UpdateDriver, type UpdateHost } from './update-driver.js';

export type { ControlPlaneOptions, RunningControlPlane } from './options.js';

/** @throws Error when the store's records cannot be read. */
export function createControlPlane(options: ControlPlaneOptions): Promise<RunningControlPlane> {
  return new Promise((resolve) => {
    resolve(new StoredControlPlane(options));
  });
}

class StoredControlPlane implements RunningControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #prober: Prober;
  readonly #committer: Committer;
  readonly #updates: UpdateDriver;
  readonly #directory: Directory;
  readonly grants: GrantBook;
  #queue: Promise<unknown> = Promise.resolve();
  #usage: { readonly of: Content; readonly users: Map<string, string[]> } | null = null;
  #stopped = false;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    const { store, dataPlane, clock, logger } = options;
    this.#prober = new Prober({
      clock,
      resolve: options.resolve ?? resolveHost,
      probe: options.probe ?? probeAddress,
      onChange: (deployment) => {
        this.#committer.addressesChanged(deployment);
        this.#updates.queueActivation();
      },
      hostMemory: store.hosts,
      logger,
    });
    this.#committer = new Committer({ store, dataPlane, prober: this.#prober, logger, clock });
    const host: UpdateHost & GrantHost = {
      content: () => this.#content,
      readiness: () => this.#readiness(),
      exclusive: (task) => this.#exclusive(task),
      commit: (draft, principal, summary, next?: Content) =>
        this.#commit(draft, principal, summary, next),
      gate: this.#prober,
      resendAddresses: () => this.#committer.resendAddresses(clock.nowMs()),
    };
    this.#updates = new UpdateDriver({
      clock,
      logger,
      deadlineMs: options.updateDeadlineMs,
      host,
    });
    this.#directory = options.directory ?? NO_PRINCIPALS;
    this.grants = new GrantBook(host);
  }

  get revision(): number {
    return this.#committer.revision;
  }

  async start(): Promise<void> {
    await this.#exclusive(async () => {
      await this.#prober.prepare(this.#content.deployments.values());
      await this.#committer.publishStored(this.#options.clock.nowMs());
      for (const record of this.#content.deployments.values()) this.#prober.watch(record);
      this.#prober.forgetUnusedHosts();
      this.#updates.resume();
    });
    this.#updates.queueActivation();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#updates.stop();
    await this.#queue;
    this.#committer.settle();
    await this.#prober.stop();
    this.#updates.release();
  }

  createEndpoint(body: unknown, options: ChangeOptions): Promise<Tagged<JsonObject>> {
    return this.#exclusive(async () => {
      const { principal } = options;
      const nowMs = this.#options.clock.nowMs();
      const { servedBy, endpoints } = this.#content;
      const input = parseCreate(body, { servedBy, principal, nowMs });
      const existing = endpoints.get(input.name);
      if (existing !== undefined) {
        throw new PointsmanError(
          'RESOURCE_ALREADY_EXISTS',
          `name: endpoint ${input.name} already exists`,
        );
      }
      checkIfMatch(options.ifMatch, null, `Endpoint ${input.name}`);
      const grants = creatorGrants(options.principalId);
      const given = { ...input, grants };
      const shell = newEndpoint(input.name, createEndpointId(), principal, nowMs, given);
      const record =
        input.config === null
          ? shell
          : pendingRecord(shell, { ...input.config, version: 1 }, nowMs);
      await this.#accept(record, principal, `create endpoint ${input.name}`);
      const value = viewAccepted(record, this.#view());
      await this.#updates.activateReady();
      return { value, etag: etagOf(this.#endpoint(input.name)) };
    });
  }

  getEndpoint(name: string): Tagged<JsonObject> {
    const record = this.#endpoint(name);
    return { value: viewEndpoint(record, this.#view()), etag: etagOf(record) };
  }

  listEndpoints(): JsonObject[] {
    return [...this.#content.endpoints.values()].sort(byName).map(viewSummary);
  }

  updateConfig(name: string, body: unknown, options: ChangeOptions): Promise<Tagged<JsonObject>> {
    return this.#exclusive(async () => {
      const { principal } = options;
      const record = this.#endpoint(name);
      checkIfMatch(options.ifMatch, etagOf(record), `Endpoint ${name}`);
      const nowMs = this.#options.clock.nowMs();
      const parsed = parseConfig(new Fields(body, ''), {
        // Not a config that waits: it may be replaced by this very change, or fail.
        current: record.active ?? record.pending?.config ?? null,
        active: record.active,
        routeOptimized: record.routeOptimized,
        servedBy: this.#content.servedBy,
        principal,
        nowMs,
        strict: false,
      });
      if (parsed === null) throw invalidField('served_entities', 'missing');
      refuseWhileUpdating(record, options);
      await this.#update(record, parsed, principal, `config of endpoint ${name}`);
      return this.getEndpoint(name);
    });
  }

  rollbackEndpoint(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<JsonObject>> {
    return this.#exclusive(async () => {
      const record = this.#endpoint(name);
      checkIfMatch(options.ifMatch, etagOf(record), `Endpoint ${name}`);
      const version = new Fields(body, '').integer('config_version', 1, Number.MAX_SAFE_INTEGER);
      if (version === null) throw invalidField('config_version', 'missing');
      const config = acceptedConfig(record, this.#options.store.configs(record.id), version);
      refuseWhileUpdating(record, options);
      const summary = `endpoint ${name} back to config version ${String(version)}`;
      await this.#update(record, config, options.principal, summary);
      return this.getEndpoint(name);
    });
  }

  cancelUpdate(name: string, options: ChangeOptions): Promise<Tagged<JsonObject>> {
    return this.#exclusive(async () => {
      const { principal } = options;
      const record = this.#endpoint(name);
      checkIfMatch(options.ifMatch, etagOf(record), `Endpoint ${name}`);
      if (record.update !== 'IN_PROGRESS' || record.pending === null) {
        const message = `Endpoint ${name} has no update in progress.`;
        throw new PointsmanError('RESOURCE_CONFLICT', message);
      }
      const failures = waitingFor(record.pending.config, record.active, this.#readiness());
      const nowMs = this.#options.clock.nowMs();
      const canceled = canceledRecord(record, failures, principal, nowMs);
      await this.#commit(endpointDraft([canceled]), principal, `cancel update of ${name}`);
      return this.getEndpoint(name);
    });
  }

  endpointHistory(name: string): ConfigHistoryItem[] {
    const record = this.#endpoint(name);
    return viewHistory(record, this.#options.store.configs(record.id));
  }

  deleteEndpoint(name: string, options: ChangeOptions): Promise<void> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, etagOf(this.#endpoint(name)), `Endpoint ${name}`);
      const draft: Draft = { endpoints: new Map([[name, null]]), deployments: new Map() };
      await this.#commit(draft, options.principal, `delete endpoint ${name}`);
    });
  }

  listDeployments(): DeploymentView[] {
    const users = this.#users();
    const context = this.#deploymentContext();
    return [...this.#content.deployments.values()]
      .sort(byName)
      .map((record) => viewDeployment(record, context, users.get(record.name) ?? []));
  }

  getDeployment(name: string): Tagged<DeploymentView> {
    const record = this.#deployment(name);
    const users = this.#users().get(name) ?? [];
    const value = viewDeployment(record, this.#deploymentContext(), users);
    return { value, etag: etagOf(record.spec) };
  }

  putDeployment(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<DeploymentView>> {
    return this.#exclusive(async () => {
      const given = new Fields(body, '').string('name') ?? name;
      if (given !== name) throw invalidField('name', `differs from the path's ${name}`);
      const input = validateDeployment({ ...(body as object), name });
      const record = toDeploymentRecord(input, '');
      const before = this.#content.deployments.get(name);
      const etag = before === undefined ? null : etagOf(before.spec);
      checkIfMatch(options.ifMatch, etag, `Deployment ${name}`);
      if (etag !== etagOf(record.spec)) {
        await this.#preparing([record], () =>
          this.#changeDeployment(name, record, options.principal, `put deployment ${name}`),
        );
      }
      const answer = this.getDeployment(name);
      await this.#updates.activateReady();
      return answer;
    });
  }

  deleteDeployment(name: string, options: ChangeOptions): Promise<void> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, etagOf(this.#deployment(name).spec), `Deployment ${name}`);
      await this.#changeDeployment(name, null, options.principal, `delete deployment ${name}`);
    });
  }

  getManifest(): Tagged<JsonObject> {
    return { value: contentAsManifest(this.#content, this.#directory), etag: this.#manifestEtag() };
  }

  applyManifest(manifest: unknown, options: ManifestOptions): Promise<ManifestResult> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, this.#manifestEtag(), 'The manifest');
      const read = readManifest(manifest);
      return this.#preparing(read.deployments, () => this.#applyPlanned(read, options));
    });
  }

  waitSettled(timeoutMs: number): Promise<boolean> {
    return this.#updates.waitSettled(timeoutMs);
  }

  status(): Pick<Status, 'revision' | 'endpoints' | 'deployments'> {
    const context: StatusContext = {
      ...this.#readiness(),
      counters: this.#options.dataPlane.counters,
      routesOf: (config) => this.#committer.routesOf(config),
    };
    const endpoints = [...this.#content.endpoints.values()]
      .sort(byName)
      .map((record) => endpointStatus(record, context));
    return { revision: this.revision, endpoints, deployments: this.listDeployments() };
  }

  stats(): Pick<Stats, 'entities' | 'addresses' | 'deployments'> {
    const { counters } = this.#options.dataPlane;
    return {
      entities: entityStats(this.#committer.published?.endpoints ?? [], counters),
      deployments: deploymentStats(this.#committer.published?.deployments ?? [], counters),
      addresses: addressStats(this.#committer.addressLists(), counters),
    };
  }

  #deploymentContext(): DeploymentContext {
    const lists = new Map(this.#committer.addressLists().map((one) => [one.deployment, one]));
    const { clock, dataPlane } = this.#options;
    return {
      prober: this.#prober,
      counters: dataPlane.counters,
      nowMs: clock.nowMs(),
      addressesOf: (deployment) => lists.get(deployment),
      limitSlotOf: (deployment) => this.#committer.specOf(deployment)?.limitSlot,
    };
  }

  get #content(): Content {
    return this.#committer.content;
  }

  #endpoint(name: string): EndpointRecord {
    const record = this.#content.endpoints.get(name);
    if (record !== undefined) return record;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Endpoint ${name} does not exist.`);
  }

  #deployment(name: string): DeploymentRecord {
    const record = this.#content.deployments.get(name);
    if (record !== undefined) return record;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Deployment ${name} does not exist.`);
  }

  /** For every deployment who uses it; computed once per content. */
  #users(): Map<string, string[]> {
    if (this.#usage?.of !== this.#content) {
      this.#usage = { of: this.#content, users: usage(this.#content) };
    }
    return this.#usage.users;
  }

  #manifestEtag(): string {
    const { endpoints, deployments } = this.#content;
    const records = [
      ...[...deployments.values()].sort(byName).map(({ spec }) => spec),
      ...[...endpoints.values()].sort(byName),
    ];
    return hashTag(records.map(etagOf).join());
  }

  #readiness(): ReadinessContext {
    const { servedBy } = this.#content;
    return { servedBy, healthOf: (deployment) => this.#prober.health(deployment) };
  }

  #view(): ViewContext {
    const { publicUrl, workspaceId, servingDomain = '' } = this.#options;
    return { ...this.#readiness(), publicUrl, workspaceId, servingDomain };
  }

  /** Runs tasks one after the other in order of call. */
  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(() => {
      if (this.#stopped) {
        throw new PointsmanError('TEMPORARILY_UNAVAILABLE', 'The daemon is stopping.');
      }
      return task();
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  /** Looks up new host names first, so that the change does not make unknown addresses visible. */
  async #preparing<T>(
    deployments: readonly DeploymentRecord[],
    task: () => Promise<T>,
  ): Promise<T> {
    await this.#prober.prepare(deployments);
    try {
      return await task();
    } finally {
      this.#prober.prune();
    }
  }

  /** Gives the config its version; it is active at once when every entity is ready. */
  async #update(
    record: EndpointRecord,
    input: ConfigInput,
    principal: string,
    what: string,
  ): Promise<void> {
    const config = { ...input, version: record.lastVersion + 1 };
    const pending = pendingRecord(record, config, this.#options.clock.nowMs());
    const summary = `${what}: config version ${String(config.version)}`;
    if (configReady(config, record.active, this.#readiness())) {
      await this.#commit(endpointDraft([activatedRecord(pending)]), principal, summary);
    } else {
      await this.#accept(pending, principal, summary);
    }
  }

  /** Stores a pending config after proof that it can be built; no revision. */
  async #accept(record: EndpointRecord, principal: string, summary: string): Promise<void> {
    this.#committer.trial(applyDraft(this.#content, endpointDraft([activatedRecord(record)])));
    await this.#commit(endpointDraft([record]), principal, summary);
  }

  async #changeDeployment(
    name: string,
    record: DeploymentRecord | null,
    principal: string,
    summary: string,
  ): Promise<void> {
    const wanted: Draft = { endpoints: NO_ENDPOINTS, deployments: new Map([[name, record]]) };
    const whole = { draft: wanted, next: applyDraft(this.#content, wanted) };
    const { draft, next } = withHandOver(whole, this.#content, this.#prober);
    if (draft !== wanted) this.#committer.trial(withAllHandedOver(next));
    await this.#commit(draft, principal, summary, next);
  }

  async #commit(draft: Draft, principal: string, summary: string, next?: Content): Promise<void> {
    const revision: RevisionInput = {
      createdAt: this.#options.clock.nowMs(),
      principal,
      summary,
    };
    const content = next ?? applyDraft(this.#content, draft);
    const before = this.#content;
    checkChange(before, content);
    await this.#committer.commit(draft, content, revision);
    this.grants.committed(draft, before);
    this.#updates.changed(draft);
  }

  async #applyPlanned(manifest: ReadManifest, options: ManifestOptions): Promise<ManifestResult> {
    const { principal, mode, dryRun } = options;
    const plan = planManifest(manifest, this.#content, {
      mode,
      preempt: options.preempt ?? false,
      principal,
      nowMs: this.#options.clock.nowMs(),
      createId: createEndpointId,
      creatorId: options.principalId,
      directory: this.#directory,
    });
    const possible = withHandOver(plan, this.#content, this.#prober);
    const activated = activateInDraft(possible, (record) => this.#prober.readyUnder(record));
    const { draft, next } = activated;
    checkChange(this.#content, next);
    this.#committer.trial(withAllHandedOver(withPendingsActive(activated)));
    if (!dryRun && draft.endpoints.size + draft.deployments.size > 0) {
      await this.#commit(draft, principal, 'apply manifest', next);
    }
    const result = { dry_run: dryRun, revision: this.revision, changes: plan.changes };
    if (!dryRun) await this.#updates.activateReady();
    return result;
  }
}
