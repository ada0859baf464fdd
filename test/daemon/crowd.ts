/** One deployment `s` behind an endpoint of that name, and callers that check each answer against its request. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { until } from './live.js';
import { BrokenAnswer, jsonOf, valuesOf, WireClient, type WireAnswer } from './wire.js';

const INVOKE = '/serving-endpoints/s/invocations';
const ONE_WORKER = { 'data-plane-workers': '1' };

export interface Outcome {
  /** 0: the answer broke off. */
  readonly status: number;
  readonly served: string;
  readonly tookMs: number;
  readonly endedAt: number;
  readonly text: string;
}

export interface Deployment {
  readonly urls: readonly string[];
  readonly health?: object;
  readonly timeouts?: object;
  readonly replaySafe?: boolean;
  /** Settings of the daemon; one worker by default. */
  readonly flags?: Readonly<Record<string, string>>;
}

export async function serve(t: Test, { urls, health, timeouts, replaySafe, flags }: Deployment) {
  const daemon = await startDaemon(t, { flags: { ...ONE_WORKER, ...flags } });
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      {
        name: 's',
        protocol: 'raw',
        serves: [{ entity_name: 'lab.ml.s', entity_version: '1' }],
        replicas: urls.map((url) => ({ url })),
        health: health ?? { type: 'http', interval_ms: 100, timeout_ms: 200, unhealthy_after: 2 },
        timeouts: timeouts ?? {},
        replay_safe: replaySafe ?? false,
      },
    ],
    endpoints: [endpointOf('s', { s: 100 })],
  });
  t.equal(applied.status, 200);
  await daemon.settled('s');
  return daemon;
}

/** The addresses that probes call ready. */
export async function readyOf(daemon: TestDaemon): Promise<string[]> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/deployments/s');
  const { addresses } = body as { addresses: { address: string; state: string }[] };
  return addresses.filter(({ state }) => state === 'READY').map(({ address }) => address);
}

/** Sends one request on a connection that is kept, or on a new one after a failure. */
export class Caller {
  readonly #t: Test;
  readonly #port: number;
  readonly #head: string;
  #wire: WireClient | null = null;

  constructor(t: Test, daemon: TestDaemon, path = INVOKE) {
    this.#t = t;
    this.#port = daemon.dataPort;
    this.#head =
      `POST ${path} HTTP/1.1\r\nHost: router\r\nContent-Length: 2\r\n` +
      `Authorization: Bearer ${daemon.queryToken}\r\n`;
  }

  async call(id: string): Promise<Outcome> {
    const wire = (this.#wire ??= new WireClient(this.#t, this.#port));
    const sentAt = performance.now();
    let answer: WireAnswer | null = null;
    try {
      answer = await wire.send(`${this.#head}X-Lab: ${id}\r\n\r\n{}`).answer();
    } catch (error) {
      if (!(error instanceof BrokenAnswer)) throw error;
    }
    if (answer === null || valuesOf(answer, 'connection').includes('close')) {
      wire.socket.destroy();
      this.#wire = null;
    }
    const endedAt = performance.now();
    const json = answer?.status === 200 ? jsonOf(answer) : {};
    if (answer?.status === 200 && json['id'] !== id) throw new Error(`not the answer to ${id}`);
    return {
      status: answer?.status ?? 0,
      served: String(json['served']),
      tookMs: endedAt - sentAt,
      endedAt,
      text: answer?.body.toString() ?? '',
    };
  }
}

/** Callers side by side that send one request after another until `stop`. */
export class Crowd {
  readonly outcomes: Outcome[] = [];
  #stopped = false;
  readonly #running: Promise<unknown>;

  constructor(t: Test, daemon: TestDaemon, size: number, gapMs = 0) {
    this.#running = Promise.all(
      Array.from({ length: size }, async (_, number) => {
        const caller = new Caller(t, daemon);
        for (let count = 0; !this.#stopped; count += 1) {
          this.outcomes.push(await caller.call(`${String(number)}-${String(count)}`));
          if (gapMs > 0) await pause(gapMs);
        }
      }),
    );
  }

  async more(count: number): Promise<void> {
    const wanted = this.outcomes.length + count;
    await until(() => this.outcomes.length >= wanted);
  }

  async stop(): Promise<Outcome[]> {
    this.#stopped = true;
    await this.#running;
    return this.outcomes;
  }

  failures(): Outcome[] {
    return this.outcomes.filter(({ status }) => status !== 200);
  }
}

/** Which statuses there are, in order; `allowed` ones are in any case. */
export function statusesOf(outcomes: readonly Outcome[], ...allowed: readonly number[]): number[] {
  return [...new Set([...allowed, ...outcomes.map(({ status }) => status)])].sort();
}

export function servedBy(outcomes: readonly Outcome[], name: string): number {
  return outcomes.filter(({ served }) => served === name).length;
}
