/**
 * Starts examples/model-server as the process that it is, on a free port, and ends it with the test.
 * Also the few typed readers that its tests share.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

export type ModelName = 'iris-1' | 'iris-2' | 'features';
export type Flags = readonly string[];

/** Below the runner's own limit, so that nothing is left running behind a failed test. */
const SCRIPT_MS_MAX = 20_000;

export interface Exit {
  readonly code: number | null;
  readonly stderr: string;
  readonly stdout: string;
}

export interface ModelServer {
  /** `http://127.0.0.1:PORT` or `unix:PATH`, as printed. */
  readonly address: string;
  /** Sends the signal; the answer of `exited` tells how it ended. */
  signal(signal: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
}

/** The folder of the model server; tests run from the compiled tree as well as from the sources. */
export const MODEL_SERVER_FOLDER = findModelServer(dirname(fileURLToPath(import.meta.url)));

function findModelServer(from: string): string {
  const folder = join(from, 'examples', 'model-server');
  if (existsSync(join(folder, 'server.mjs'))) return folder;
  const parent = dirname(from);
  if (parent === from) throw new Error('examples/model-server is in no folder above this file');
  return findModelServer(parent);
}

/** A folder of the test's own with a short path, as Unix sockets need it; gone with the test. */
export function createTestFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'model-server-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Runs one of the folder's scripts to its end, which comes by force if it does not come by itself. */
export async function runScript(script: string, flags: Flags): Promise<Exit> {
  const child = spawnScript(script, flags);
  const killer = setTimeout(() => child.kill('SIGKILL'), SCRIPT_MS_MAX);
  try {
    return await exitOf(child);
  } finally {
    clearTimeout(killer);
  }
}

/** Resolves when the server listens; the test's teardown kills it if it is still there. */
export async function startModelServer(
  t: Test,
  model: ModelName,
  flags: Flags = ['--port', '0'],
): Promise<ModelServer> {
  const child = spawnScript('server.mjs', ['--model', model, ...flags]);
  const exited = exitOf(child);
  t.teardown(() => {
    child.kill('SIGKILL');
  });
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => String(line)),
    exited.then((exit) => {
      throw new Error(`the model server ended early: ${exit.stderr}`);
    }),
  ]);
  const ready = asRecord(JSON.parse(first));
  if (ready['event'] !== 'listening') throw new Error(`unexpected first line: ${first}`);
  return {
    address: String(ready['address']),
    signal: (signal) => {
      child.kill(signal);
    },
    exited,
  };
}

type ScriptProcess = ChildProcessByStdio<null, Readable, Readable>;

function spawnScript(script: string, flags: Flags): ScriptProcess {
  const file = join(MODEL_SERVER_FOLDER, script);
  return spawn(process.execPath, [file, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function exitOf(child: ScriptProcess): Promise<Exit> {
  let stderr = '';
  let stdout = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString('utf8')));
  await once(child, 'close');
  return { code: child.exitCode, stderr, stdout };
}

/** POST of a scoring request; a string goes out as it is. */
export async function score(
  server: ModelServer,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${server.address}/invocations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

/** The JSON object in an answer. */
export async function jsonOf(response: Response): Promise<Record<string, unknown>> {
  return asRecord(await response.json());
}

export function asRecord(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError('expected an object');
  }
  return Object.fromEntries(Object.entries(value));
}

export function asList(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError('expected a list');
  return value;
}
