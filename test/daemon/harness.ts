/**
 * A whole daemon for black-box tests: the real process on free ports with a state directory of its own, real
 * model servers behind it, and small clients. Everything ends with the test.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { projectFile } from '../unit/project-file.js';
import { SecretWatch } from './secret-watch.js';
import { SLOWNESS } from './slowness.js';

const START_TIMEOUT_MS = 20_000 * SLOWNESS;

export interface DaemonOptions {
  /** Settings as flags, e.g. `{ 'auth-mode': 'disabled' }`. */
  readonly flags?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** A directory of an earlier daemon, to start on its state. */
  readonly stateDir?: string;
  /** NODE_OPTIONS of the daemon's processes; none by default. */
  readonly nodeOptions?: string;
  /** It is started where crashes may leave core files. */
  readonly dumpsAllowed?: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  readonly text: string;
}

export class TestDaemon {
  readonly stateDir: string;
  readonly adminUrl: string;
  readonly dataUrl: string;
  readonly process: ChildProcess;
  /** Everything that the daemon has printed. */
  readonly output: string[];
  readonly #secrets: SecretWatch;

  constructor(
    parts: Pick<TestDaemon, 'stateDir' | 'adminUrl' | 'dataUrl' | 'process' | 'output'>,
    secrets: SecretWatch,
  ) {
    this.#secrets = secrets;
    this.stateDir = parts.stateDir;
    this.adminUrl = parts.adminUrl;
    this.dataUrl = parts.dataUrl;
    this.process = parts.process;
    this.output = parts.output;
  }

  get adminToken(): string {
    return readFileSync(path.join(this.stateDir, 'admin-token'), 'utf8').trim();
  }

  get queryToken(): string {
    return readFileSync(path.join(this.stateDir, 'query-token'), 'utf8').trim();
  }

  get dataPort(): number {
    return Number(new URL(this.dataUrl).port);
  }

  /** Process id of the worker of slot 0. */
  async workerPid(): Promise<number> {
    const { body } = await this.admin('GET', '/api/2.0/pointsman/status');
    return (body as { workers: { pid: number }[] }).workers[0]?.pid ?? 0;
  }

  /** A management call; a string body is sent as it is, anything else as JSON. */
  async admin(
    method: string,
    route: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const answer = await call(`${this.adminUrl}${route}`, method, this.adminToken, body, headers);
    this.#secrets.onCall(route, body, answer.status, answer.headers, answer.text);
    return answer;
  }

  /** An invocation on the data port with the query token. */
  async invoke(
    route: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const url = `${this.dataUrl}${route}`;
    const answer = await call(url, 'POST', this.queryToken, body, headers);
    // Any other answer is the replica's.
    if (answer.headers.has('x-pointsman-error')) {
      this.#secrets.onCall(route, null, answer.status, answer.headers, answer.text);
    }
    return answer;
  }

  /** Waits until the endpoint has no pending config. */
  async settled(endpoint: string): Promise<Record<string, unknown>> {
    for (;;) {
      const { body } = await this.admin('GET', `/api/2.0/serving-endpoints/${endpoint}`);
      const view = body as { state: { config_update: string } };
      if (view.state.config_update !== 'IN_PROGRESS') return body as Record<string, unknown>;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the daemon and resolves with its exit code; null when a signal ended it. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    return new Promise((resolve) => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        resolve(this.process.exitCode);
        return;
      }
      this.process.once('exit', (code) => {
        resolve(code);
      });
      this.process.kill(signal);
    });
  }
}

export async function startDaemon(t: Test, options: DaemonOptions = {}): Promise<TestDaemon> {
  const stateDir = options.stateDir ?? temporaryDirectory(t);
  const flags: Record<string, string> = {
    'data-plane-listen': '127.0.0.1:0',
    'admin-listen': '127.0.0.1:0',
    'state-dir': stateDir,
    'data-plane-drain-delay-ms': '0',
    ...options.flags,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn('env', pointsmanCommand(['serve', ...args], options), {
    // A folder without a manifest or configuration of somebody else's.
    cwd: stateDir,
    env: { ...cleanEnv(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const secrets = new SecretWatch(stateDir, options.env ?? {});
  const output: string[] = [];
  let adminUrl = '';
  t.teardown(async () => {
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const problem = await secrets.finish(hasEnded ? null : (child.pid ?? null), adminUrl, output);
    child.kill('SIGKILL');
    // Later: what a teardown throws itself keeps the others from being run, and workers would stay behind.
    if (problem !== null) {
      setImmediate(() => {
        throw problem;
      });
    }
  });
  createInterface({ input: child.stderr }).on('line', (line) => output.push(line));
  const ports = await new Promise<{ admin: string; data: string }>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the daemon did not start:\n${output.join('\n')}`));
    }, START_TIMEOUT_MS);
    let data = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      output.push(line);
      data = /data port on ([^"]+)/.exec(line)?.[1] ?? data;
      const admin = /admin port on ([^"]+)/.exec(line)?.[1];
      if (admin === undefined) return;
      clearTimeout(timer);
      resolve({ admin, data });
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the daemon ended with code ${String(code)}:\n${output.join('\n')}`));
    });
  });
  adminUrl = `http://${ports.admin}`;
  secrets.started(child.pid ?? 0);
  const dataUrl = `http://${ports.data}`;
  return new TestDaemon({ stateDir, adminUrl, dataUrl, process: child, output }, secrets);
}

export interface Command {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line to its end. */
export function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Command> {
  return new Promise((resolve) => {
    const child = spawn('env', pointsmanCommand(args), {
      cwd: tmpdir(),
      env: { ...cleanEnv(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('close', (code) => {
      resolve({ code: code ?? -1, stdout, stderr });
    });
  });
}

/** A short path: Unix sockets below it must stay under 107 bytes. */
export function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'pm-'));
  t.teardown(() => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

/** A real replica in this process; `handler` as of node:http. `/ping` is answered for it. */
export async function startReplica(
  t: Test,
  handler: Parameters<typeof createServer>[1],
  port = 0,
): Promise<{ url: string; server: Server }> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === '/ping') response.end();
    else handler?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, server };
}

/** A replica that answers `{"served": name}` after it has read the request. */
export function startNamedReplica(t: Test, name: string): Promise<{ url: string; server: Server }> {
  const body = JSON.stringify({ served: name });
  return startReplica(t, (request, response) => {
    request.resume();
    request.once('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(body);
    });
  });
}

/** A replica that answers with `events` server-sent events, one per 100 ms. */
export function startStreamReplica(t: Test, events: number): ReturnType<typeof startReplica> {
  return startReplica(t, (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let sent = 0;
    const timer = setInterval(() => {
      sent += 1;
      response.write(`data: ${String(sent)}\n\n`);
      if (sent < events) return;
      clearInterval(timer);
      response.end();
    }, 100);
  });
}

/** Deployments named as their entities, version 1: what a manifest's `deployments` takes. */
export function deploymentsOf(urls: Readonly<Record<string, string>>): unknown[] {
  return Object.entries(urls).map(([name, url]) => ({
    name,
    serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }],
    replicas: [{ url }],
    health: { interval_ms: 100 },
  }));
}

/** An endpoint whose entities are those of `deploymentsOf`, with this split. */
export function endpointOf(
  name: string,
  split: Readonly<Record<string, number | string>>,
): unknown {
  return { name, config: configOf(split) };
}

export function configOf(split: Readonly<Record<string, number | string>>): unknown {
  return {
    served_entities: Object.keys(split).map((entity) => ({
      name: entity,
      entity_name: `lab.ml.${entity}`,
      entity_version: '1',
      workload_size: 'Small',
      scale_to_zero_enabled: true,
    })),
    traffic_config: {
      routes: Object.entries(split).map(([entity, percentage]) => ({
        served_model_name: entity,
        traffic_percentage: percentage,
      })),
    },
  };
}

function mainFile(): string {
  return projectFile('dist/main.js');
}

/**
 * Arguments of env(1). The test runner puts a loader into the environment of every child, whatever `env` says; its hooks
 * run on a thread of their own in each process that inherits it, and a main thread that waits for one that is
 * gone hangs for ever. env(1) takes it out and then is the process itself.
 */
function pointsmanCommand(args: readonly string[], options: DaemonOptions = {}): string[] {
  const { nodeOptions, dumpsAllowed = false } = options;
  const variables = nodeOptions === undefined ? [] : [`NODE_OPTIONS=${nodeOptions}`];
  // tools/asan.mjs: only the daemon is to run on the sanitizers' libraries.
  const preload = process.env['POINTSMAN_TEST_PRELOAD'];
  if (preload !== undefined) variables.push(`LD_PRELOAD=${preload}`);
  const shell = dumpsAllowed ? ['sh', '-c', 'ulimit -c unlimited; exec "$0" "$@"'] : [];
  return ['-u', 'NODE_OPTIONS', ...variables, ...shell, process.execPath, mainFile(), ...args];
}

/** Without what would configure a daemon or a client from outside the test. */
function cleanEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:POINTSMAN|DATABRICKS)_/.test(name),
  );
  return Object.fromEntries(kept);
}

export async function call(
  url: string,
  method: string,
  token: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: tryParse(text), text };
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
