/**
 * CPU time of processes and cores, from /proc.
 *
 * The kernel counts a process's run time in nanoseconds (schedstat, per thread) but splits it into user and system time by
 * samples at its clock's ticks (stat). So the sum is taken from the first and the split from the second. What a core did
 * besides, interrupts and kernel threads, shows in how busy it was.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

let tickUs = 0;

/** Length of the ticks that /proc counts in; asked for once. */
function tickLengthUs() {
  tickUs ||= 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return tickUs;
}

/** A reading to give to `usedSince`. */
export function readProcesses(pids) {
  const reading = { runUs: 0, userUs: 0, systemUs: 0 };
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program stands in parentheses and may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    reading.userUs += Number(fields[11]) * tickLengthUs();
    reading.systemUs += Number(fields[12]) * tickLengthUs();
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      reading.runUs += threadRunUs(pid, thread);
    }
  }
  return reading;
}

function threadRunUs(pid, thread) {
  try {
    return (
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e3
    );
  } catch (error) {
    // A thread may end between the listing and here; a kernel may be without the file.
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return 0;
    throw error;
  }
}

/** Microseconds of CPU since `before`: all, and the part in user space. */
export function usedSince(before, pids) {
  const now = readProcesses(pids);
  const userUs = now.userUs - before.userUs;
  const sampledUs = userUs + now.systemUs - before.systemUs;
  const runUs = now.runUs - before.runUs;
  const totalUs = runUs > 0 ? runUs : sampledUs;
  return { totalUs, userUs: sampledUs > 0 ? (totalUs * userUs) / sampledUs : 0 };
}

/** A reading to give to `busySince`. */
export function readCore(core) {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))[1];
  const [user, nice, system, idle, ioWait, irq, softIrq, steal] = line.split(' ').map(Number);
  const busy = user + nice + system + irq + softIrq;
  return { busy, steal, all: busy + idle + ioWait + steal };
}

/** Shares since `before`, 0 to 1: time the core worked, and time the host gave to others. */
export function busySince(before, core) {
  const now = readCore(core);
  const all = now.all - before.all;
  if (all === 0) return { busy: 0, steal: 0 };
  return { busy: (now.busy - before.busy) / all, steal: (now.steal - before.steal) / all };
}
