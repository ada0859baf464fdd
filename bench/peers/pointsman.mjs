/**
 * pointsman as it is meant to run: the built daemon with one worker, query token, split, headers and metrics.
 * Only the worker gets the proxy core; the supervisor, which does not touch requests, runs beside the load.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BenchError } from '../bench-error.mjs';
import { delay, pin, start } from '../processes.mjs';
import { ROOT } from '../programs.mjs';

const MAIN = path.join(ROOT, 'dist', 'main.js');
const ENDPOINTS_PER_CALL = 1_000;
const SPLIT = { a: 90, b: 10 };
const CONFIG_PATH = '/api/2.0/serving-endpoints/endpoint-0/config';
const METRIC_LAG_MS = 50;

export const pointsman = {
  name: 'pointsman',
  missing: () => null,
  version: () => JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')).version,
  start: (context) => Daemon.start(context),
};

export function endpointPath(index) {
  return `/serving-endpoints/endpoint-${index}/invocations`;
}

class Daemon {
  path = endpointPath(0);
  #process;
  #adminUrl;
  #stateDir;

  /**
   * `variant`: `endpoints`, how many are configured (default 1); `workers` (default 1); `auth`, `required` (default) or
   * `disabled`.
   */
  static async start({ cores, ports, variant = {} }) {
    const daemon = new Daemon();
    // A short path: Unix sockets below it must stay under 107 bytes.
    daemon.#stateDir = mkdtempSync(path.join(tmpdir(), 'pm-bench-'));
    try {
      await daemon.#launch(cores, variant);
      await daemon.#configure(ports, variant.endpoints ?? 1);
      await daemon.#pinWorker(cores);
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    return daemon;
  }

  async #launch(cores, { auth = 'required', workers = 1 }) {
    const flags = {
      'state-dir': this.#stateDir,
      'data-plane-workers': workers,
      'data-plane-listen': '127.0.0.1:0',
      'admin-listen': '127.0.0.1:0',
      'data-plane-drain-delay-ms': 0,
      'data-plane-drain-timeout-ms': 1_000,
      'auth-mode': auth,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.#process = start('pointsman', process.execPath, [MAIN, 'serve', ...args], {
      cores: cores.support,
      cwd: this.#stateDir,
      log: path.join(this.#stateDir, 'log'),
    });
    const [, data] = await this.#process.prints(/data port on [^"\s]*:(\d+)/);
    const [, admin] = await this.#process.prints(/admin port on ([^"\s]+)/);
    this.port = Number(data);
    this.#adminUrl = `http://${admin}`;
    this.headers = auth === 'disabled' ? [] : [`Authorization: Bearer ${this.#token('query')}`];
  }

  #token(name) {
    return readFileSync(path.join(this.#stateDir, `${name}-token`), 'utf8').trim();
  }

  async #configure(ports, endpoints) {
    const deployments = Object.keys(SPLIT).map((name) => ({
      name,
      serves: [{ entity_name: `bench.ml.${name}`, entity_version: '1' }],
      replicas: [{ url: `http://127.0.0.1:${ports[name]}` }],
      health: { type: 'tcp' },
    }));
    for (let from = 0; from < endpoints; from += ENDPOINTS_PER_CALL) {
      const count = Math.min(ENDPOINTS_PER_CALL, endpoints - from);
      await this.#call('PATCH', '/api/2.0/pointsman/manifest?wait=all', {
        deployments: from === 0 ? deployments : [],
        endpoints: Array.from({ length: count }, (_, index) => ({
          name: `endpoint-${from + index}`,
          config: configOf(SPLIT),
        })),
      });
    }
  }

  async #pinWorker(cores) {
    const { workers } = await this.#call('GET', '/api/2.0/pointsman/status');
    this.proxyPids = workers.map(({ pid }) => pid);
    this.supportPids = [this.#process.pid];
    for (const pid of this.proxyPids) pin(pid, cores.proxy);
  }

  async #call(method, route, body) {
    const answer = await fetch(`${this.#adminUrl}${route}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token('admin')}`,
        'content-type': 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new BenchError(`pointsman: ${method} ${route}: ${text.slice(0, 500)}`);
    return JSON.parse(text);
  }

  get adminPort() {
    return Number(new URL(this.#adminUrl).port);
  }

  /** Gives entity `a` this many percent of the traffic; resolves when that is live. */
  async push(share) {
    await this.#call('PUT', CONFIG_PATH, configOf({ a: share, b: 100 - share }));
  }

  /** Names of files with calls of the admin port as they are sent, for the program `caller`. */
  writePushes(shares) {
    return shares.map((share) => {
      const body = JSON.stringify(configOf({ a: share, b: 100 - share }));
      const head = [
        `PUT ${CONFIG_PATH} HTTP/1.1`,
        'host: 127.0.0.1',
        `authorization: Bearer ${this.#token('admin')}`,
        'content-type: application/json',
        `content-length: ${body.length}`,
      ];
      return this.#writeCall(`push-${share}`, `${head.join('\r\n')}\r\n\r\n${body}`);
    });
  }

  /** The same of a call that does nothing. */
  writeHealthCheck() {
    return this.#writeCall('healthz', 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  }

  /** In the state directory: the text may hold a token. */
  #writeCall(name, text) {
    const file = path.join(this.#stateDir, `${name}.http`);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  /** Invocations answered so far, by the door that served them. */
  async answersByDoor() {
    // Counters of the workers are read, not sent; a request that ended just now is in them soon.
    await delay(METRIC_LAG_MS);
    const text = await (await fetch(`${this.#adminUrl}/metrics`)).text();
    const doors = {};
    for (const [, labels, value] of text.matchAll(/^pointsman_requests_total\{(.*)\} (\S+)$/gm)) {
      const door = /path="([^"]*)"/.exec(labels)?.[1] ?? '';
      doors[door] = (doors[door] ?? 0) + Number(value);
    }
    return doors;
  }

  async stop() {
    await this.#process?.stop();
    rmSync(this.#stateDir, { recursive: true, force: true });
  }
}

function configOf(split) {
  return {
    served_entities: Object.keys(split).map((name) => ({
      name,
      entity_name: `bench.ml.${name}`,
      entity_version: '1',
    })),
    traffic_config: {
      routes: Object.entries(split).map(([name, percent]) => ({
        served_entity_name: name,
        traffic_percentage: percent,
      })),
    },
  };
}
