/**
 * The C++ parsers for tests in TypeScript: builds native/test/http1_replay.cc under the sanitizers and feeds it. Every
 * case is also fed in pieces there; a cut that changes the outcome fails the whole call.
 */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { projectFile } from '../unit/project-file.js';

export interface RequestMessage {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  /** "name: value\r\n" each. */
  readonly fields: string;
  readonly body: string;
  readonly isHttp10: boolean;
  readonly keepAlive: boolean;
  /** False for a last one whose body is broken off. */
  readonly isComplete: boolean;
}

export interface RequestResult {
  readonly messages: readonly RequestMessage[];
  /** Name of the error, or "none". */
  readonly error: string;
  readonly status: number;
}

export interface ResponseResult {
  /** Absent when there was no complete head. */
  readonly statusCode?: number;
  readonly body: string;
  readonly error: string;
}

const HEX_NAMES = new Set(['method', 'path', 'query', 'host', 'fields', 'body']);

function decodeHex(name: string, value: unknown): unknown {
  const isHex = typeof value === 'string' && HEX_NAMES.has(name);
  return isHex ? Buffer.from(value, 'hex').toString('latin1') : value;
}

async function replay(lines: readonly string[]): Promise<unknown[]> {
  const run = projectFile('native/test/run.mjs');
  const built = await promisify(execFile)(process.execPath, [run, '--build', 'http1_replay']);
  const child = spawn(built.stdout.trim(), { stdio: ['pipe', 'pipe', 'inherit'] });
  const done = new Promise<number | null>((resolve) => child.on('close', resolve));
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdin.end(`${lines.join('\n')}\n`);
  const code = await done;
  const results = Buffer.concat(chunks).toString('latin1').trimEnd().split('\n');
  if (code !== 0 || results.length !== lines.length) {
    throw new Error(
      `http1_replay ended with ${String(code)} after ${String(results.length)} cases`,
    );
  }
  return results.map((line) => JSON.parse(line, decodeHex) as unknown);
}

function toHex(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('hex');
}

/** Each case: all that a client sends on one connection, in latin1. */
export async function replayRequests(cases: readonly string[]): Promise<RequestResult[]> {
  return (await replay(cases.map((bytes) => `request ${toHex(bytes)}`))) as RequestResult[];
}

export interface ResponseCase {
  readonly method: 'GET' | 'HEAD';
  /** All that a replica sends before it closes, in latin1. */
  readonly bytes: string;
}

export async function replayResponses(cases: readonly ResponseCase[]): Promise<ResponseResult[]> {
  const lines = cases.map(
    ({ method, bytes }) => `${method === 'HEAD' ? 'head' : 'response'} ${toHex(bytes)}`,
  );
  return (await replay(lines)) as ResponseResult[];
}
