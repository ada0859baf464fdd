/** Where a run took place: processor, kernel, cores, how quiet it was; and of which commit it is. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { busySince, readCore } from './cpu.mjs';
import { delay } from './processes.mjs';
import { ROOT } from './programs.mjs';

/** Cores that others use this much are no place to measure. */
export const QUIET_BUSY_MAX = 0.05;
const QUIET_WINDOW_MS = 1_000;

/**
 * Which core does what. The proxy has one to itself; load, replica and what supports the proxy (masters, the supervisor)
 * share the second, or have one each where there are more. `isShared`: there is only one.
 */
export function assignCores() {
  const cores = allowedCores();
  const [proxy, load = proxy, replica = load, support = load] = cores;
  return { proxy, load, replica, support, isShared: cores.length < 2 };
}

function allowedCores() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)[1];
  return list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

export function describeMachine() {
  const cpuInfo = readFileSync('/proc/cpuinfo', 'utf8');
  return {
    cpu: /^model name\s*: (.*)$/m.exec(cpuInfo)?.[1] ?? os.cpus()[0]?.model ?? process.arch,
    cores: allowedCores().length,
    kernel: os.release(),
    arch: process.arch,
    node: process.versions.node,
    memory_gib: Math.round(os.totalmem() / 2 ** 30),
    compiler: output('g++', ['-dumpfullversion']),
  };
}

export function describeCommit() {
  const changed = output('git', ['status', '--porcelain', '--untracked-files=no']);
  return {
    commit: output('git', ['rev-parse', '--short=12', 'HEAD']),
    has_changes: changed !== '',
  };
}

/** Share of the time that the busier of the cores works although the suite does nothing. */
export async function backgroundLoad(cores) {
  const watched = [...new Set([cores.proxy, cores.load, cores.replica])];
  const before = watched.map(readCore);
  await delay(QUIET_WINDOW_MS);
  return Math.max(...watched.map((core, index) => busySince(before[index], core).busy));
}

function output(command, args) {
  try {
    const options = { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
    return execFileSync(command, args, options).trim();
  } catch {
    return '';
  }
}
