/**
 * Loaded into every process of a daemon by a test (`--import`): makes prepares fail in the workers, and in them alone, for
 * revisions that carry a mark. What the supervisor tries out beforehand succeeds. The last kinds are no matter of
 * revisions: they fail with any.
 *
 * Workers act on a prepare in native code, straight from the socket. So the fault comes by a bridge in the worker's own
 * process, between its engine and control.sock, which sees every frame.
 *
 * PREPARE_FAULT names a file that holds the kind of the fault; no file, no fault. A prepare is marked by the text
 * FAULT_MARK, e.g. in the name of a served entity.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const FAULT_MARK = 'faulty';

/**
 * - refuse: the engine cannot build the revision, whose base it does not know
 * - cripple: the engine gets a prepare that it cannot make sense of
 * - abort: the process dies, as native code does when it finds no memory
 * - kill: the process is killed, as by the kernel when the machine has no memory
 * - stop: the process stops where it is, until SIGCONT
 * - unloadable: uWebSockets.js cannot be loaded
 * - deaf: a worker cannot accept; deaf-but-one: only that of slot 0 can
 */
export type FaultKind =
  ('refuse' | 'cripple' | 'abort' | 'kill' | 'stop') | ('unloadable' | 'deaf' | 'deaf-but-one');

interface FaultyEngine {
  openControl(socketPath: string, ...listeners: unknown[]): boolean;
  accept(descriptor: number, maxConnections: number): unknown;
}
type EngineClass = new (...args: unknown[]) => FaultyEngine;

const file = process.env['PREPARE_FAULT'];
const launch = process.env['POINTSMAN_WORKER'];
const isWorker = launch !== undefined;
const { slot } = JSON.parse(launch ?? '{"slot":0}') as { slot: number };

if (file !== undefined && isWorker) {
  const load = process.dlopen.bind(process);
  process.dlopen = (module: object, filename: string, flags?: number): void => {
    if (path.basename(filename).startsWith('uws_') && faultIn(file) === 'unloadable') {
      throw new Error('injected: no such binary');
    }
    if (flags === undefined) load(module, filename);
    else load(module, filename, flags);
    const { exports } = module as { exports: { Engine?: EngineClass } };
    if (filename.endsWith('pointsman.node') && exports.Engine !== undefined) {
      exports.Engine = withFault(exports.Engine, file);
    }
  };
}

function faultIn(faultFile: string): FaultKind | null {
  return existsSync(faultFile) ? (readFileSync(faultFile, 'utf8') as FaultKind) : null;
}

function withFault(Engine: EngineClass, faultFile: string): EngineClass {
  return class extends Engine {
    override openControl(socketPath: string, ...listeners: unknown[]): boolean {
      if (!existsSync(socketPath)) return false;
      return super.openControl(bridgeTo(socketPath, faultFile), ...listeners);
    }

    override accept(descriptor: number, maxConnections: number): unknown {
      const kind = faultIn(faultFile);
      if (kind === 'deaf' || (kind === 'deaf-but-one' && slot > 0)) {
        throw new Error('injected: no descriptor is left');
      }
      return super.accept(descriptor, maxConnections);
    }
  };
}

/** Path of a socket that takes one connection and joins it with `target`; listens when this returns. */
function bridgeTo(target: string, faultFile: string): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'pm-fault-'));
  const bridge = path.join(directory, 'socket');
  const server = createServer((engine) => {
    server.close();
    rmSync(directory, { recursive: true, force: true });
    const supervisor = connect(target);
    engine.pipe(supervisor);
    relayFrames(supervisor, engine, faultFile);
    for (const [one, other] of [
      [engine, supervisor],
      [supervisor, engine],
    ] as const) {
      one.on('error', () => undefined);
      one.on('close', () => other.end());
    }
  });
  server.listen(bridge);
  return bridge;
}

const PREFIX_BYTES = 4;

function relayFrames(from: Socket, to: Socket, faultFile: string): void {
  let held = Buffer.alloc(0);
  from.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + held.readUInt32LE(0);
      if (held.length < end) return;
      const frame = held.subarray(0, end);
      held = held.subarray(end);
      to.write(isMarkedPrepare(frame) ? spoiled(frame, faultIn(faultFile)) : frame);
    }
  });
  from.on('end', () => to.end());
}

/** Field 3 of an Envelope (proto/control.proto). */
const PREPARE_TAG = 0x1a;

function isMarkedPrepare(frame: Buffer): boolean {
  return frame[PREFIX_BYTES] === PREPARE_TAG && frame.includes(FAULT_MARK);
}

/** A prepare of revision 9,001 from 9,000, which no test gets to. */
const UNKNOWN_BASE = [PREPARE_TAG, 8, 0x0a, 6, 0x08, 0xa9, 0x46, 0x10, 0xa8, 0x46];

/** What the engine gets instead, if this process is there to see it. */
function spoiled(frame: Buffer, kind: FaultKind | null): Buffer {
  if (kind === 'abort') process.abort();
  if (kind === 'kill') process.kill(process.pid, 'SIGKILL');
  if (kind === 'stop') process.kill(process.pid, 'SIGSTOP');
  // The last byte is missing, at every level of the message.
  if (kind === 'cripple') return frameOf(frame.subarray(PREFIX_BYTES, frame.length - 1));
  if (kind === 'refuse') return frameOf(Buffer.from(UNKNOWN_BASE));
  return frame;
}

function frameOf(envelope: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32LE(envelope.length, 0);
  return Buffer.concat([prefix, envelope]);
}
