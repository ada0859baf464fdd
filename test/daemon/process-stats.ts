/** What /proc says of a process. */
import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts processor time in hundredths of a second for user space, whatever the kernel's own tick. */
const MS_PER_TICK = 10;
const MINOR_FAULTS_FIELD = 7;
const USER_TICKS_FIELD = 11;
const SYSTEM_TICKS_FIELD = 12;

export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}

/** Processor time since the start of the process. */
export function processorMs(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[USER_TICKS_FIELD]) + Number(fields[SYSTEM_TICKS_FIELD])) * MS_PER_TICK;
}

/** Pages that the kernel had to map because the process touched them, since its start. */
export function pageFaults(pid: number): number {
  return Number(statOf(pid)[MINOR_FAULTS_FIELD]);
}

/** The fields of proc(5)'s stat from the third on. */
function statOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
  // The second field is a name in brackets that may hold blanks.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The value below which that share of the numbers lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
