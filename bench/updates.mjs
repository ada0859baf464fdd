/**
 * Many changes of configuration under load: how long each takes, and whether memory stays flat.
 *
 *   npm run build && node bench/updates.mjs [updates] [endpoints] [connections]
 *
 * Starts a daemon with 4 workers and a replica, configures `endpoints` endpoints (default 1), changes the split of one
 * of them `updates` times (default 100,000) while `connections` connections (default 4) send requests, and prints a
 * line per tenth: update latency, resident memory of supervisor and workers, revisions that workers still hold.
 * Fails when a request or an update fails.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [updates = 100_000, endpoints = 1, connections = 4] = process.argv.slice(2).map(Number);
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const ADMIN_BODY_ENDPOINTS = 1_000;

const stateDir = mkdtempSync(path.join(tmpdir(), 'pm-updates-'));
const replica = http.createServer((request, response) => {
  request.resume();
  request.once('end', () => response.end('{"predictions":[1]}'));
});
await new Promise((resolve) => replica.listen(0, '127.0.0.1', resolve));
const daemon = spawn(
  process.execPath,
  [
    ...[MAIN, 'serve', '--state-dir', stateDir, '--data-plane-workers', '4'],
    ...['--data-plane-listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
    ...['--data-plane-drain-delay-ms', '0', '--log-level', 'info'],
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const agent = new http.Agent({ keepAlive: true });
let failures = 0;
let answers = 0;
let stopped = false;

try {
  const ports = await portsOf(daemon);
  await configure(ports.admin);
  const load = Promise.all(Array.from({ length: connections }, () => send(ports.data)));
  await measure(ports.admin);
  stopped = true;
  await load;
  console.log(`${answers} requests, ${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
} finally {
  daemon.kill('SIGTERM');
  await new Promise((resolve) => daemon.once('exit', resolve));
  replica.close();
  replica.closeAllConnections();
  rmSync(stateDir, { recursive: true, force: true });
}

function portsOf(child) {
  return new Promise((resolve, reject) => {
    let data = '';
    child.once('exit', (code) => reject(new Error(`the daemon ended with code ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      data = /data port on ([^"]+)/.exec(line)?.[1] ?? data;
      const admin = /admin port on ([^"]+)/.exec(line)?.[1];
      if (admin !== undefined) resolve({ admin, data });
    });
  });
}

function token(name) {
  return readFileSync(path.join(stateDir, `${name}-token`), 'utf8').trim();
}

function call(host, method, route, bearer, body) {
  const [hostname, port] = host.split(':');
  const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const request = http.request(
      { hostname, port, method, path: route, headers, agent },
      (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.once('end', () =>
          resolve({ status: answer.statusCode, text: Buffer.concat(parts).toString() }),
        );
      },
    );
    request.once('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function configOf(share) {
  const entity = (name) => ({ name, entity_name: `bench.ml.${name}`, entity_version: '1' });
  return {
    served_entities: [entity('a'), entity('b')],
    traffic_config: {
      routes: [
        { served_entity_name: 'a', traffic_percentage: share },
        { served_entity_name: 'b', traffic_percentage: 100 - share },
      ],
    },
  };
}

async function configure(admin) {
  const url = `http://127.0.0.1:${replica.address().port}`;
  const deployments = ['a', 'b'].map((name) => ({
    name,
    serves: [{ entity_name: `bench.ml.${name}`, entity_version: '1' }],
    replicas: [{ url }],
    health: { type: 'tcp' },
  }));
  for (let from = 0; from < endpoints; from += ADMIN_BODY_ENDPOINTS) {
    const count = Math.min(ADMIN_BODY_ENDPOINTS, endpoints - from);
    const manifest = {
      deployments: from === 0 ? deployments : [],
      endpoints: Array.from({ length: count }, (_, index) => ({
        name: `endpoint-${from + index}`,
        config: configOf(50),
      })),
    };
    const route = '/api/2.0/pointsman/manifest?wait=all';
    const answer = await call(admin, 'PATCH', route, token('admin'), manifest);
    if (answer.status !== 200) throw new Error(answer.text);
  }
}

async function send(data) {
  const bearer = token('query');
  while (!stopped) {
    const route = '/serving-endpoints/endpoint-0/invocations';
    const answer = await call(data, 'POST', route, bearer, { inputs: [1] }).catch(() => null);
    answers += 1;
    if (answer?.status !== 200) failures += 1;
  }
}

async function measure(admin) {
  const bearer = token('admin');
  const part = Math.max(1, Math.floor(updates / 10));
  let latencies = [];
  for (let count = 1; count <= updates; count += 1) {
    const share = count % 101;
    const startedAt = performance.now();
    const route = '/api/2.0/serving-endpoints/endpoint-0/config';
    const answer = await call(admin, 'PUT', route, bearer, configOf(share));
    latencies.push(performance.now() - startedAt);
    if (answer.status !== 200) throw new Error(answer.text);
    if (count % part !== 0 && count !== updates) continue;
    await report(admin, bearer, count, latencies);
    latencies = [];
  }
}

async function report(admin, bearer, count, latencies) {
  latencies.sort((a, b) => a - b);
  const quantile = (share) => latencies[Math.floor(share * (latencies.length - 1))].toFixed(1);
  const status = JSON.parse((await call(admin, 'GET', '/api/2.0/pointsman/status', bearer)).text);
  const sizes = status.workers.map(({ pid }) => residentMiB(pid)).join(' ');
  const held = status.workers.map((worker) => worker.revisions_held).join(' ');
  console.log(
    `${count} updates: ${quantile(0.5)} ms median, ${quantile(0.99)} ms p99, supervisor ${residentMiB(daemon.pid)} MiB, ` +
      `workers ${sizes} MiB, revisions held ${held}`,
  );
}

function residentMiB(pid) {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(text)[1]) / 1024);
}
