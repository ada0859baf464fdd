/** The daemon of the soak: the real process with a state directory of its own, and what the admin port says of it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const ENDED_MS_MAX = 20_000;

export class SoakDaemon {
  #stateDir = mkdtempSync(path.join(tmpdir(), 'pm-soak-'));
  #process;
  #ports;

  async start(workers) {
    this.#process = spawn(
      process.execPath,
      [
        ...[MAIN, 'serve', '--state-dir', this.#stateDir, '--log-level', 'info'],
        ...['--data-plane-workers', String(workers), '--data-plane-drain-delay-ms', '0'],
        ...['--data-plane-listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#ports = await new Promise((resolve, reject) => {
      let data = '';
      this.#process.once('exit', (code) => reject(new Error(`the daemon ended: ${code}`)));
      createInterface({ input: this.#process.stdout }).on('line', (line) => {
        data = /data port on [^"]*:([0-9]+)/.exec(line)?.[1] ?? data;
        const admin = /admin port on [^"]*:([0-9]+)/.exec(line)?.[1];
        if (admin !== undefined) resolve({ admin: Number(admin), data: Number(data) });
      });
    });
  }

  get pid() {
    return this.#process.pid;
  }

  get target() {
    return { host: '127.0.0.1', port: this.#ports.data, token: this.#token('query') };
  }

  async admin(method, route, body) {
    const response = await fetch(`http://127.0.0.1:${this.#ports.admin}${route}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token('admin')}`,
        'content-type': 'application/json',
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  async workers() {
    return (await this.admin('GET', '/api/2.0/pointsman/status')).workers;
  }

  /** Exit code, or what ended it instead. */
  async stop() {
    const ended = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => resolve(code ?? signal));
    });
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), ENDED_MS_MAX);
    this.#process.kill('SIGTERM');
    const code = await ended;
    clearTimeout(timer);
    rmSync(this.#stateDir, { recursive: true, force: true });
    return code;
  }

  #token(name) {
    return readFileSync(path.join(this.#stateDir, `${name}-token`), 'utf8').trim();
  }
}

/** Descriptors and resident MiB, now and at most so far, of a process; null when it has ended. */
export function figuresOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return {
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      residentMiB: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024,
      peakMiB: Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1_024,
    };
  } catch {
    return null;
  }
}
