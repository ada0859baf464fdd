/**
 * Starting, pinning, awaiting and ending the processes of a run. Whatever is started here is ended with the run,
 * by its id.
 */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { BenchError } from './bench-error.mjs';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 15_000;
const OUTPUT_CHARACTERS_MAX = 4_000;
const RETRY_MS = 20;

/** Ends a daemon when the suite is killed and cannot do it. */
const WITH_PARENT = ['setpriv', '--pdeathsig', 'TERM'];

const running = new Set();

/** Path of a program, null when it is not installed. Daemons often lie in sbin, which is not on everybody's PATH. */
export function findProgram(name) {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin'];
  for (const folder of folders) {
    const file = path.join(folder, name);
    if (folder !== '' && existsSync(file)) return file;
  }
  return null;
}

export class Started {
  child;
  #said = '';
  #file;
  #ended;

  /** `file`: where its output goes; null: into pipes. */
  constructor(child, what, file = null) {
    this.child = child;
    this.what = what;
    this.#file = file;
    running.add(this);
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#note(error.message);
        resolve(null);
      });
      child.once('exit', resolve);
    }).finally(() => running.delete(this));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => this.#note(String(chunk)));
    }
  }

  /** The end of what it has printed. */
  get output() {
    const text = this.#file === null ? '' : readFileSync(this.#file, 'utf8');
    return (text + this.#said).slice(-OUTPUT_CHARACTERS_MAX);
  }

  get pid() {
    return this.child.pid;
  }

  get hasEnded() {
    return !running.has(this);
  }

  #note(text) {
    this.#said = (this.#said + text).slice(-OUTPUT_CHARACTERS_MAX);
  }

  /** Resolves with the match of what it has printed. */
  prints(pattern) {
    return this.until(() => pattern.exec(this.output));
  }

  /** Resolves when its port accepts. */
  accepts(port) {
    return this.until(async () => ((await canConnect(port)) ? true : null));
  }

  /**
   * Resolves with what `look` answers as soon as that is not null.
   * @throws {BenchError} with what it said, when it ends before or takes too long
   */
  async until(look) {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const hasEnded = this.hasEnded;
      const found = await look();
      if (found !== null) return found;
      if (hasEnded) throw this.#failed('ended at once');
      if (Date.now() > deadline) throw this.#failed('did not start in time');
      // Also gives the last words of a process that has ended time to arrive.
      await delay(RETRY_MS);
    }
  }

  #failed(reason) {
    const said = this.output.trim();
    return new BenchError(`${this.what} ${reason}${said === '' ? '' : `:\n${said}`}`);
  }

  async stop() {
    if (this.hasEnded || this.pid === undefined) return;
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }
}

/**
 * Starts a program on these cores (a list for taskset, such as '1'); its output is kept for error messages. `log`: a file
 * for the output of a program that writes while others are timed, so that no line wakes this process up.
 */
export function start(what, command, args, { cores, cwd, env = {}, log = null }) {
  const pinned = ['taskset', '-c', String(cores), command, ...args];
  const [first, ...rest] = findProgram('setpriv') === null ? pinned : [...WITH_PARENT, ...pinned];
  const output = log === null ? 'pipe' : openSync(log, 'a');
  const child = spawn(first, rest, {
    stdio: ['ignore', output, output],
    cwd,
    env: { ...cleanEnvironment(), ...env },
  });
  if (log !== null) closeSync(output);
  return new Started(child, what, log);
}

/** Runs a program to its end on a core and answers its standard output. @throws {BenchError} */
export function runOn(core, command, args, timeoutMs) {
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', String(core), command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
      timeout: timeoutMs,
    });
    const started = new Started(child, path.basename(command));
    let stdout = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.once('error', () => reject(new BenchError(started.output)));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new BenchError(`${started.what} failed (${code ?? signal}): ${started.output}`));
    });
  });
}

/** Moves a process with all its threads. */
export function pin(pid, cores) {
  execFileSync('taskset', ['-apc', String(cores), String(pid)], { stdio: 'ignore' });
}

export function childrenOf(pid) {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** Ends what still runs; for the end of the suite, by whatever way. */
export async function stopAll() {
  await Promise.all([...running].map((one) => one.stop()));
}

/** For peers that cannot choose a port themselves and say which. Another process may take it first; see `onFreePort`. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Calls `launch` with a free port, again with another when somebody took it meanwhile. */
export async function onFreePort(what, launch) {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return await launch(port);
    } catch (error) {
      if (!(error instanceof BenchError) || !/in use/i.test(error.message)) throw error;
      if (attempt === 3)
        throw new BenchError(`${what}: port ${port} is in use, as were two others`);
    }
  }
}

function canConnect(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    const end = (isOpen) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

export function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Without what would configure a daemon from outside, and without a test runner's loader. */
function cleanEnvironment() {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:POINTSMAN|DATABRICKS)_|^NODE_OPTIONS$/.test(name),
  );
  return Object.fromEntries(kept);
}
