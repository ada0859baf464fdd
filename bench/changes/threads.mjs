/**
 * CPU time of the daemon's threads, and how long they were ready without a core, from /proc/PID/task/TID/schedstat.
 *
 * Threads of a kind are added up under their name: node calls its helpers by what they do, so the sum says whether a
 * change costs JavaScript, the compiler and collector, or the pool that waits for files.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { median } from '../metrics.mjs';

/** `pids`: { supervisor: [pid], workers: [pid, …] }. */
export function readThreads(pids) {
  return Object.fromEntries(
    Object.entries(pids).map(([role, list]) => [role, list.flatMap((pid) => threadsOf(pid))]),
  );
}

function threadsOf(pid) {
  return readdirSync(`/proc/${pid}/task`).map((id) => {
    const folder = `/proc/${pid}/task/${id}`;
    const [runNs, waitedNs] = readFileSync(`${folder}/schedstat`, 'utf8').split(' ').map(Number);
    const kind = Number(id) === pid ? 'main' : readFileSync(`${folder}/comm`, 'utf8').trim();
    return { id, kind, runUs: runNs / 1e3, waitedUs: waitedNs / 1e3 };
  });
}

/** Per role { runUs, waitedUs, byKind }. A thread that began meanwhile counts whole, one that ended does not count. */
export function difference(before, after) {
  return Object.fromEntries(
    Object.entries(after).map(([role, threads]) => {
      const known = new Map(before[role].map((thread) => [thread.id, thread]));
      const sum = { runUs: 0, waitedUs: 0, byKind: {} };
      for (const { id, kind, runUs, waitedUs } of threads) {
        const ranUs = runUs - (known.get(id)?.runUs ?? 0);
        sum.runUs += ranUs;
        sum.waitedUs += waitedUs - (known.get(id)?.waitedUs ?? 0);
        sum.byKind[kind] = (sum.byKind[kind] ?? 0) + ranUs;
      }
      return [role, sum];
    }),
  );
}

/** Medians over the rounds of the µs that threads of a kind ran, by `role kind`. */
export function quantities(rounds) {
  const names = new Set();
  for (const { used } of rounds) {
    for (const [role, { byKind }] of Object.entries(used)) {
      for (const kind of Object.keys(byKind)) names.add(`${role} ${kind}`);
    }
  }
  return Object.fromEntries(
    [...names].sort().map((name) => {
      const [role, ...kind] = name.split(' ');
      return [name, median(rounds.map(({ used }) => used[role].byKind[kind.join(' ')] ?? 0))];
    }),
  );
}
