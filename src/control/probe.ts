/**
 * One health probe of one address over the network. Answers null when the address is healthy, else
 * what is wrong as the predicate of a sentence about the replica ("refuses connections"), or
 * NO_VERDICT when the probe failed for want of something on this side. Never throws.
 *
 * The wording avoids phrases that make clients retry when they stand in an error message
 * (reference/databricks-serving-api.md, end of section 13).
 */
import { request, type ClientRequest } from 'node:http';
import { connect } from 'node:net';
import type { DeploymentInput } from '../config/manifest.js';

export interface ProbeTarget {
  /** IP literal, or `unix:/path.sock`. */
  readonly host: string;
  readonly port: number;
  readonly authority: string;
  readonly basePath: string;
}

export type ProbeSpec = Pick<DeploymentInput, 'health' | 'headers'>;

/** Nothing was learned about the replica. */
export const NO_VERDICT = Symbol('no verdict');

export type ProbeResult = string | null | typeof NO_VERDICT;

export type Probe = (
  target: ProbeTarget,
  spec: ProbeSpec,
  signal: AbortSignal,
) => Promise<ProbeResult>;

/** Bytes of an answer's body that are read before the connection is closed. */
const PROBE_BODY_BYTES_MAX = 64 * 1024;
const UNIX = 'unix:';

export const probeAddress: Probe = (target, spec, signal) =>
  spec.health.type === 'tcp' ? probeTcp(target, spec, signal) : probeHttp(target, spec, signal);

function probeHttp(
  target: ProbeTarget,
  spec: ProbeSpec,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const path = target.basePath + (spec.health.path ?? '/');
  return new Promise((resolve) => {
    const where = target.host.startsWith(UNIX)
      ? { socketPath: target.host.slice(UNIX.length) }
      : { host: target.host, port: target.port };
    const probe = request({
      ...where,
      method: 'GET',
      path,
      agent: false,
      headers: { 'user-agent': 'pointsman', ...spec.headers, host: target.authority },
      signal,
    });
    const timer = setTimeout(() => {
      resolve(silence(spec));
      probe.destroy();
    }, spec.health.timeout_ms);
    timer.unref();
    probe.on('error', (error) => {
      clearTimeout(timer);
      resolve(problemOf(error));
    });
    probe.on('close', () => {
      clearTimeout(timer);
      resolve('closes the connection without an answer');
    });
    probe.on('response', (response) => {
      const status = response.statusCode ?? 0;
      const healthy = status >= 200 && status < 300;
      resolve(healthy ? null : `answers GET ${path} with ${String(status)}`);
      discard(response, probe);
    });
    probe.end();
  });
}

/**
 * Reads the body so that a small server is not cut off while it writes, but no further than the
 * bound.
 */
function discard(response: NodeJS.ReadableStream, probe: ClientRequest): void {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > PROBE_BODY_BYTES_MAX) probe.destroy();
  });
  response.on('error', () => probe.destroy());
}

function probeTcp(target: ProbeTarget, spec: ProbeSpec, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = target.host.startsWith(UNIX)
      ? connect({ path: target.host.slice(UNIX.length) })
      : connect({ host: target.host, port: target.port });
    const settle = (problem: ProbeResult) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      resolve(problem);
      socket.destroy();
    };
    const abort = () => {
      settle('was not probed to the end');
    };
    const timer = setTimeout(() => {
      settle(`does not accept a connection within ${String(spec.health.timeout_ms)} ms`);
    }, spec.health.timeout_ms);
    timer.unref();
    signal.addEventListener('abort', abort);
    socket.on('connect', () => {
      settle(null);
    });
    socket.on('error', (error) => {
      settle(problemOf(error));
    });
  });
}

function silence(spec: ProbeSpec): string {
  return `does not answer within ${String(spec.health.timeout_ms)} ms`;
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections',
  ECONNRESET: 'closes the connection without an answer',
  EPIPE: 'closes the connection without an answer',
  EHOSTUNREACH: 'cannot be reached (no route to its host)',
  ENETUNREACH: 'cannot be reached (no route to its network)',
  ETIMEDOUT: 'does not answer',
  ENOENT: 'has no socket at this path',
  EACCES: 'has a socket that may not be opened (no permission)',
};

/** Descriptors, memory or ports that this host has run out of. */
const OWN_FAULTS: ReadonlySet<string> = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
]);

function problemOf(error: NodeJS.ErrnoException): ProbeResult {
  const code = error.code ?? '';
  if (OWN_FAULTS.has(code)) return NO_VERDICT;
  if (code.startsWith('HPE_')) return `does not speak HTTP (${code})`;
  return PROBLEMS[code] ?? `cannot be probed (${code === '' ? error.name : code})`;
}
