/** What the tests use of the benchmark suite, which is JavaScript without declarations. */
import { spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { projectFile } from '../unit/project-file.js';

export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Stub {
  readonly pid: number;
  readonly ports: Readonly<Record<string, { readonly a: number; readonly b: number }>>;
  stop(): Promise<void>;
}

/** Where load goes: as the suite's peers describe themselves. */
export interface Target {
  readonly port: number;
  readonly path: string;
  readonly headers: readonly string[];
}

export interface GeneratorResult {
  readonly answers: number;
  readonly failures: number;
  readonly entities: Readonly<Record<string, number>>;
  readonly latency_us: Quantiles;
}

export interface EventsResult {
  readonly events: number;
  readonly streams: number;
  readonly delay_us: Quantiles;
}

export interface TokenIssuer {
  token(alg: string, options?: { readonly keyId?: string }): string;
  fileOf(alg: string, count: number): Promise<string>;
  write(tokens: readonly string[]): string;
  publicKeyFile(alg: string): string;
  remove(): void;
}

/** An entry of a result, as far as limits need it. */
export interface LimitedEntry {
  readonly target: string;
  readonly metrics: Readonly<Record<string, { readonly rounds: readonly number[] }>>;
  readonly limits?: readonly { readonly met: boolean; readonly value: number }[];
}

interface Suite {
  buildPrograms(names: readonly string[]): Promise<Record<string, string>>;
  startStub(program: string | undefined, core: number): Promise<Stub>;
  generate(
    program: string | undefined,
    target: Target,
    core: number,
    options: Readonly<Record<string, number | boolean>>,
  ): Promise<GeneratorResult>;
  generateTokens(
    program: string | undefined,
    target: Target,
    core: number,
    options: Readonly<Record<string, number | boolean | string | readonly number[]>>,
  ): Promise<GeneratorResult>;
  judge(entries: readonly LimitedEntry[], limits: readonly object[]): void;
  describeLimits(entries: readonly LimitedEntry[]): string[];
  readonly Issuer: new () => TokenIssuer;
  readEvents(
    program: string | undefined,
    target: Target,
    core: number,
    options: Readonly<Record<string, number>>,
  ): Promise<EventsResult>;
  microBenchNames(): string[];
  runOn(core: number, command: string, args: string[], timeoutMs: number): Promise<string>;
  assignCores(): { readonly load: number; readonly isShared: boolean };
}

export async function loadSuite(): Promise<Suite> {
  const files = [
    'programs',
    'stub/stub',
    'load/load',
    'processes',
    'machine',
    'limits',
    'auth/issuer',
  ];
  const modules: object[] = await Promise.all(
    files.map(
      (file): Promise<object> => import(pathToFileURL(projectFile(`bench/${file}.mjs`)).href),
    ),
  );
  return modules.reduce((all, one) => ({ ...all, ...one }), {}) as Suite;
}

export interface BenchRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line of the suite. */
export function runBench(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<BenchRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [projectFile('bench/main.mjs'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Without the test runner's loader, which is not for this process.
      env: { ...env, NODE_OPTIONS: '' },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}
