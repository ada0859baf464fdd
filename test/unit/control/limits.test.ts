/** What the workers are told of limits, and under which numbers they count. */
import t, { type Test } from 'tap';
import type { JsonObject } from '../../../src/control/control-plane.js';
import { upperConcurrency } from '../../../src/control/workload.js';
import {
  deployment,
  expectRefusal,
  MemoryDataPlane,
  MIA,
  startControl,
  startReplica,
  until,
} from './harness.js';

t.test('the upper concurrency of every size', (t) => {
  t.equal(upperConcurrency({ workload_size: 'Small' }), 4);
  t.equal(upperConcurrency({ workload_size: 'Medium' }), 16);
  t.equal(upperConcurrency({ workload_size: 'Large' }), 64);
  t.equal(
    upperConcurrency({ min_provisioned_concurrency: 4, max_provisioned_concurrency: 12 }),
    12,
  );
  t.equal(upperConcurrency({ min_provisioned_concurrency: 4 }), 0, 'no bound from above');
  t.equal(upperConcurrency({}), 0);
  t.end();
});

function config(sizes: readonly JsonObject[]): JsonObject {
  return {
    served_entities: sizes.map((size, index) => ({
      name: `s${String(index)}`,
      entity_name: 'c.s.m',
      entity_version: '1',
      ...size,
    })),
    traffic_config: {
      routes: sizes.map((_, index) => ({
        served_entity_name: `s${String(index)}`,
        traffic_percentage: index === 0 ? 100 : 0,
      })),
    },
  };
}

async function startReady(t: Test, dataPlane = new MemoryDataPlane()) {
  const { control } = await startControl(t, { dataPlane });
  const replica = await startReplica(t);
  const put = (limits: JsonObject, name = 'm', entity = 'c.s.m') =>
    control.putDeployment(
      name,
      { ...deployment(name, [[entity, '1']], [replica.url]), limits },
      MIA,
    );
  await put({});
  await until(() => control.listDeployments()[0]?.state === 'READY', 'ready');
  return { control, dataPlane, put };
}

t.test('limits reach the workers, and a change keeps the count', async (t) => {
  const { control, dataPlane, put } = await startReady(t);
  await control.createEndpoint({ name: 'e', config: config([{}]) }, MIA);
  const [free] = dataPlane.last.deployments;
  t.match(free, { maxInFlight: 0, queueMax: 0, queueMs: 0 });
  const limits = { max_in_flight: 4, queue: 10, queue_ms: 500 };
  const answer = await put(limits);
  t.match(answer.value.spec['limits'], { ...limits, from_workload: false });
  const [limited] = dataPlane.last.deployments;
  t.match(limited, { maxInFlight: 4, queueMax: 10, queueMs: 500, limitSlot: free?.limitSlot });
  const counts = { inFlight: 3, waiting: 2, refusedFull: 1, refusedDeadline: 5 };
  dataPlane.counters.deployments.set(limited?.limitSlot ?? -1, counts);
  t.match(control.status().deployments[0]?.load, {
    in_flight: 3,
    max_in_flight: 4,
    waiting: 2,
    refused_full: 1,
    refused_deadline: 5,
  });
  t.strictSame(control.stats().deployments, [{ deployment: 'm', maxInFlight: 4, ...counts }]);
  const { revision } = control;
  await put(limits);
  t.equal(control.revision, revision, 'the same again is no change');
});

t.test('from_workload limits each entity by its own size', async (t) => {
  const { control, dataPlane, put } = await startReady(t);
  const sizes = [
    { workload_size: 'Medium' },
    { min_provisioned_concurrency: 4, max_provisioned_concurrency: 8 },
    { min_provisioned_concurrency: 4 },
  ];
  await control.createEndpoint({ name: 'e', config: config(sizes) }, MIA);
  const limitsOf = () => dataPlane.last.endpoints[0]?.entities.map((one) => one.maxInFlight);
  const slotsOf = () => dataPlane.last.endpoints[0]?.entities.map((one) => one.statsSlot);
  t.strictSame(limitsOf(), [0, 0, 0]);
  const slots = slotsOf();
  await put({ from_workload: true });
  t.strictSame(limitsOf(), [16, 8, 0]);
  t.strictSame(slotsOf(), slots, 'counted as before');
  await put({ from_workload: false });
  t.strictSame(limitsOf(), [0, 0, 0]);
});

t.test('the number of a deployment is free when its last request has ended', async (t) => {
  const dataPlane = new MemoryDataPlane();
  dataPlane.counters.deploymentSlotsMax = 1;
  const { control, put } = await startReady(t, dataPlane);
  const { counters } = dataPlane;
  await control.createEndpoint({ name: 'e', config: config([{}]) }, MIA);
  counters.oldest = control.revision;
  await put({}, 'n', 'c.s.n');
  await until(() => control.listDeployments().every(({ state }) => state === 'READY'), 'ready');
  const other = {
    served_entities: [{ name: 'n', entity_name: 'c.s.n', entity_version: '1' }],
  };
  const create = () => control.createEndpoint({ name: 'f', config: other }, MIA);
  const code = 'INVALID_PARAMETER_VALUE';
  await expectRefusal(t, create(), 400, code, /too many deployments in use: at most 1 /);
  await control.deleteEndpoint('e', MIA);
  await expectRefusal(t, create(), 400, code, /too many deployments in use/);
  counters.oldest = control.revision;
  await create();
  t.strictSame(counters.clearedDeployments, [0]);
  t.equal(dataPlane.last.deployments[0]?.limitSlot, 0);
});
