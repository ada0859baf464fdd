/**
 * `workers.json` in the state directory: which processes serve the data port, so that the supervisor that comes
 * after a dead one knows who may still live. Process ids are reused; with the start time and the boot they are
 * not. It need not survive a power failure, which no worker survives either.
 */
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ListenAddress } from '../config/listen-address.js';

export interface WorkerRecord {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTime: number;
  /** What its listening sockets are bound to (IP literals), in the order in which it holds them. */
  readonly listeners: readonly ListenAddress[];
}

interface WorkerFile {
  readonly boot: string;
  readonly workers: readonly WorkerRecord[];
}

const FILE = 'workers.json';
/** What file systems give away at once. */
const BLOCK_BYTES = 4096;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';
/** Place of the start time among the fields behind the command's closing parenthesis; proc(5) counts from 1. */
const STATE_FIELD = 0;
const START_TIME_FIELD = 22 - 3;

/**
 * Whole or not at all. On a full disk, which has no room for another file, the old one is written over, if that is as long:
 * a list of workers that are gone is no use.
 * @throws Error when it is not written
 */
export function writeWorkerFile(stateDir: string, workers: readonly WorkerRecord[]): void {
  const file = path.join(stateDir, FILE);
  const content: WorkerFile = { boot: bootId(), workers };
  const json = `${JSON.stringify(content)}\n`;
  // Process ids have a digit more or less.
  const text = json.padEnd(Math.ceil(json.length / BLOCK_BYTES) * BLOCK_BYTES, '\n');
  try {
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch (error) {
    if (statSync(file).size !== text.length) throw error;
    writeFileSync(file, text, { flag: 'r+' });
  }
}

export function removeWorkerFile(stateDir: string): void {
  rmSync(path.join(stateDir, FILE), { force: true });
}

/** The recorded workers that still live. An unreadable file counts as none. */
export function survivors(stateDir: string): WorkerRecord[] {
  let content: WorkerFile;
  try {
    content = JSON.parse(readFileSync(path.join(stateDir, FILE), 'utf8')) as WorkerFile;
  } catch {
    return [];
  }
  if (content.boot !== bootId()) return [];
  return content.workers.filter(isAlive);
}

export function isAlive(worker: Pick<WorkerRecord, 'pid' | 'startTime'>): boolean {
  return startTimeOf(worker.pid) === worker.startTime;
}

/**
 * Null when there is no such process, or only what its parent has not reaped. A process whose first thread is gone before
 * the others still holds its sockets.
 */
export function startTimeOf(pid: number): number | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The command may contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[STATE_FIELD] === 'X' || (fields[STATE_FIELD] === 'Z' && !hasThreads(pid))) return null;
  return Number(fields[START_TIME_FIELD]);
}

/** Others than the first. */
function hasThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${String(pid)}/task`).length > 1;
  } catch {
    return false;
  }
}

function bootId(): string {
  return readFileSync(BOOT_ID, 'utf8').trim();
}
