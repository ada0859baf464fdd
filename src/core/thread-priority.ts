/**
 * Priorities of single threads; native/binding/scheduling.h says why they matter. On Linux the process id that
 * os.setPriority takes may be that of a thread.
 */
import { readdirSync } from 'node:fs';
import os from 'node:os';

const NICE_MAX = 19;

// Where a sandbox forbids it, all stays as it is.

/** The calling thread gives way to others of its process. */
export function lowerOwnPriority(niceAdded: number): void {
  lowerPriority(0, niceAdded);
}

/** All threads of the process that there are, but for the calling one, which must be the main one. */
export function lowerOtherPriorities(niceAdded: number): void {
  for (const thread of threads()) {
    if (thread !== process.pid) lowerPriority(thread, niceAdded);
  }
}

function lowerPriority(thread: number, niceAdded: number): void {
  try {
    os.setPriority(thread, Math.min(os.getPriority(thread) + niceAdded, NICE_MAX));
  } catch {
    // Forbidden, or it has ended.
  }
}

function threads(): number[] {
  try {
    return readdirSync('/proc/self/task').map(Number);
  } catch {
    return [];
  }
}
