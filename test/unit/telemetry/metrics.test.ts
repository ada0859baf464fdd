/** The exposition text: valid lines, and agreement with docs/metrics.md. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import type { EndpointStatus, WorkerStatus } from '../../../src/control/control-plane.js';
import { NO_TRAFFIC } from '../../../src/control/status.js';
import type { Stats } from '../../../src/control/stats.js';
import { LATENCY_BUCKETS_MS } from '../../../src/core/limits.js';
import { METRICS } from '../../../src/telemetry/metric-specs.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { projectFile } from '../project-file.js';

/** One request of 3 ms answered 200, one of 400 s answered 503. */
function someStats(): Pick<Stats, 'entities' | 'addresses' | 'deployments'> {
  const latencyBuckets = new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0);
  latencyBuckets[2] = 1;
  latencyBuckets[LATENCY_BUCKETS_MS.length] = 1;
  return {
    entities: [
      {
        endpoint: 'iris',
        entity: 'we"ird\\',
        statusClasses: [0, 1, 0, 0, 1],
        nativeClasses: [0, 1, 0, 0, 0],
        latencyBuckets,
        latencySumMs: 400_003,
        inFlight: 2,
      },
    ],
    addresses: [
      {
        deployment: 'm',
        address: '127.0.0.1:9001',
        inFlight: 2,
        idleConnections: 3,
        connects: 5,
        connectFailures: 1,
        requests: 7,
        retries: 2,
        failures: 4,
        ejections: 1,
        ejectedWorkers: 1,
        ejectedForMs: 900,
      },
    ],
    deployments: [
      {
        deployment: 'm',
        maxInFlight: 4,
        inFlight: 3,
        waiting: 2,
        refusedFull: 8,
        refusedDeadline: 9,
      },
      {
        deployment: 'free',
        maxInFlight: 0,
        inFlight: 1,
        waiting: 0,
        refusedFull: 0,
        refusedDeadline: 0,
      },
    ],
  };
}

const SERVING: WorkerStatus = {
  slot: 0,
  pid: 1,
  state: 'SERVING',
  mode: 'native',
  revision: 4,
  heartbeat_age_ms: 15,
  revisions_held: 2,
  connections: 8,
  connections_refused: 0,
  in_flight: 0,
  restarts: 3,
  degraded: true,
};

const DEAD: WorkerStatus = {
  ...SERVING,
  slot: 1,
  pid: null,
  state: 'DEAD',
  heartbeat_age_ms: null,
  connections: 1,
  restarts: 0,
  degraded: false,
};

const IRIS: EndpointStatus = {
  name: 'iris',
  id: 'x',
  ready: 'READY',
  config_update: 'IN_PROGRESS',
  config_version: 2,
  pending_config_version: 3,
  message: '',
  ...NO_TRAFFIC,
  entities: [],
  pending: null,
};

function someMetrics(): ReturnType<typeof createMetrics> {
  return createMetrics({
    version: '1.2.3',
    workers: () => [SERVING, DEAD],
    refusals: () => [{ code: 'UNAUTHENTICATED', count: 6 }],
    connectionsRefused: () => 12,
    stats: someStats,
    status: () => ({
      revision: 4,
      endpoints: [IRIS, { ...IRIS, name: 'new', ready: 'NOT_READY', config_version: null }],
      deployments: [
        {
          name: 'm',
          spec: {},
          state: 'READY',
          message: '',
          load: {
            in_flight: 3,
            max_in_flight: 4,
            waiting: 2,
            refused_full: 8,
            refused_deadline: 9,
          },
          pending: false,
          used_by: [],
          addresses: (['DOWN', 'EJECTED'] as const).map((state) => ({
            address: '127.0.0.1:9001',
            replica_url: 'http://localhost:9001',
            weight: 1,
            state,
            since: 0,
            last_error: '',
            in_flight: 0,
            ejected_workers: 0,
            ejected_until: null,
            ejections: 0,
          })),
        },
      ],
    }),
  });
}

t.test('every source has its lines', async (t) => {
  const text = await someMetrics().render();
  const entity = String.raw`endpoint="iris",served_entity="we\"ird\\"`;
  for (const line of [
    'pointsman_info{version="1.2.3"} 1',
    'pointsman_active_revision 4',
    'pointsman_worker_up{slot="0"} 1',
    'pointsman_worker_up{slot="1"} 0',
    'pointsman_worker_heartbeat_age_seconds{slot="0"} 0.015',
    'pointsman_worker_revisions_held{slot="0"} 2',
    'pointsman_worker_restarts_total{slot="0"} 3',
    'pointsman_worker_degraded{slot="0"} 1',
    'pointsman_worker_degraded{slot="1"} 0',
    'pointsman_open_connections 9',
    'pointsman_refused_connections_total 12',
    `pointsman_requests_total{${entity},status_class="2xx",path="native"} 1`,
    `pointsman_requests_total{${entity},status_class="5xx",path="js"} 1`,
    `pointsman_request_duration_seconds_bucket{${entity},le="0.002"} 0`,
    `pointsman_request_duration_seconds_bucket{${entity},le="0.005"} 1`,
    `pointsman_request_duration_seconds_bucket{${entity},le="300"} 1`,
    `pointsman_request_duration_seconds_bucket{${entity},le="+Inf"} 2`,
    `pointsman_request_duration_seconds_sum{${entity}} 400.003`,
    `pointsman_request_duration_seconds_count{${entity}} 2`,
    `pointsman_in_flight_requests{${entity}} 2`,
    'pointsman_refused_requests_total{code="UNAUTHENTICATED"} 6',
    'pointsman_address_requests_total{deployment="m",address="127.0.0.1:9001"} 7',
    'pointsman_address_connect_failures_total{deployment="m",address="127.0.0.1:9001"} 1',
    'pointsman_address_retries_total{deployment="m",address="127.0.0.1:9001"} 2',
    'pointsman_address_failures_total{deployment="m",address="127.0.0.1:9001"} 4',
    'pointsman_address_ejections_total{deployment="m",address="127.0.0.1:9001"} 1',
    'pointsman_address_ejected_workers{deployment="m",address="127.0.0.1:9001"} 1',
    'pointsman_address_ready{deployment="m",address="127.0.0.1:9001"} 1',
    'pointsman_deployment_in_flight_requests{deployment="m"} 3',
    'pointsman_deployment_in_flight_limit{deployment="m"} 4',
    'pointsman_deployment_waiting_requests{deployment="m"} 2',
    'pointsman_deployment_refused_requests_total{deployment="m",reason="full"} 8',
    'pointsman_deployment_refused_requests_total{deployment="m",reason="deadline"} 9',
    'pointsman_endpoint_ready{endpoint="new"} 0',
    'pointsman_endpoint_config_version{endpoint="iris"} 2',
    'pointsman_endpoint_update_pending{endpoint="iris"} 1',
  ]) {
    t.ok(text.includes(`${line}\n`), line);
  }
  t.notMatch(text, /config_version\{endpoint="new"\}/);
  t.notMatch(text, /in_flight_limit\{deployment="free"\}/);
  t.notMatch(text, /heartbeat_age_seconds\{slot="1"\}/);
});

t.test('the text is a valid exposition', async (t) => {
  const metrics = someMetrics();
  t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
  const lines = (await metrics.render()).trimEnd().split('\n');
  const value = String.raw`[-+0-9.e]+|[Nn]a[Nn]|\+Inf`;
  const labels = String.raw`\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\}`;
  const sample = new RegExp(String.raw`^[a-z0-9_]+(?:${labels})? (?:${value})$`);
  const series = new Set<string>();
  for (const line of lines.filter((one) => one !== '' && !one.startsWith('#'))) {
    t.match(line, sample);
    const name = line.slice(0, line.lastIndexOf(' '));
    t.notOk(series.has(name), `${name} appears once`);
    series.add(name);
  }
  for (const kind of ['HELP', 'TYPE']) {
    const names = lines.flatMap((line) => new RegExp(`^# ${kind} (\\S+) `).exec(line)?.[1] ?? []);
    t.equal(new Set(names).size, names.length, `one ${kind} per family`);
    for (const { name } of Object.values(METRICS)) t.ok(names.includes(name), `${kind} of ${name}`);
  }
  t.ok([...series].some((name) => name.startsWith('process_cpu_seconds_total')));
  // Sampled ones would hold what was never sampled.
  const lags = [...series].filter((name) => name.startsWith('nodejs_eventloop_lag_'));
  t.same(lags, ['nodejs_eventloop_lag_seconds']);
});

t.test('docs/metrics.md lists exactly these series', (t) => {
  const text = readFileSync(projectFile('docs/metrics.md'), 'utf8');
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('| `pointsman_'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  const documented = rows.map(([, name, type, labels, help]) => ({ name, type, labels, help }));
  const real = Object.values(METRICS).map(({ name, type, labels, help }) => ({
    name: `\`${name}\``,
    type,
    labels: labels.map((label) => `\`${label}\``).join(', '),
    help,
  }));
  t.strictSame(documented, real);
  t.end();
});
