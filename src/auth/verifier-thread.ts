/**
 * Code of a verifier thread: verifies batches of tokens, and those that come by a lane. A thread that has not seen the trust of the batch
 * answers null and is sent it with the next one, so that keys cross the boundary once per change and thread.
 */
import type { MessagePort } from 'node:worker_threads';
import { lowerOwnPriority } from '../core/thread-priority.js';
import { CredentialChecker, type TokenCredential } from './credentials.js';
import { TokenLane } from './token-lane.js';
import { TokenVerifier } from './token-verifier.js';
import type { Trust, VerifyAnswer } from './trust.js';

export interface VerifyTask {
  readonly trustVersion: number;
  /** Null: sent before, perhaps to another thread. */
  readonly trust: Trust | null;
  readonly tokens: readonly string[];
  readonly nowMs: number;
}

/** In the order of the tokens; null: the trust is needed. */
export type VerifyReply = readonly VerifyAnswer[] | null;

/**
 * Beside a worker's loop, whose requests come first for the reason that native/binding/scheduling.h gives: where both want
 * the core, the thread is left a tenth of it, some thousand tokens a second.
 */
const NICE_ADDED = 10;

const verifier = new TokenVerifier();
let yields = false;

export async function verifyBatch(task: VerifyTask): Promise<VerifyReply> {
  if (verifier.version !== task.trustVersion) {
    if (task.trust === null) return null;
    await verifier.load(task.trust);
  }
  return task.tokens.map((token) => verifier.verify(token, task.nowMs / 1000));
}

export interface LaneTask {
  /** The thread's end; it is taken over. */
  readonly descriptor: number;
  readonly localTokens: readonly TokenCredential[];
  /** Names each issuer whose keys were looked for, when that is done. */
  readonly looks: MessagePort;
}

/** Serves a lane from now on, beside the batches and with the keys that came with them. */
export function serveLane({ descriptor, localTokens, looks }: LaneTask): void {
  yieldToLoop();
  const lane = new TokenLane({
    verifier,
    localTokens: new CredentialChecker(localTokens),
    nowMs: Date.now,
  });
  looks.on('message', (issuer: string) => {
    lane.onLooked(issuer);
  });
  lane.serve(descriptor, () => {
    looks.close();
  });
}

function yieldToLoop(): void {
  if (yields) return;
  yields = true;
  lowerOwnPriority(NICE_ADDED);
}
