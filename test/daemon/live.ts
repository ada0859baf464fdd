/** Load without pause and a look at the worker processes: what tests of live change have in common. */
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { deploymentsOf, endpointOf, startNamedReplica, type TestDaemon } from './harness.js';
import { post, valuesOf, WireClient, type WireAnswer } from './wire.js';

export const FOUR_WORKERS = { 'data-plane-workers': '4' };
export const ENDPOINT = 'live';
export const PATH = `/serving-endpoints/${ENDPOINT}/invocations`;

export interface WorkerView {
  readonly slot: number;
  readonly pid: number;
  readonly state: string;
  readonly revision: number;
  readonly revisions_held: number;
  readonly connections: number;
  readonly in_flight: number;
  readonly restarts: number;
}

/** One answer as a client of the load got it. */
export interface Sample {
  readonly sentAt: number;
  readonly status: number;
  readonly revision: number;
  /** From the header and from the replica's body. */
  readonly entity: string;
  readonly served: string;
}

export async function workersOf(daemon: TestDaemon): Promise<WorkerView[]> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  return (body as { workers: WorkerView[] }).workers;
}

/** Looks until `wanted` holds; the test's own timeout bounds it. */
export async function until(wanted: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await wanted())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** False too for a process that has ended and was not reaped: orphans are reaped by whoever inherits them. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
  } catch {
    return false;
  }
}

/** The endpoint `live` with replicas a and b and this split, ready. */
export async function configure(
  t: Test,
  daemon: TestDaemon,
  split: Readonly<Record<string, number>>,
): Promise<void> {
  const urls: Record<string, string> = {};
  for (const name of Object.keys(split)) urls[name] = (await startNamedReplica(t, name)).url;
  const answer = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf(urls),
    endpoints: [endpointOf(ENDPOINT, split)],
  });
  t.equal(answer.status, 200, answer.text);
  await daemon.settled(ENDPOINT);
}

/** Changes the shares only; resolves when the admin port says that the new ones are in force. */
export async function changeSplit(
  daemon: TestDaemon,
  split: Readonly<Record<string, number>>,
): Promise<number> {
  const routes = Object.entries(split).map(([name, share]) => ({
    served_model_name: name,
    traffic_percentage: share,
  }));
  const entities = Object.keys(split).map((name) => ({
    name,
    entity_name: `lab.ml.${name}`,
    entity_version: '1',
    workload_size: 'Small',
    scale_to_zero_enabled: true,
  }));
  const { status } = await daemon.admin('PUT', `/api/2.0/serving-endpoints/${ENDPOINT}/config`, {
    served_entities: entities,
    traffic_config: { routes },
  });
  return status;
}

/** Connections that send one request after another; a connection that the daemon closes is opened again. */
export class Load {
  readonly failures: string[] = [];
  answers = 0;
  readonly #t: Test;
  readonly #port: number;
  readonly #bytes: Buffer;
  readonly #onSample: (sample: Sample) => void;
  #stopped = false;
  #running: Promise<unknown>;

  constructor(
    t: Test,
    daemon: TestDaemon,
    connections: number,
    onSample: (sample: Sample) => void = () => undefined,
    path = PATH,
  ) {
    this.#t = t;
    this.#port = daemon.dataPort;
    this.#bytes = Buffer.from(post(daemon, path, '{"inputs":[1]}'));
    this.#onSample = onSample;
    this.#running = Promise.all(Array.from({ length: connections }, () => this.#run()));
  }

  /** Resolves when `count` more answers have come. */
  async more(count: number): Promise<void> {
    const wanted = this.answers + count;
    await until(() => this.answers >= wanted);
  }

  /** Every request under way is answered before it resolves. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    let client: WireClient | null = null;
    while (!this.#stopped) {
      client ??= new WireClient(this.#t, this.#port);
      const sentAt = performance.now();
      try {
        const answer = await client.send(this.#bytes).answer();
        this.answers += 1;
        this.#onSample(sampleOf(answer, sentAt));
        if (answer.status !== 200) this.failures.push(answer.head);
        if (!valuesOf(answer, 'connection').includes('close')) continue;
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
      }
      client.socket.destroy();
      client = null;
    }
    client?.socket.destroy();
  }
}

function sampleOf(answer: WireAnswer, sentAt: number): Sample {
  const text = answer.body.toString();
  return {
    sentAt,
    status: answer.status,
    revision: Number(valuesOf(answer, 'x-pointsman-revision')[0] ?? 0),
    entity: valuesOf(answer, 'served-model-name')[0] ?? '',
    served: /"served":"([^"]*)"/.exec(text)?.[1] ?? '',
  };
}
