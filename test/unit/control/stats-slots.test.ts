import t, { type Test } from 'tap';
import { PointsmanError } from '../../../src/core/errors.js';
import type { JsonObject } from '../../../src/control/control-plane.js';
import { SlotHolders } from '../../../src/control/stats-slots.js';
import {
  deployment,
  entityCounts,
  expectRefusal,
  fingerprint,
  MemoryDataPlane,
  MIA,
  startControl,
  startReplica,
  until,
} from './harness.js';

interface Thing {
  readonly slots: readonly number[];
}

function holders(max: number) {
  const kind = {
    what: 'things',
    max,
    oldest: 0,
    cleared: [] as number[],
    clear(slot: number): void {
      kind.cleared.push(slot);
    },
    oldestRevision: () => kind.oldest,
  };
  const held = new SlotHolders<Thing>(kind);
  const make = (...keys: string[]) => held.make(keys, (slots) => ({ slots }));
  return { kind, held, make };
}

t.test('equal keys share a number, others have one of their own', (t) => {
  const { make } = holders(10);
  const [a, b, again] = [make('a', 'b'), make('c'), make('b', 'a')];
  t.strictSame(a.slots, [...again.slots].reverse());
  t.equal(new Set([...a.slots, ...b.slots]).size, 3);
  t.end();
});

t.test('a number is reused only when no worker can count under its old key', (t) => {
  const { kind, held, make } = holders(1);
  const a = make('a');
  held.drop(a, 5);
  kind.oldest = 4;
  t.throws(() => make('b'), { code: 'INVALID_PARAMETER_VALUE', message: /at most 1 / });
  t.strictSame(kind.cleared, []);
  kind.oldest = 5;
  t.strictSame(make('b').slots, a.slots);
  t.strictSame(kind.cleared, [0], 'it counts from zero');
  t.end();
});

t.test('a key that comes back finds its number as it was', (t) => {
  const { kind, held, make } = holders(4);
  const a = make('a');
  held.drop(a, 5);
  kind.oldest = 9;
  t.strictSame(make('a').slots, a.slots);
  t.not(make('b').slots[0], a.slots[0]);
  t.strictSame(kind.cleared, []);
  t.end();
});

t.test('a thing is held until its last drop', (t) => {
  const { kind, held, make } = holders(1);
  const a = make('a');
  held.hold(a);
  held.drop(a, 3);
  kind.oldest = 9;
  t.ok(held.has(a));
  t.throws(() => make('b'), PointsmanError);
  held.drop(a, null);
  t.notOk(held.has(a));
  kind.oldest = 2;
  t.throws(() => make('b'), PointsmanError, 'it was published until revision 3');
  kind.oldest = 3;
  t.strictSame(make('b').slots, [0]);
  t.throws(() => {
    held.hold(a);
  }, /after its last drop/);
  t.end();
});

t.test('what was never published gives its numbers back at once', (t) => {
  const { kind, held, make } = holders(3);
  make('a');
  for (let round = 0; round < 10; round += 1) held.drop(make('b', 'c'), null);
  t.throws(() => make('x', 'y', 'z'), PointsmanError);
  t.strictSame([...make('x', 'y').slots].sort(), [1, 2], 'a refusal keeps nothing');
  t.strictSame(kind.cleared, [], 'nothing was counted');
  t.end();
});

t.test('an idle key that a refused change named again stays as old as it was', (t) => {
  const { kind, held, make } = holders(1);
  held.drop(make('a'), 5);
  held.drop(make('a'), null);
  kind.oldest = 4;
  t.throws(() => make('b'), PointsmanError);
  kind.oldest = 5;
  t.strictSame(make('b').slots, [0]);
  t.end();
});

function config(...names: readonly string[]): JsonObject {
  return {
    served_entities: names.map((name) => ({ name, entity_name: 'c.s.m', entity_version: '1' })),
    traffic_config: {
      routes: names.map((name, index) => ({
        served_entity_name: name,
        traffic_percentage: index === 0 ? 100 : 0,
      })),
    },
  };
}

async function startReady(t: Test, dataPlane = new MemoryDataPlane()) {
  const harness = await startControl(t, { dataPlane });
  const replica = await startReplica(t);
  const m = deployment('m', [['c.s.m', '1']], [replica.url]);
  await harness.control.putDeployment('m', m, MIA);
  await until(() => harness.control.listDeployments()[0]?.state === 'READY', 'ready');
  const slotsOf = (name: string): Map<string, number> => {
    const routes = dataPlane.last.endpoints.find((one) => one.name === name);
    return new Map(routes?.entities.map((entity) => [entity.name, entity.statsSlot]));
  };
  return { ...harness, dataPlane, replica, slotsOf };
}

t.test('counters go on over a change of config, a rollback and a refused change', async (t) => {
  const { control, dataPlane, slotsOf } = await startReady(t);
  await control.createEndpoint({ name: 'e', config: config('a', 'b') }, MIA);
  const before = slotsOf('e');
  const slot = before.get('b') ?? -1;
  dataPlane.counters.entities.set(slot, entityCounts(9, 1));
  dataPlane.failPublish = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not now');
  await t.rejects(control.updateConfig('e', config('c', 'd'), MIA));
  dataPlane.failPublish = null;
  await control.updateConfig('e', config('b', 'a'), MIA);
  t.equal(slotsOf('e').get('b'), slot);
  await control.updateConfig('e', config('a'), MIA);
  t.notOk(slotsOf('e').has('b'));
  await control.rollbackEndpoint('e', { config_version: 2 }, MIA);
  t.strictSame(new Set(slotsOf('e').values()), new Set(before.values()));
  t.match(control.status().endpoints[0]?.entities[0], { name: 'b', requests: 10, errors: 1 });
  t.strictSame(dataPlane.counters.clearedEntities, []);
});

t.test('a deleted endpoint gives its numbers up when its last request has ended', async (t) => {
  const { control, dataPlane, slotsOf } = await startReady(t);
  const { counters } = dataPlane;
  await control.createEndpoint({ name: 'old', config: config('a') }, MIA);
  const slot = slotsOf('old').get('a') ?? -1;
  counters.entities.set(slot, entityCounts(5, 0));
  counters.oldest = control.revision;
  await control.deleteEndpoint('old', MIA);
  await control.createEndpoint({ name: 'e', config: config('a') }, MIA);
  t.not(slotsOf('e').get('a'), slot, 'a request may still be in flight');
  counters.oldest = control.revision;
  await control.createEndpoint({ name: 'f', config: config('a') }, MIA);
  t.equal(slotsOf('f').get('a'), slot);
  t.strictSame(counters.clearedEntities, [slot]);
  t.equal(counters.entity(slot).statusClasses[1], 0);
});

t.test('more than can be counted is refused with the limit', async (t) => {
  const dataPlane = new MemoryDataPlane();
  dataPlane.counters.entitySlotsMax = 3;
  dataPlane.counters.addressSlotsMax = 2;
  const harness = await startReady(t, dataPlane);
  const { control, replica } = harness;
  await control.createEndpoint({ name: 'e', config: config('a', 'b') }, MIA);
  const before = fingerprint(harness);
  const code = 'INVALID_PARAMETER_VALUE';
  const wide = control.createEndpoint({ name: 'f', config: config('a', 'b') }, MIA);
  await expectRefusal(t, wide, 400, code, /too many served entities: at most 3 /);
  const urls = ['1', '2'].map((path) => `http://127.0.0.2:900${path}`);
  const many = deployment('m', [['c.s.m', '1']], [replica.url, ...urls]);
  const put = control.putDeployment('m', many, MIA);
  await expectRefusal(t, put, 400, code, /too many addresses of replicas: at most 2 /);
  t.equal(fingerprint(harness), before);
  await control.createEndpoint({ name: 'f', config: config('a') }, MIA);
});

t.test('an address keeps its number from snapshot to update to snapshot', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  await control.createEndpoint({ name: 'e', config: config('a') }, MIA);
  const slot = dataPlane.last.addresses[0]?.addresses[0]?.statsSlot;
  t.type(slot, 'number');
  replica.status = 500;
  await until(() => dataPlane.updates.at(-1)?.addresses[0]?.ready === false, 'down');
  t.equal(dataPlane.updates.at(-1)?.addresses[0]?.statsSlot, slot);
  await control.updateConfig('e', config('a', 'b'), MIA).catch(() => undefined);
  await control.createEndpoint({ name: 'f', config: config('a') }, MIA);
  replica.status = 200;
  await control.waitSettled(5_000);
  t.equal(dataPlane.last.addresses[0]?.addresses[0]?.statsSlot, slot);
  t.equal(control.stats().addresses.length, 1);
});
