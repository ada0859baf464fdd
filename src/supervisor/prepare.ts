/** The first half of a publish: what workers are sent, and what their answers mean. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PointsmanError } from '../core/errors.js';
import { PREPARE_TIMEOUT_MS } from '../core/limits.js';
import { RevisionRefused } from '../control/data-plane.js';
import { deltaOf } from '../control/delta.js';
import { encodeFrame, type Snapshot, type SnapshotDelta } from '../control/messages.js';
import type { PrepareOutcome, WorkerSlot } from './worker-process.js';

/** Encoded prepares of one revision: the difference for workers that follow the active one, else everything. */
export class FrameCache {
  readonly base: Snapshot | null;
  readonly next: Snapshot;
  /** From `base`. */
  readonly #delta: SnapshotDelta;
  readonly #frames = new Map<number, Buffer>();

  constructor(base: Snapshot | null, next: Snapshot) {
    this.base = base;
    this.next = next;
    this.#delta = deltaOf(base, next);
  }

  forBase(revision: number): Buffer {
    const follows = revision > 0 && this.base?.revision === revision;
    const key = follows ? revision : 0;
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const delta = follows || this.base === null ? this.#delta : deltaOf(null, this.next);
    const frame = encodeFrame({ prepare: { delta } });
    this.#frames.set(key, frame);
    return frame;
  }
}

const POLL_MS = 5;

/**
 * A process that dies while it prepares may have died of what it prepared. The next one of its slot tells: a
 * revision that kills it too is refused, before all that are born later die of it one after the other.
 * @param patienceMs for a process to be there at all, where one is expected.
 */
export async function prepareOn(
  worker: WorkerSlot,
  revision: number,
  frames: FrameCache,
  patienceMs: number,
): Promise<PrepareOutcome> {
  const patientUntil = performance.now() + patienceMs;
  while (!worker.connected && worker.isExpected && performance.now() < patientUntil) {
    await sleep(POLL_MS);
  }
  const deadline = performance.now() + PREPARE_TIMEOUT_MS;
  const first = await worker.prepare(revision, frames.forBase(worker.base), PREPARE_TIMEOUT_MS);
  if (first.kind !== 'died' && first.kind !== 'killed') return first;
  if (!(await worker.joined(deadline - performance.now()))) return { kind: 'gone' };
  const remainingMs = deadline - performance.now();
  const second = await worker.prepare(revision, frames.forBase(worker.base), remainingMs);
  if (second.kind !== 'died') return second;
  if (first.kind === 'killed') return first;
  return { kind: 'refused', error: 'two processes died of it' };
}

/** @throws PointsmanError unless every worker that serves has prepared the revision. */
export function checkPrepared(outcomes: readonly PrepareOutcome[], revision: number): void {
  for (const [slot, outcome] of outcomes.entries()) {
    const what = `Revision ${String(revision)} was not prepared by worker ${String(slot)}`;
    if (outcome.kind === 'refused') {
      throw new RevisionRefused(`${what}: ${outcome.error}`);
    }
    if (outcome.kind === 'killed') {
      throw new RevisionRefused(
        `${what}: two processes were killed (SIGKILL, as for want of memory)`,
        'TEMPORARILY_UNAVAILABLE',
      );
    }
    if (outcome.kind === 'late') {
      throw new PointsmanError(
        'TEMPORARILY_UNAVAILABLE',
        `${what} in time; the configuration that was active goes on`,
      );
    }
  }
  // What no worker has built does not become active.
  if (outcomes.some(({ kind }) => kind === 'ready')) return;
  throw new PointsmanError(
    'TEMPORARILY_UNAVAILABLE',
    `No worker is there to prepare revision ${String(revision)}, the log says why; nothing has changed`,
  );
}
