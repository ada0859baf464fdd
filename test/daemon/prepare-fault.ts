/**
 * Loaded into every process of a daemon by a test (`--import`): makes native prepare fail in the workers, and in
 * them alone, for revisions that carry a mark. What the supervisor tries out beforehand succeeds. The last kinds are no
 * matter of revisions: they fail with any.
 *
 * PREPARE_FAULT names a file that holds the kind of the fault; no file, no fault. A delta is marked by the text
 * FAULT_MARK, e.g. in the name of a served entity.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const FAULT_MARK = 'faulty';

/**
 * - refuse: the engine says that it cannot build the revision
 * - cripple: the engine gets a delta that it cannot make sense of
 * - abort: the process dies, as native code does when it finds no memory
 * - kill: the process is killed, as by the kernel when the machine has no memory
 * - stop: the process stops where it is, until SIGCONT
 * - unloadable: uWebSockets.js cannot be loaded
 * - deaf: a worker cannot accept; deaf-but-one: only that of slot 0 can
 */
export type FaultKind =
  ('refuse' | 'cripple' | 'abort' | 'kill' | 'stop') | ('unloadable' | 'deaf' | 'deaf-but-one');

interface PreparingEngine {
  prepare(delta: unknown): unknown;
  accept(descriptor: number, maxConnections: number): unknown;
}
type EngineClass = new (...args: unknown[]) => PreparingEngine;

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
    override prepare(delta: unknown): unknown {
      const kind = faultIn(faultFile);
      if (kind === null || !JSON.stringify(delta).includes(FAULT_MARK)) {
        return super.prepare(delta);
      }
      if (kind === 'abort') process.abort();
      if (kind === 'kill') process.kill(process.pid, 'SIGKILL');
      if (kind === 'stop') process.kill(process.pid, 'SIGSTOP');
      if (kind === 'cripple') return super.prepare(crippled(delta));
      if (kind === 'refuse') throw new Error('injected: no memory for the table');
      return super.prepare(delta);
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

/** Endpoints that route to nothing that is there. */
function crippled(delta: unknown): unknown {
  const { endpoints } = delta as { endpoints: { entities: object[] }[] };
  const lost = endpoints.map((endpoint) => ({
    ...endpoint,
    entities: endpoint.entities.map((entity) => ({ ...entity, deployment: 'lost' })),
  }));
  return { ...(delta as object), endpoints: lost };
}
