/**
 * The three modes of the data port, for tests that hold in more than one: who meets the clients. A test file that reads
 * its mode from its own URL can be run again in another mode by importing it with `?mode=`.
 */
import type { Test } from 'tap';
import { deploymentsOf, endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { startWireReplica, type WireReplica, type WireRequest } from './wire.js';
import type { Socket } from 'node:net';

export type DataMode = 'native' | 'guarded' | 'js';

/** Those in which the front stands before everything else. */
export const GUARDED_MODES: readonly DataMode[] = ['native', 'guarded'];

const MODE_FLAGS: Readonly<Record<DataMode, Readonly<Record<string, string>>>> = {
  native: {},
  guarded: { 'data-plane-fast-path': 'false' },
  js: { 'data-plane-guard': 'off' },
};

/** Flags of a daemon in this mode. */
export function flagsOf(mode: DataMode): Readonly<Record<string, string>> {
  return MODE_FLAGS[mode];
}

/** Mode that a test file is imported for; `native` when it runs by itself. */
export function modeOf(moduleUrl: string): DataMode {
  const asked = new URL(moduleUrl).searchParams.get('mode') ?? 'native';
  if (asked !== 'native' && asked !== 'guarded' && asked !== 'js') {
    throw new Error(`not a mode of the data port: ${asked}`);
  }
  return asked;
}

/** A replica that remembers every byte sent to it, probes apart. */
export interface RecordingReplica extends WireReplica {
  /** Requests that came whole. */
  readonly requests: WireRequest[];
  /** All bytes of all connections, a character per byte; forgotten by `forget`. */
  readonly bytes: () => string;
  readonly forget: () => void;
}

const PROBE = /^GET \/ping /;

export async function startRecordingReplica(
  t: Test,
  onRequest: (request: WireRequest, socket: Socket) => void,
): Promise<RecordingReplica> {
  const requests: WireRequest[] = [];
  const chunks: Buffer[] = [];
  const replica = await startWireReplica(t, (request, socket) => {
    requests.push(request);
    onRequest(request, socket);
  });
  replica.server.on('connection', (socket: Socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (!PROBE.test(chunk.toString('latin1', 0, 10))) chunks.push(chunk);
    });
  });
  return {
    ...replica,
    requests,
    bytes: () => Buffer.concat(chunks).toString('latin1'),
    forget() {
      requests.length = 0;
      chunks.length = 0;
    },
  };
}

/** A daemon of one worker in this mode with one endpoint per replica, each of them ready. */
export async function startInMode(
  t: Test,
  mode: DataMode,
  replicas: Readonly<Record<string, WireReplica>>,
  flags: Readonly<Record<string, string>> = {},
): Promise<TestDaemon> {
  const daemon = await startDaemon(t, {
    flags: { 'data-plane-workers': '1', ...flagsOf(mode), ...flags },
  });
  const names = Object.keys(replicas);
  const urls = Object.fromEntries(names.map((name) => [name, replicas[name]?.url ?? '']));
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf(urls).map((deployment) => ({
      ...(deployment as object),
      health: { interval_ms: 60_000 },
    })),
    endpoints: names.map((name) => endpointOf(name, { [name]: 100 })),
  });
  if (applied.status !== 200) throw new Error(applied.text);
  for (const name of names) await daemon.settled(name);
  return daemon;
}

/** Path of an endpoint's invocations. */
export function pathOf(endpoint: string): string {
  return `/serving-endpoints/${endpoint}/invocations`;
}
