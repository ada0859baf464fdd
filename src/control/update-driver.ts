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
import { configReady, waitingFor, type ReadinessContext } from './readiness.js';
import type { Content, EndpointRecord } from './records.js';
import { activatedRecord, failedRecord } from './transitions.js';

/** A pending config whose deadline passed while the daemon was down still gets this long. */
const RESUMED_GRACE_MS = 10_000;

/** Wait before a change of the daemon's own that did not succeed is tried again. */
const RETRY_MS = 1_000;

/** The control plane as updates see it. */
export interface UpdateHost {
  content(): Content;
  readiness(): ReadinessContext;
  /** Runs the task alone, after every task that was queued before. */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
  commit(draft: Draft, principal: string, summary: string): Promise<void>;
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
  }

  /** To be called after every change. */
  changed(draft: Draft): void {
    for (const [name, record] of draft.endpoints) this.#deadlines.follow(name, record);
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
   * Activates all pending configs that are ready, in one revision; alone each if that cannot be
   * built. Only inside the queue.
   */
  async activateReady(): Promise<void> {
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
      if (configReady(record.pending.config, readiness)) ready.push(record);
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
    const { clock, logger } = this.#options;
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
    this.#cancelRetry();
    this.#cancelRetry = clock.after(RETRY_MS, () => {
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
    const failures = waitingFor(record.pending.config, this.#host.readiness());
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
