/**
 * pointsman as it is meant to run: the built daemon with one worker, query token, split, headers and metrics.
 * Only the worker gets the proxy core; the supervisor, which does not touch requests, runs beside the load.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { USER } from '../auth/issuer.mjs';
import { BenchError } from '../bench-error.mjs';
import { delay, pin, start } from '../processes.mjs';
import { ROOT } from '../programs.mjs';

const MAIN = path.join(ROOT, 'dist', 'main.js');
const ENDPOINTS_PER_CALL = 1_000;
const SPLIT = { a: 90, b: 10 };
const CONFIG_PATH = '/api/2.0/serving-endpoints/endpoint-0/config';
const METRIC_LAG_MS = 50;
/** As the configuration has it by default. */
const WORKSPACE = '1';
/** Never reached: what counts is that it is kept. */
const IN_FLIGHT_MAX = 100_000;

const GRANT = { user_name: USER, permission_level: 'CAN_QUERY' };

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
  /** Of an endpoint that is asked the usual way; there when two are configured. */
  standardPath = endpointPath(1);
  #process;
  #adminUrl;
  #stateDir;

  /**
   * `variant`: `endpoints`, how many are configured (default 1); `workers` (default 1); `auth`, `required` (default) or `disabled`; `token`, of
   * the requests: `query` (default), or `RS256` or `ES256` for one of an external issuer; `ofOneEndpoint`: the
   * token is for the first endpoint alone; `byRoute`: which is route-optimized and asked by its own URL; `isLimited`:
   * requests in flight are counted against a limit.
   */
  static async start({ cores, ports, variant = {}, issuer }) {
    const daemon = new Daemon();
    // A short path: Unix sockets below it must stay under 107 bytes.
    daemon.#stateDir = mkdtempSync(path.join(tmpdir(), 'pm-bench-'));
    try {
      await daemon.#launch(cores, variant, issuer);
      if (variant.token !== undefined) await daemon.#makeUser();
      await daemon.#configure(ports, variant);
      await daemon.#pinWorker(cores);
    } catch (error) {
      await daemon.stop();
      throw error;
    }
    return daemon;
  }

  async #launch(cores, variant, issuer) {
    const { auth = 'required', workers = 1 } = variant;
    const config = path.join(this.#stateDir, 'bench.yaml');
    // JSON is YAML.
    writeFileSync(
      config,
      JSON.stringify({ auth: { issuers: variant.token ? [issuer().settings] : [] } }),
    );
    const flags = {
      config,
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
    if (variant.byRoute === true) this.path = `/${WORKSPACE}${this.path}`;
    this.headers = auth === 'disabled' ? [] : [bearer(this.#requestToken(variant, issuer))];
    this.standardHeaders = [bearer(this.#token('query'))];
  }

  #requestToken({ token = 'query', ofOneEndpoint }, issuer) {
    if (token === 'query') return this.#token('query');
    return issuer().token(token, ofOneEndpoint === true ? { endpoint: 'endpoint-0' } : {});
  }

  #token(name) {
    return readFileSync(path.join(this.#stateDir, `${name}-token`), 'utf8').trim();
  }

  async #makeUser() {
    await this.#call('POST', '/api/2.0/preview/scim/v2/Users', { userName: USER });
  }

  async #configure(ports, { endpoints = 1, token, byRoute, isLimited }) {
    const deployments = Object.keys(SPLIT).map((name) => ({
      name,
      serves: [{ entity_name: `bench.ml.${name}`, entity_version: '1' }],
      replicas: [{ url: `http://127.0.0.1:${ports[name]}` }],
      health: { type: 'tcp' },
      limits: isLimited === true ? { max_in_flight: IN_FLIGHT_MAX } : {},
    }));
    const grants = token === undefined ? {} : { access_control_list: [GRANT] };
    for (let from = 0; from < endpoints; from += ENDPOINTS_PER_CALL) {
      const count = Math.min(ENDPOINTS_PER_CALL, endpoints - from);
      await this.#call('PATCH', '/api/2.0/pointsman/manifest?wait=all', {
        deployments: from === 0 ? deployments : [],
        endpoints: Array.from({ length: count }, (_, index) => ({
          name: `endpoint-${from + index}`,
          config: configOf(SPLIT),
          route_optimized: byRoute === true && from + index === 0,
          ...grants,
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

function bearer(token) {
  return `Authorization: Bearer ${token}`;
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
