/**
 * The control plane: endpoints, deployments, the state machine of config updates, and the readiness
 * gate.
 *
 * Every change runs alone in one queue: read the input against the present content, draft, commit
 * (committer.ts). Readers see the content of the last finished change. A pending config is
 * activated by `#activateReady`, which runs in the same queue after every change and every change
 * of health; nothing polls.
 */
import { invalidField, messageOf, PointsmanError } from '../core/errors.js';
import { createEndpointId } from '../core/ids.js';
import { validateDeployment } from '../config/manifest.js';
import type { RevisionInput } from '../store/store.js';
import { activateInDraft, withPendingsActive } from './activation.js';
import { Committer } from './committer.js';
import { parseConfig } from './config-input.js';
import {
  applyDraft,
  checkStillServed,
  endpointDraft,
  NO_ENDPOINTS,
  usage,
  type Draft,
} from './content.js';
import type {
  ChangeOptions,
  DeploymentView,
  JsonObject,
  ManifestOptions,
  ManifestResult,
  Status,
  Tagged,
} from './control-plane.js';
import { Deadlines } from './deadlines.js';
import { toDeploymentRecord } from './deployment-input.js';
import { parseCreate } from './endpoint-input.js';
import { viewAccepted, viewEndpoint, viewSummary, type ViewContext } from './endpoint-view.js';
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
import type { Stats } from './messages.js';
import { probeAddress } from './probe.js';
import type { ControlPlaneOptions, RunningControlPlane } from './options.js';
import { Prober } from './probes.js';
import { configReady, waitingFor, type ReadinessContext } from './readiness.js';
import {
  wantedConfig,
  type Content,
  type DeploymentRecord,
  type EndpointRecord,
} from './records.js';
import { endpointStatus, mergeStats, viewDeployment } from './status.js';
import {
  activatedRecord,
  beingUpdated,
  failedRecord,
  newEndpoint,
  pendingRecord,
} from './transitions.js';

export type { ControlPlaneOptions, RunningControlPlane } from './options.js';

/** Principal of changes that nobody asked for: an activation, a passed deadline. */
const DAEMON = 'pointsman';

/** A pending config whose deadline passed while the daemon was down still gets this long. */
const RESUMED_GRACE_MS = 10_000;

/** Wait before a change of the daemon's own that did not succeed is tried again. */
const RETRY_MS = 1_000;

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
  readonly #deadlines: Deadlines;
  readonly #settled = new Set<() => void>();
  #queue: Promise<unknown> = Promise.resolve();
  #activationQueued = false;
  #cancelRetry: () => void = () => undefined;
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
        this.#queueActivation();
      },
    });
    this.#committer = new Committer({ store, dataPlane, prober: this.#prober, logger });
    this.#deadlines = new Deadlines(clock, options.updateDeadlineMs, (name, startedAt) => {
      this.#queueExpiry(name, startedAt);
    });
  }

  get revision(): number {
    return this.#committer.revision;
  }

  async start(): Promise<void> {
    await this.#exclusive(async () => {
      const { deployments, endpoints } = this.#content;
      await this.#prober.prepare(deployments.values());
      await this.#committer.publishStored();
      for (const record of deployments.values()) this.#prober.watch(record);
      for (const record of endpoints.values()) {
        this.#deadlines.follow(record.name, record, RESUMED_GRACE_MS);
      }
    });
    this.#queueActivation();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry();
    this.#deadlines.stop();
    await this.#queue;
    await this.#prober.stop();
    for (const wake of this.#settled) wake();
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
      const shell = newEndpoint(input.name, createEndpointId(), principal, nowMs, input);
      const record =
        input.config === null
          ? shell
          : pendingRecord(shell, { ...input.config, version: 1 }, nowMs);
      await this.#accept(record, principal, `create endpoint ${input.name}`);
      const value = viewAccepted(record, this.#view());
      await this.#activateReady();
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
        current: wantedConfig(record) ?? record.pending?.config ?? null,
        active: record.active,
        routeOptimized: record.routeOptimized,
        servedBy: this.#content.servedBy,
        principal,
        nowMs,
        strict: false,
      });
      if (parsed === null) throw invalidField('served_entities', 'missing');
      if (record.update === 'IN_PROGRESS') throw beingUpdated(name);
      const config = { ...parsed, version: record.lastVersion + 1 };
      const pending = pendingRecord(record, config, nowMs);
      const summary = `endpoint ${name}: config version ${String(config.version)}`;
      if (configReady(config, this.#readiness())) {
        await this.#commit(endpointDraft([activatedRecord(pending)]), principal, summary);
      } else {
        await this.#accept(pending, principal, summary);
      }
      return this.getEndpoint(name);
    });
  }

  deleteEndpoint(name: string, options: ChangeOptions): Promise<void> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, etagOf(this.#endpoint(name)), `Endpoint ${name}`);
      const draft: Draft = { endpoints: new Map([[name, null]]), deployments: new Map() };
      await this.#commit(draft, options.principal, `delete endpoint ${name}`);
    });
  }

  listDeployments(): DeploymentView[] {
    const users = usage(this.#content);
    return [...this.#content.deployments.values()]
      .sort(byName)
      .map((record) => viewDeployment(record, this.#prober, users.get(record.name) ?? []));
  }

  getDeployment(name: string): Tagged<DeploymentView> {
    const record = this.#deployment(name);
    const users = usage(this.#content).get(name) ?? [];
    return { value: viewDeployment(record, this.#prober, users), etag: etagOf(record) };
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
      const etag = before === undefined ? null : etagOf(before);
      checkIfMatch(options.ifMatch, etag, `Deployment ${name}`);
      if (etag !== etagOf(record)) {
        const draft = { endpoints: NO_ENDPOINTS, deployments: new Map([[name, record]]) };
        await this.#preparing([record], () =>
          this.#commit(draft, options.principal, `put deployment ${name}`),
        );
      }
      const answer = this.getDeployment(name);
      await this.#activateReady();
      return answer;
    });
  }

  deleteDeployment(name: string, options: ChangeOptions): Promise<void> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, etagOf(this.#deployment(name)), `Deployment ${name}`);
      const draft = {
        endpoints: NO_ENDPOINTS,
        deployments: new Map<string, DeploymentRecord | null>([[name, null]]),
      };
      await this.#commit(draft, options.principal, `delete deployment ${name}`);
    });
  }

  getManifest(): Tagged<JsonObject> {
    return { value: contentAsManifest(this.#content), etag: this.#manifestEtag() };
  }

  applyManifest(manifest: unknown, options: ManifestOptions): Promise<ManifestResult> {
    return this.#exclusive(async () => {
      checkIfMatch(options.ifMatch, this.#manifestEtag(), 'The manifest');
      const read = readManifest(manifest);
      return this.#preparing(read.deployments, () => this.#applyPlanned(read, options));
    });
  }

  async waitSettled(timeoutMs: number): Promise<boolean> {
    if (this.#isSettled()) return true;
    let wake: () => void = () => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.#settled.add(wake);
    const cancel = this.#options.clock.after(timeoutMs, wake);
    await woken;
    cancel();
    this.#settled.delete(wake);
    return !this.#stopped && this.#isSettled();
  }

  status(stats: Stats[]): Pick<Status, 'revision' | 'endpoints' | 'deployments'> {
    const totals = mergeStats(stats);
    const readiness = this.#readiness();
    const endpoints = [...this.#content.endpoints.values()]
      .sort(byName)
      .map((record) => endpointStatus(record, readiness, totals));
    return { revision: this.revision, endpoints, deployments: this.listDeployments() };
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

  #manifestEtag(): string {
    const { endpoints, deployments } = this.#content;
    const records = [
      ...[...deployments.values()].sort(byName),
      ...[...endpoints.values()].sort(byName),
    ];
    return hashTag(records.map(etagOf).join());
  }

  #readiness(): ReadinessContext {
    const { servedBy } = this.#content;
    return { servedBy, healthOf: (deployment) => this.#prober.health(deployment) };
  }

  #view(): ViewContext {
    const { publicUrl, workspaceId } = this.#options;
    return { ...this.#readiness(), publicUrl, workspaceId };
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

  /** Stores a pending config after proof that it can be built; no revision. */
  async #accept(record: EndpointRecord, principal: string, summary: string): Promise<void> {
    this.#committer.trial(applyDraft(this.#content, endpointDraft([activatedRecord(record)])));
    await this.#commit(endpointDraft([record]), principal, summary);
  }

  async #commit(draft: Draft, principal: string, summary: string, next?: Content): Promise<void> {
    const revision: RevisionInput = {
      createdAt: this.#options.clock.nowMs(),
      principal,
      summary,
    };
    const content = next ?? applyDraft(this.#content, draft);
    checkStillServed(this.#content, content);
    await this.#committer.commit(draft, content, revision);
    for (const [name, record] of draft.endpoints) this.#deadlines.follow(name, record);
    if (this.#isSettled()) for (const wake of this.#settled) wake();
  }

  async #applyPlanned(manifest: ReadManifest, options: ManifestOptions): Promise<ManifestResult> {
    const { principal, mode, dryRun } = options;
    const plan = planManifest(manifest, this.#content, {
      mode,
      principal,
      nowMs: this.#options.clock.nowMs(),
      createId: createEndpointId,
    });
    const activated = activateInDraft(plan, (record) => this.#prober.readyUnder(record));
    const { draft, next } = activated;
    checkStillServed(this.#content, next);
    this.#committer.trial(withPendingsActive(activated));
    if (!dryRun && draft.endpoints.size + draft.deployments.size > 0) {
      await this.#commit(draft, principal, 'apply manifest', next);
    }
    const result = { dry_run: dryRun, revision: this.revision, changes: plan.changes };
    if (!dryRun) await this.#activateReady();
    return result;
  }

  #isSettled(): boolean {
    return this.#deadlines.size === 0;
  }

  #queueActivation(): void {
    if (this.#activationQueued || this.#stopped) return;
    this.#activationQueued = true;
    this.#exclusive(() => {
      this.#activationQueued = false;
      return this.#activateReady();
    }).catch((error: unknown) => {
      // Only a stop gets here: #activateReady handles what an activation can throw.
      this.#options.logger.info({ reason: messageOf(error) }, 'an activation was dropped');
    });
  }

  /**
   * Activates all pending configs that are ready, in one revision; alone each if that cannot be
   * built.
   */
  async #activateReady(): Promise<void> {
    const ready = this.#readyPendings();
    if (ready.length === 0) return;
    try {
      await this.#activate(ready);
    } catch (error) {
      if (ready.length === 1 || isTemporary(error)) {
        this.#activationFailed(ready, error);
        return;
      }
      for (const record of ready) {
        await this.#activate([record]).catch((cause: unknown) => {
          this.#activationFailed([record], cause);
        });
      }
    }
  }

  #readyPendings(): EndpointRecord[] {
    const readiness = this.#readiness();
    const ready: EndpointRecord[] = [];
    for (const name of this.#deadlines.names()) {
      const record = this.#content.endpoints.get(name);
      if (record?.update !== 'IN_PROGRESS' || record.pending === null) continue;
      if (configReady(record.pending.config, readiness)) ready.push(record);
    }
    return ready;
  }

  async #activate(records: readonly EndpointRecord[]): Promise<void> {
    const names = records.map(({ name }) => name).join(', ');
    await this.#commit(
      endpointDraft(records.map(activatedRecord)),
      DAEMON,
      `activate ${names.slice(0, 200)}`,
    );
  }

  /** The configs stay pending; the next change of health, the retry or the deadline decides. */
  #activationFailed(records: readonly EndpointRecord[], error: unknown): void {
    this.#options.logger.error(
      { endpoints: records.map(({ name }) => name), reason: messageOf(error) },
      'ready configs could not be activated; trying again',
    );
    this.#cancelRetry();
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => {
      this.#queueActivation();
    });
  }

  #queueExpiry(name: string, startedAt: number): void {
    this.#exclusive(() => this.#expire(name, startedAt)).catch((error: unknown) => {
      if (this.#stopped) return;
      this.#options.logger.error(
        { endpoint: name, reason: messageOf(error) },
        'a failed update could not be stored; trying again',
      );
      this.#options.clock.after(RETRY_MS, () => {
        this.#queueExpiry(name, startedAt);
      });
    });
  }

  async #expire(name: string, startedAt: number): Promise<void> {
    const record = this.#content.endpoints.get(name);
    if (record?.update !== 'IN_PROGRESS' || record.pending?.startedAt !== startedAt) return;
    const failures = waitingFor(record.pending.config, this.#readiness());
    const reasons = [...new Set(Object.values(failures))].join('; ');
    const seconds = String(Math.round(this.#options.updateDeadlineMs / 1_000));
    const why = reasons === '' ? 'the config could not be published' : reasons;
    const message = `not ready within ${seconds} s: ${why}`;
    this.#options.logger.warn({ endpoint: name, reason: message }, 'config update failed');
    await this.#commit(
      endpointDraft([failedRecord(record, failures, message)]),
      DAEMON,
      `endpoint ${name}: update failed`,
    );
  }
}

function isTemporary(error: unknown): boolean {
  return error instanceof PointsmanError && error.code === 'TEMPORARILY_UNAVAILABLE';
}
