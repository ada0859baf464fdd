import t from 'tap';
import { LATENCY_BUCKETS_MS } from '../../../src/core/limits.js';
import { NO_TRAFFIC, quantileMs, trafficOf } from '../../../src/control/status.js';
import { deployment, MIA, reservePort, startControl, startReplica, until } from './harness.js';
import { addressCounts, entityCounts } from './harness.js';

const BUCKETS = LATENCY_BUCKETS_MS.length + 1;

function buckets(...filled: (readonly [index: number, count: number])[]): number[] {
  const counts = new Array<number>(BUCKETS).fill(0);
  for (const [index, count] of filled) counts[index] = count;
  return counts;
}

t.test('quantiles lie inside their bucket', (t) => {
  t.equal(quantileMs(buckets(), 0.5), null);
  t.equal(quantileMs(buckets([0, 10]), 0.5), 0.5);
  t.equal(quantileMs(buckets([3, 100]), 0.5), 7.5, 'half way from 5 to 10 ms');
  t.equal(quantileMs(buckets([3, 99], [5, 1]), 0.99), 10);
  t.equal(quantileMs(buckets([3, 98], [5, 2]), 0.99), 37.5);
  t.equal(quantileMs(buckets([BUCKETS - 1, 5]), 0.5), 300_000, 'no bound: the last one');
  t.end();
});

t.test("an endpoint's traffic is that of its entities together", (t) => {
  const slow = {
    nativeClasses: [],
    statusClasses: [0, 5, 0, 1, 2],
    latencyBuckets: buckets([3, 8]),
    latencySumMs: 1,
    inFlight: 3,
  };
  t.match(trafficOf([slow]), { requests: 8, errors: 2, in_flight: 3, latency_p50_ms: 7.5 });
  t.match(trafficOf([slow, entityCounts(8, 0)]), {
    requests: 16,
    errors: 2,
    latency_p50_ms: 1,
    latency_p90_ms: 9,
    latency_p99_ms: 9.9,
  });
  t.strictSame(trafficOf([]), NO_TRAFFIC);
  t.match(trafficOf([{ ...entityCounts(0, 0), inFlight: 2 }]), {
    in_flight: 2,
    latency_p50_ms: null,
  });
  t.end();
});

t.test('status and stats read the slots that the published snapshot names', async (t) => {
  const { control, dataPlane } = await startControl(t);
  const replica = await startReplica(t);
  const serves = [
    ['c.s.m', '1'],
    ['c.s.m', '2'],
  ] as const;
  await control.putDeployment('m', deployment('m', serves, [replica.url]), MIA);
  const entities = ['1', '2'].map((version) => ({
    name: `v${version}`,
    entity_name: 'c.s.m',
    entity_version: version,
  }));
  const routes = [
    { served_entity_name: 'v1', traffic_percentage: 90 },
    { served_entity_name: 'v2', traffic_percentage: 10 },
  ];
  const config = { served_entities: entities, traffic_config: { routes } };
  await control.createEndpoint({ name: 'e', config }, MIA);
  await control.waitSettled(5_000);
  const { counters } = dataPlane;
  const [routed] = dataPlane.last.endpoints;
  const [first, second] = routed?.entities ?? [];
  const [address] = dataPlane.last.addresses[0]?.addresses ?? [];
  if (first === undefined || second === undefined || address === undefined) throw new Error('?');
  t.not(first.statsSlot, second.statsSlot);
  counters.entities.set(first.statsSlot, entityCounts(80, 10));
  counters.entities.set(second.statsSlot, entityCounts(10, 0));
  counters.addresses.set(address.statsSlot, addressCounts(100));
  t.match(control.status().endpoints, [
    {
      requests: 100,
      errors: 10,
      pending: null,
      entities: [
        { name: 'v1', traffic_percentage: 90, deployment: 'm', requests: 90, errors: 10 },
        { name: 'v2', requests: 10, errors: 0, latency_p90_ms: 0.9 },
      ],
    },
  ]);
  t.match(control.stats(), {
    entities: [
      { endpoint: 'e', entity: 'v1', nativeClasses: [], statusClasses: [0, 80, 0, 0, 10] },
      { endpoint: 'e', entity: 'v2' },
    ],
    addresses: [{ deployment: 'm', address: `127.0.0.1:${String(replica.port)}`, requests: 100 }],
  });

  const missing = [...entities, { name: 'v3', entity_name: 'c.s.m', entity_version: '3' }];
  await control.updateConfig('e', { served_entities: missing, traffic_config: { routes } }, MIA);
  t.match(control.status().endpoints[0], {
    config_version: 1,
    pending_config_version: 2,
    entities: [{ requests: 90 }, { requests: 10 }],
    pending: {
      config_version: 2,
      entities: [
        { name: 'v1', ready: true, reason: '' },
        { name: 'v2', ready: true },
        {
          name: 'v3',
          ready: false,
          deployment: '',
          reason: /no deployment serves c\.s\.m version 3/,
        },
      ],
    },
  });
});

t.test('an address that goes down shows since when and why', async (t) => {
  const { control } = await startControl(t);
  const port = await reservePort(t);
  const url = `http://127.0.0.1:${String(port)}`;
  const beforeMs = Date.now();
  await control.putDeployment('m', deployment('m', [['c.s.m', '1']], [url]), MIA);
  const address = () => control.status().deployments[0]?.addresses[0];
  await until(() => address()?.state === 'DOWN', 'down');
  t.match(address(), { last_error: 'refuses connections', replica_url: url });
  t.ok((address()?.since ?? 0) >= beforeMs);
});

t.test('an address that workers eject shows it, unless its probe finds it down', async (t) => {
  const { control, dataPlane } = await startControl(t);
  const replica = await startReplica(t);
  await control.putDeployment('m', deployment('m', [['c.s.m', '1']], [replica.url]), MIA);
  const entity = { name: 'v1', entity_name: 'c.s.m', entity_version: '1' };
  await control.createEndpoint({ name: 'e', config: { served_entities: [entity] } }, MIA);
  const address = () => control.status().deployments[0]?.addresses[0];
  await until(() => address()?.state === 'READY' && dataPlane.published.length > 0, 'ready');
  t.match(address(), { ejected_workers: 0, ejected_until: null, ejections: 0 });
  const slot = dataPlane.last.addresses[0]?.addresses[0]?.statsSlot ?? -1;
  dataPlane.counters.addresses.set(slot, {
    ...addressCounts(9),
    ejections: 4,
    ejectedWorkers: 2,
    ejectedForMs: 1_500,
  });
  const beforeMs = Date.now();
  const { value } = control.getDeployment('m');
  t.match(value.addresses, [{ state: 'EJECTED', ejected_workers: 2, ejections: 4 }]);
  t.ok((value.addresses[0]?.ejected_until ?? 0) >= beforeMs + 1_500);
  t.equal(value.state, 'READY', 'the deployment serves');
  await replica.close();
  await until(() => address()?.state === 'DOWN', 'down');
  t.match(address(), { ejected_workers: 2 });
});

t.test('10,000 endpoints: one look costs less than 60 ms of CPU', async (t) => {
  const { control, dataPlane } = await startControl(t);
  const endpoints = Array.from({ length: 10_000 }, (_, index) => ({
    name: `endpoint-${String(index).padStart(5, '0')}`,
    config: {
      served_entities: [{ name: 'a', entity_name: 'c.s.m', entity_version: '1' }],
    },
  }));
  const replica = await startReplica(t);
  const one = deployment('m', [['c.s.m', '1']], [replica.url]);
  await control.putDeployment('m', one, MIA);
  await until(() => control.listDeployments()[0]?.state === 'READY', 'ready');
  const manifest = { deployments: [one], endpoints };
  await control.applyManifest(manifest, { ...MIA, mode: 'replace', dryRun: false });
  t.equal(control.status().endpoints.filter(({ ready }) => ready === 'READY').length, 10_000);
  for (const { entities } of dataPlane.last.endpoints) {
    for (const { statsSlot } of entities) {
      dataPlane.counters.entities.set(statsSlot, entityCounts(90, 10));
    }
  }
  t.equal(control.status().endpoints[9_999]?.requests, 100);
  const times = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage();
    control.status();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  t.comment(times.map((ms) => ms.toFixed(1)).join(' ms, '));
  t.ok(Math.min(...times) < 60);
});
