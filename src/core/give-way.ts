/**
 * For the middle of long work in the supervisor: a worker that waits for this core runs now.
 *
 * Workers interrupt the supervisor when they wake up (native/binding/scheduling.h), but not always: one that woke up in the
 * very moment in which it did, or that had more than its share of late because it applied a change, is not due yet, and
 * nothing wakes it again. It would wait for the next tick, up to 4 ms, or the end of the work. The kernel asks itself again who is due
 * whenever it brings a running thread's account up to date, and it does that when the thread asks how much time it has
 * had. That takes 1 or 2 µs where nobody waits; a short sleep would take a timer's slack each time.
 */
export function giveWay(): void {
  process.cpuUsage();
}
