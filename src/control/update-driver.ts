/**
 * What happens to updates that wait: activation when everything is ready, failure at the deadline,
 * and who is told when nothing waits any more. Every step runs in the control plane's queue after a
 * change or a change of health; nothing polls.
 */
import type { Clock } from '../core/clock.js';
import { isTemporary, messageOf } from '../core/errors.js';
import { DAEMON } from './committer.js';
import { endpointDraft, type Draft } from './content.js';
import type { ControlLogger } from './control-logger.js';
import { RevisionRefused } from './data-plane.js';
import { Deadlines } from './deadlines.js';
import { dueHandOvers, type Gate } from './hand-over.js';
import { configReady, waitingFor, type ReadinessContext } from './readiness.js';
import type { Content, DeploymentRecord, EndpointRecord } from './records.js';
import { activatedRecord, failedRecord } from './transitions.js';

/** A pending config whose deadline passed while the daemon was down still gets this long. */
const RESUMED_GRACE_MS = 10_000;

/** Wait before a change of the daemon's own that did not succeed is tried again. */
const RETRY_MS = 1_000;

/** The control plane as updates see it. */
export interface UpdateHost {
  content(): Content;
  readiness(): ReadinessContext;
  readonly gate: Gate;
  /** @returns whether the workers have the addresses of all deployments now. */
  resendAddresses(): Promise<boolean>;
  /** Runs the task alone, after every task that was queued before. */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
  commit(draft: Draft, principal: string, summary: string, next?: Content): Promise<void>;
}

export interface UpdateOptions {
  readonly host: UpdateHost;
  readonly clock: Clock;
  readonly logger: ControlLogger;
  readonly deadlineMs: number;
}

export class UpdateDriver {
  readonly #options: UpdateOptions;
  readonly #host: UpdateHost;
  readonly #deadlines: Deadlines;
  readonly #waiters = new Set<() => void>();
  /** Deployments that serve on until what takes over is ready. */
  readonly #handOvers = new Set<string>();
  /** Records whose hand-over the workers refused. */
  readonly #refused = new WeakSet<DeploymentRecord>();
  #activationQueued = false;
  #cancelRetry: () => void = () => undefined;
  #stopped = false;

  constructor(options: UpdateOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#deadlines = new Deadlines(options.clock, options.deadlineMs, (name, startedAt) => {
      this.#queueExpiry(name, startedAt);
    });
  }

  /** Takes up the updates that a daemon before this one left waiting. */
  resume(): void {
    for (const record of this.#host.content().endpoints.values()) {
      this.#deadlines.follow(record.name, record, RESUMED_GRACE_MS);
    }
    this.#followHandOvers(this.#host.content().deployments);
  }

  /** To be called after every change. */
  changed(draft: Draft): void {
    for (const [name, record] of draft.endpoints) this.#deadlines.follow(name, record);
    this.#followHandOvers(draft.deployments);
    // What it waited for may not be used any more.
    if (this.#handOvers.size > 0) this.queueActivation();
    if (this.#isSettled()) for (const wake of this.#waiters) wake();
  }

  /** Ends every timer; who waits is told, with `false`, by `release`. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
    this.#deadlines.stop();
  }

  release(): void {
    for (const wake of this.#waiters) wake();
  }

  /** Resolves when no config waits, or after `timeoutMs` or a stop; false in the latter cases. */
  async waitSettled(timeoutMs: number): Promise<boolean> {
    if (this.#isSettled()) return true;
    let wake: () => void = () => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.#waiters.add(wake);
    const cancel = this.#options.clock.after(timeoutMs, wake);
    await woken;
    cancel();
    this.#waiters.delete(wake);
    return !this.#stopped && this.#isSettled();
  }

  queueActivation(): void {
    if (this.#activationQueued || this.#stopped) return;
    this.#activationQueued = true;
    this.#host
      .exclusive(() => {
        this.#activationQueued = false;
        return this.activateReady();
      })
      .catch((error: unknown) => {
        // Only a stop gets here: activateReady handles what an activation can throw.
        this.#options.logger.info({ reason: messageOf(error) }, 'an activation was dropped');
      });
  }

  /**
   * Sends what found no numbers, hands over what can be taken over, and activates all pending configs that are ready, in one
   * revision; alone each if that cannot be built. Only inside the queue.
   */
  async activateReady(): Promise<void> {
    await this.#resendAddresses();
    await this.#handOver();
    const ready = this.#readyPendings();
    if (ready.length === 0) return;
    try {
      await this.#activate(ready);
    } catch (error) {
      const mayPass = isTemporary(error) && !(error instanceof RevisionRefused);
      if (ready.length === 1 || mayPass) {
        await this.#activationFailed(ready, error);
        return;
      }
      for (const record of ready) {
        await this.#activate([record]).catch((cause: unknown) =>
          this.#activationFailed([record], cause),
        );
      }
    }
  }

  #followHandOvers(deployments: Iterable<readonly [string, DeploymentRecord | null]>): void {
    for (const [name, record] of deployments) {
      if (record?.serving === undefined) this.#handOvers.delete(name);
      else this.#handOvers.add(name);
    }
  }

  async #resendAddresses(): Promise<void> {
    try {
      if (!(await this.#host.resendAddresses())) this.#retry();
    } catch (error) {
      const reason = messageOf(error);
      this.#options.logger.error({ reason }, 'no room for new addresses could be made');
      if (!(error instanceof RevisionRefused)) this.#retry();
    }
  }

  async #handOver(): Promise<void> {
    const { deployments } = this.#host.content();
    const tried = [...this.#handOvers].filter((name) => {
      const record = deployments.get(name);
      return record !== undefined && !this.#refused.has(record);
    });
    const due = dueHandOvers(this.#host.content(), tried, this.#host.gate);
    if (due === null) return;
    const names = [...due.draft.deployments.keys()];
    const what = `hand over ${names.join(', ').slice(0, 200)}`;
    try {
      await this.#host.commit(due.draft, DAEMON, what, due.next);
    } catch (error) {
      this.#options.logger.error({ reason: messageOf(error) }, `could not ${what}`);
      if (!(error instanceof RevisionRefused)) this.#retry();
      // Trying it again would kill the workers again and again, were that its fault.
      else for (const name of names) this.#refuse(deployments.get(name));
    }
  }

  #refuse(record: DeploymentRecord | undefined): void {
    if (record !== undefined) this.#refused.add(record);
  }

  #isSettled(): boolean {
    return this.#deadlines.size === 0;
  }

  #readyPendings(): EndpointRecord[] {
    const readiness = this.#host.readiness();
    const { endpoints } = this.#host.content();
    const ready: EndpointRecord[] = [];
    for (const name of this.#deadlines.names()) {
      const record = endpoints.get(name);
      if (record?.update !== 'IN_PROGRESS' || record.pending === null) continue;
      if (configReady(record.pending.config, record.active, readiness)) ready.push(record);
    }
    return ready;
  }

  async #activate(records: readonly EndpointRecord[]): Promise<void> {
    const names = records.map(({ name }) => name).join(', ');
    await this.#host.commit(
      endpointDraft(records.map(activatedRecord)),
      DAEMON,
      `activate ${names.slice(0, 200)}`,
    );
  }

  /**
   * A config that the workers refuse has failed: trying it until the deadline would kill them again and again, were
   * that its fault. Else the configs stay pending; the next change of health, the retry or the deadline decides.
   */
  async #activationFailed(records: readonly EndpointRecord[], error: unknown): Promise<void> {
    const { logger } = this.#options;
    const [refused] = records;
    if (error instanceof RevisionRefused && records.length === 1 && refused !== undefined) {
      try {
        await this.#fail(refused, {}, `the config cannot be served: ${error.message}`);
        return;
      } catch (cause) {
        logger.error({ reason: messageOf(cause) }, 'a failed update could not be stored');
      }
    }
    logger.error(
      { endpoints: records.map(({ name }) => name), reason: messageOf(error) },
      'ready configs could not be activated; trying again',
    );
    this.#retry();
  }

  #retry(): void {
    this.#cancelRetry();
    this.#cancelRetry = this.#options.clock.after(RETRY_MS, () => {
      this.queueActivation();
    });
  }

  #queueExpiry(name: string, startedAt: number): void {
    this.#host
      .exclusive(() => this.#expire(name, startedAt))
      .catch((error: unknown) => {
        if (this.#stopped) return;
        const { clock, logger } = this.#options;
        logger.error(
          { endpoint: name, reason: messageOf(error) },
          'a failed update could not be stored; trying again',
        );
        clock.after(RETRY_MS, () => {
          this.#queueExpiry(name, startedAt);
        });
      });
  }

  async #expire(name: string, startedAt: number): Promise<void> {
    const record = this.#host.content().endpoints.get(name);
    if (record?.update !== 'IN_PROGRESS' || record.pending?.startedAt !== startedAt) return;
    const failures = waitingFor(record.pending.config, record.active, this.#host.readiness());
    const reasons = [...new Set(Object.values(failures))].join('; ');
    const seconds = String(Math.round(this.#options.deadlineMs / 1_000));
    const why = reasons === '' ? 'the config could not be published' : reasons;
    await this.#fail(record, failures, `not ready within ${seconds} s: ${why}`);
  }

  async #fail(
    record: EndpointRecord,
    failures: Readonly<Record<string, string>>,
    message: string,
  ): Promise<void> {
    const { name } = record;
    this.#options.logger.warn({ endpoint: name, reason: message }, 'config update failed');
    await this.#host.commit(
      endpointDraft([failedRecord(record, failures, message)]),
      DAEMON,
      `endpoint ${name}: update failed`,
    );
  }
}
