/**
 * The keys of one external issuer, kept fresh: read at the start, every REFRESH_INTERVAL_MS, and when a token names a
 * key that is not among them. One read at a time; between two reads on demand lies a cooldown, whatever strangers
 * send. When the source fails, the keys of the last good read stay; a good answer that lacks a key removes it.
 */
import { open } from 'node:fs/promises';
import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { Algorithm } from './algorithms.js';
import { fetchKeySet, KEY_SET_BYTES_MAX } from './jwks-fetch.js';
import { readKeySet, type TrustedKey } from './trusted-key.js';

/** How long a key that the issuer has removed may still be taken, and a new one be unknown to nobody's asking. */
export const REFRESH_INTERVAL_MS = 60_000;
/** Least time between two reads on demand, also after a failure. */
export const REFRESH_COOLDOWN_MS = 5_000;

export type KeySetLocation = { readonly uri: string } | { readonly file: string };

export interface JwksSourceOptions {
  readonly location: KeySetLocation;
  readonly algorithms: readonly Algorithm[];
  readonly clock: Clock;
  /** The keys are others than before. */
  readonly onKeys: () => void;
  /** A read failed or keys were left out; one sentence, said once until it changes. */
  readonly onProblem: (problem: string) => void;
}

export class JwksSource {
  readonly #options: JwksSourceOptions;
  #keys: readonly TrustedKey[] = [];
  #reading: Promise<void> | null = null;
  #nextReadMs = 0;
  #lastProblem = '';
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(options: JwksSourceOptions) {
    this.#options = options;
  }

  get keys(): readonly TrustedKey[] {
    return this.#keys;
  }

  /** Resolves after the first read, whether it went well or not. */
  start(): Promise<void> {
    return this.#read();
  }

  /** Reads again unless that was done within the cooldown. Never rejects. */
  refresh(): Promise<void> {
    if (this.#reading !== null) return this.#reading;
    if (this.#closed || this.#options.clock.nowMs() < this.#nextReadMs) return Promise.resolve();
    return this.#read();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    this.#cancelTimer();
    try {
      const text = await readLocation(this.#options.location);
      const { keys, refused } = await readKeySet(text, this.#options.algorithms);
      this.#report(refused.join('; '));
      this.#take(keys);
    } catch (error) {
      // Whatever it is, it lies outside: the keys of before stay.
      this.#report(messageOf(error));
    }
    this.#nextReadMs = this.#options.clock.nowMs() + REFRESH_COOLDOWN_MS;
    if (this.#closed) return;
    this.#cancelTimer = this.#options.clock.after(REFRESH_INTERVAL_MS, () => {
      void this.#read();
    });
  }

  #take(keys: readonly TrustedKey[]): void {
    if (this.#closed || JSON.stringify(keys) === JSON.stringify(this.#keys)) return;
    this.#keys = keys;
    this.#options.onKeys();
  }

  #report(problem: string): void {
    if (problem !== '' && problem !== this.#lastProblem) this.#options.onProblem(problem);
    this.#lastProblem = problem;
  }
}

function readLocation(location: KeySetLocation): Promise<string> {
  return 'uri' in location ? fetchKeySet(location.uri) : readFile(location.file);
}

async function readFile(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > KEY_SET_BYTES_MAX) {
      throw new Error(`is larger than ${String(KEY_SET_BYTES_MAX)} bytes`);
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile());
  } finally {
    await file.close();
  }
}
