/** A daemon whose workers fail to prepare revisions that carry a mark, whenever a test wants it (prepare-fault.ts). */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Test } from 'tap';
import {
  configOf,
  temporaryDirectory,
  type Answer,
  type DaemonOptions,
  type TestDaemon,
} from './harness.js';
import { ENDPOINT, PATH, until, workersOf } from './live.js';
import { FAULT_MARK, type FaultKind } from './prepare-fault.js';

const WORKERS = 2;
export const CONFIG = `/api/2.0/serving-endpoints/${ENDPOINT}/config`;
const FLAGS = { 'data-plane-workers': String(WORKERS) };

/** Where the fault is switched on, and a daemon that it works in. */
export class FaultyDaemon {
  readonly options: DaemonOptions;
  readonly #file: string;

  constructor(t: Test) {
    this.#file = path.join(temporaryDirectory(t), 'fault');
    const preload = pathToFileURL(path.join(import.meta.dirname, 'prepare-fault.js'));
    this.options = {
      flags: FLAGS,
      stateDir: temporaryDirectory(t),
      nodeOptions: `--import=${preload.href}`,
      env: { PREPARE_FAULT: this.#file },
    };
  }

  inject(kind: FaultKind): void {
    writeFileSync(this.#file, kind);
  }

  mend(): void {
    rmSync(this.#file);
  }
}

/** A second entity of replica a's under the name that carries the mark. */
export function markedConfig(): unknown {
  const config = configOf({ a: 100 }) as { served_entities: object[] };
  const entity = { ...config.served_entities[0], name: FAULT_MARK };
  const route = { served_model_name: FAULT_MARK, traffic_percentage: 100 };
  return { served_entities: [entity], traffic_config: { routes: [route] } };
}

export async function servedNow(daemon: TestDaemon): Promise<string> {
  const answer = await daemon.invoke(PATH, { inputs: [1] });
  return `${String(answer.status)} ${String(answer.headers.get('served-model-name'))}`;
}

export function errorOf({ body }: Answer): { error_code: string; message: string } {
  return body as { error_code: string; message: string };
}

export async function versionOf(daemon: TestDaemon): Promise<number> {
  const { body } = await daemon.admin('GET', `/api/2.0/serving-endpoints/${ENDPOINT}`);
  return (body as { config: { config_version: number } }).config.config_version;
}

export async function allServe(daemon: TestDaemon): Promise<void> {
  await until(async () => (await workersOf(daemon)).every(({ state }) => state === 'SERVING'));
}

export async function revisionOf(daemon: TestDaemon): Promise<number> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  return (body as { revision: number }).revision;
}
