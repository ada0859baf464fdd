/**
 * Verifies tokens in threads, so that a signature never holds up the loop that relays requests.
 *
 *   verify(token) ─► refused lately? ─► already under way? ─► queue ─► batch ─► thread ─► answer to all who wait
 *                                                                         ▲         │ key unknown
 *                                                                         └── refresh of the issuer's keys
 *
 * Everything has a bound: tokens under way, tokens that wait for keys, refused tokens that are remembered, the time
 * of a batch. Beyond a bound, and when a thread dies, the answer is `busy` (503): nobody is let in unverified. Good
 * tokens are not remembered here; that is the caller's cache.
 */
import { hash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import { looksCompact } from './compact-token.js';
import { ExpiringMap } from './expiring-map.js';
import {
  IN_VAIN_MS,
  invalidToken,
  verifierBusy,
  type AuthError,
  type TrustSource,
  type VerifyAnswer,
} from './trust.js';
import type { LaneTask, VerifyReply, VerifyTask } from './verifier-thread.js';

const REQUIRE_FLAG = '--experimental-require-module';
/**
 * piscina loads the thread's module by require() first. Where that takes an ES module, Node ends the whole process when the
 * thread is ended in the middle of it ("IsGraphAsync must be used on an instantiated module"); import() does not.
 */
const LOAD_BY_IMPORT = process.allowedNodeEnvironmentFlags.has(REQUIRE_FLAG)
  ? ['--no-experimental-require-module']
  : [];

/** Tokens under way at once; one more is answered `busy`. */
export const TOKENS_UNDER_WAY_MAX = 1024;
/** Tokens of one hand-over. Larger ones gain nothing and let a lone token wait longer. */
const BATCH_TOKENS_MAX = 64;
/** Tokens that wait for a look at their issuer's keys; one more is refused as if the look had failed. */
const KEY_WAITERS_MAX = 64;
/**
 * Refused tokens that are remembered, by hash, and for how long: a token may become good (`nbf`, a new key). No longer than
 * a lane's thread refuses unknown keys by itself: it would pass the token on all the time that is left, with nothing to
 * look for.
 */
const REFUSED_TOKENS_MAX = 8192;
const REFUSED_TTL_MS = IN_VAIN_MS;
/** A batch takes milliseconds; a thread that needs this long is ended, at the next look. */
const BATCH_TIMEOUT_MS = 3_000;
const LOOK_INTERVAL_MS = 500;
/** Threads that die while they start are not replaced more often than this. */
const RESTART_INTERVAL_MS = 200;
const RETRY_AFTER_S = 1;
const THREAD_HEAP_MIB_MAX = 128;

/** Beside batches, of which there are never more than threads: one that loads keys, one that has a thread serve a lane. */
const LANE_TASKS_MAX = 2;

type Threads = Piscina<VerifyTask | LaneTask, VerifyReply | undefined>;

export interface VerifierPoolOptions {
  readonly trust: TrustSource;
  readonly clock: Clock;
  readonly threads: number;
  /** Told of threads that died, with a sentence. */
  readonly onFault: (problem: string) => void;
}

interface Flight {
  readonly token: string;
  readonly answer: Promise<VerifyAnswer>;
  readonly settle: (answer: VerifyAnswer) => void;
  /** Its issuer's keys were looked up for it already. */
  looked: boolean;
  /** Version of the trust that it was last verified by. */
  trustVersion: number;
}

export class VerifierPool {
  readonly #options: VerifierPoolOptions;
  readonly #flights = new Map<string, Flight>();
  readonly #refused = new ExpiringMap<string, AuthError>(REFUSED_TOKENS_MAX, REFUSED_TTL_MS);
  #queue: Flight[] = [];
  #threads: Threads;
  #startedAtMs: number;
  /** When each batch under way was begun, oldest first. */
  readonly #batches = new Set<{ readonly sinceMs: number }>();
  #looking = false;
  #keyWaiters = 0;
  /** The thread of a lane hears of looks by its port, which is closed with it. */
  readonly #lanes = new Set<MessagePort>();
  /** One at a time, so that it never fills the queue that batches need. */
  #readying: Promise<void> | null = null;
  #flushing = false;
  #closed = false;
  #trustVersion = -1;

  constructor(options: VerifierPoolOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.nowMs();
    this.#threads = this.#createThreads();
  }

  /** Never rejects. Concurrent calls with one token share one verification. */
  verify(token: string): Promise<VerifyAnswer> {
    const flight = this.#flights.get(token);
    if (flight !== undefined) return flight.answer;
    return this.#answerAtOnce(token) ?? this.#enqueue(token);
  }

  /** Tokens under way, for metrics. */
  get underWay(): number {
    return this.#flights.size;
  }

  /** Rejects when no thread runs. One that does has the keys of the call, or of one that is under way. */
  ready(): Promise<void> {
    this.#readying ??= this.#loadKeys().finally(() => {
      this.#readying = null;
    });
    return this.#readying;
  }

  /** Has a thread serve the other end of a token lane, which it takes over. Call when `ready`; rejects when it could not. */
  async serveLane(task: Omit<LaneTask, 'looks'>): Promise<void> {
    const { port1: lane, port2: looks } = new MessageChannel();
    this.#lanes.add(lane);
    lane.once('close', () => {
      this.#lanes.delete(lane);
    });
    lane.unref();
    try {
      await this.#threads.run({ ...task, looks }, { name: 'serveLane', transferList: [looks] });
    } catch (error) {
      lane.close();
      throw error;
    }
  }

  /** The issuer's keys were looked for; what was found is in the trust. Lanes look no further for a while. */
  announceLook(issuer: string): void {
    for (const lane of this.#lanes) lane.postMessage(issuer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#threads.destroy();
    for (const flight of [...this.#flights.values()]) this.#settle(flight, busy());
  }

  /** Kills the threads as a crash would. */
  async killThreadsForTest(): Promise<void> {
    await Promise.all(this.#threads.threads.map((thread) => thread.terminate()));
  }

  async #loadKeys(): Promise<void> {
    const trust = this.#options.trust.current();
    await this.#threads.run({ trustVersion: trust.version, trust, tokens: [], nowMs: 0 });
  }

  #answerAtOnce(token: string): Promise<VerifyAnswer> | null {
    if (!looksCompact(token)) return Promise.resolve(invalidToken('malformed'));
    const { version } = this.#options.trust.current();
    if (version !== this.#trustVersion) {
      this.#trustVersion = version;
      this.#refused.clear();
    }
    const refusal = this.#refusalOf(token);
    if (refusal !== undefined) return Promise.resolve(refusal);
    if (this.#closed || this.#flights.size >= TOKENS_UNDER_WAY_MAX) return Promise.resolve(busy());
    return null;
  }

  #refusalOf(token: string): AuthError | undefined {
    // A digest is dear beside the rest, and most of the time nothing is refused.
    if (this.#refused.size === 0) return undefined;
    return this.#refused.get(digestOf(token), this.#options.clock.nowMs());
  }

  #enqueue(token: string): Promise<VerifyAnswer> {
    let settle: Flight['settle'] = () => undefined;
    const answer = new Promise<VerifyAnswer>((resolve) => {
      settle = resolve;
    });
    const flight: Flight = { token, answer, settle, looked: false, trustVersion: -1 };
    this.#flights.set(token, flight);
    this.#push(flight);
    return answer;
  }

  #push(flight: Flight): void {
    this.#queue.push(flight);
    if (this.#flushing) return;
    this.#flushing = true;
    // Behind the reads of this turn of the loop: what they brought goes over in one batch.
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Spreads the queue over the threads that are free. */
  #flush(): void {
    for (;;) {
      const free = this.#options.threads - this.#batches.size;
      if (free <= 0 || this.#queue.length === 0) return;
      const share = Math.min(BATCH_TOKENS_MAX, Math.ceil(this.#queue.length / free));
      void this.#runBatch(this.#queue.splice(0, share));
    }
  }

  async #runBatch(flights: readonly Flight[]): Promise<void> {
    const batch = { sinceMs: this.#options.clock.nowMs() };
    this.#batches.add(batch);
    this.#lookLater();
    let answers: readonly VerifyAnswer[] = [];
    try {
      answers = await this.#ask(flights);
    } catch (error) {
      this.#options.onFault(`a batch of tokens was not verified: ${messageOf(error)}`);
    }
    this.#batches.delete(batch);
    for (const [index, flight] of flights.entries()) this.#land(flight, answers[index] ?? busy());
    this.#flush();
  }

  async #ask(flights: readonly Flight[]): Promise<readonly VerifyAnswer[]> {
    const trust = this.#options.trust.current();
    for (const flight of flights) flight.trustVersion = trust.version;
    const tokens = flights.map(({ token }) => token);
    const nowMs = this.#options.clock.nowMs();
    const task = { trustVersion: trust.version, trust: null, tokens, nowMs };
    const threads = this.#threads;
    const answers = (await threads.run(task)) ?? (await threads.run({ ...task, trust }));
    if (answers === null || answers === undefined) throw new Error('a thread refused its keys');
    return answers;
  }

  /**
   * One timer for all batches: one for each, with a signal to abort it by, was most of the garbage of a flood of bad
   * tokens, whose collection held up requests.
   */
  #lookLater(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#options.clock.after(LOOK_INTERVAL_MS, () => {
      this.#looking = false;
      const [oldest] = this.#batches;
      if (oldest === undefined || this.#closed) return;
      const tookMs = this.#options.clock.nowMs() - oldest.sinceMs;
      if (tookMs >= BATCH_TIMEOUT_MS) this.#replaceThreads();
      this.#lookLater();
    });
  }

  #land(flight: Flight, answer: VerifyAnswer): void {
    if (!answer.ok && answer.status === 503) {
      this.#settle(flight, answer);
    } else if (this.#options.trust.current().version !== flight.trustVersion) {
      // A key may have come or gone meanwhile: an answer by the old ones must not outlive them.
      this.#push(flight);
    } else if (this.#mayLook(flight, answer)) {
      flight.looked = true;
      this.#keyWaiters += 1;
      void this.#options.trust.refresh(answer.issuer).then(() => {
        this.#keyWaiters -= 1;
        this.#land(flight, answer);
      });
    } else {
      this.#settle(flight, answer);
    }
  }

  #mayLook(flight: Flight, answer: VerifyAnswer): boolean {
    if (answer.ok || answer.reason !== 'unknown key' || flight.looked) return false;
    return this.#keyWaiters < KEY_WAITERS_MAX;
  }

  #settle(flight: Flight, answer: VerifyAnswer): void {
    this.#flights.delete(flight.token);
    if (!answer.ok && answer.status === 401) {
      this.#refused.set(digestOf(flight.token), answer, this.#options.clock.nowMs());
    }
    flight.settle(answer);
  }

  #createThreads(): Threads {
    const threads = new Piscina<VerifyTask | LaneTask, VerifyReply | undefined>({
      filename: fileURLToPath(new URL('./verifier-thread.js', import.meta.url)),
      name: 'verifyBatch',
      minThreads: this.#options.threads,
      maxThreads: this.#options.threads,
      maxQueue: this.#options.threads + LANE_TASKS_MAX,
      // Else a thread without a task sleeps in a call, and hears nothing of its lane.
      atomics: 'disabled',
      recordTiming: false,
      resourceLimits: { maxOldGenerationSizeMb: THREAD_HEAP_MIB_MAX },
      // Threads need nothing of the process's arguments and variables, which may hold secrets.
      execArgv: LOAD_BY_IMPORT,
      env: {},
    });
    threads.on('error', (error: unknown) => {
      this.#options.onFault(`a verifier thread failed: ${messageOf(error)}`);
    });
    threads.on('workerDestroy', () => {
      // piscina replaces a thread that dies, but not one that dies while it starts: a batch that waits for it would
      // wait for the next batch.
      setImmediate(() => {
        this.#replaceIfShort(threads);
      });
    });
    return threads;
  }

  #replaceIfShort(threads: Threads): void {
    if (this.#closed || threads !== this.#threads) return;
    if (threads.threads.length >= this.#options.threads) return;
    const nowMs = this.#options.clock.nowMs();
    const waitMs = this.#startedAtMs + RESTART_INTERVAL_MS - nowMs;
    if (waitMs > 0) {
      this.#options.clock.after(waitMs, () => {
        this.#replaceIfShort(threads);
      });
      return;
    }
    this.#replaceThreads();
  }

  /** Batches of the old ones end as failures, so as `busy`. */
  #replaceThreads(): void {
    const old = this.#threads;
    this.#startedAtMs = this.#options.clock.nowMs();
    this.#threads = this.#createThreads();
    void old.destroy();
  }
}

function busy(): AuthError {
  return verifierBusy(RETRY_AFTER_S);
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64');
}
