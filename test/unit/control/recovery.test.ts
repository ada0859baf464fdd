/** A start whose stored revision the data plane refuses. */
import t, { type Test } from 'tap';
import { PointsmanError } from '../../../src/core/errors.js';
import type { JsonObject } from '../../../src/control/control-plane.js';
import type { Snapshot } from '../../../src/control/messages.js';
import { createControlPlane } from '../../../src/control/create-control-plane.js';
import { byName } from '../../../src/control/manifest-plan.js';
import { systemClock } from '../../../src/core/clock.js';
import { Store } from '../../../src/store/store.js';
import {
  deployment,
  MemoryDataPlane,
  MIA,
  startControl,
  startReplica,
  tempDir,
  until,
} from './harness.js';

function config(name: string): JsonObject {
  return { served_entities: [{ name, entity_name: 'c.s.m', entity_version: '1' }] };
}

/** Endpoint `e` serves `first`, then `second`; `other` came in between. */
async function storeRevisions(t: Test, dir: string): Promise<number> {
  const harness = await startControl(t, { dir });
  const { control } = harness;
  const replica = await startReplica(t);
  const m = deployment('m', [['c.s.m', '1']], [replica.url]);
  await control.putDeployment('m', m, MIA);
  await until(() => control.listDeployments()[0]?.state === 'READY', 'ready');
  await control.createEndpoint({ name: 'e', config: config('first') }, MIA);
  await control.createEndpoint({ name: 'other', config: config('x') }, MIA);
  await control.updateConfig('e', config('second'), MIA);
  const { revision } = control;
  await harness.stop();
  return revision;
}

const CANNOT = new PointsmanError('INTERNAL_ERROR', 'a worker cannot build it');

function refusing(entity: string): MemoryDataPlane {
  const dataPlane = new MemoryDataPlane();
  const names = ({ endpoints }: Snapshot) =>
    endpoints.flatMap(({ entities }) => entities.map(({ name }) => name));
  dataPlane.refuse = (snapshot) => (names(snapshot).includes(entity) ? CANNOT : null);
  return dataPlane;
}

t.test('the revision before it is stored as the next one and served', async (t) => {
  const dir = tempDir(t);
  const refused = await storeRevisions(t, dir);
  const dataPlane = refusing('second');
  const second = await startControl(t, { dir, dataPlane });
  const { control, store } = second;
  t.equal(control.revision, refused + 1);
  t.equal(store.revision, refused + 1);
  t.match([...dataPlane.last.endpoints].sort(byName), [
    { name: 'e', configVersion: 1, entities: [{ name: 'first' }] },
    { name: 'other' },
  ]);
  const { value } = control.getEndpoint('e');
  const message = `revision ${String(refused)} could not be served: a worker cannot build it`;
  t.match(value, {
    state: { ready: 'READY', config_update: 'UPDATE_FAILED' },
    config: { config_version: 1 },
    pending_config: {
      config_version: 2,
      served_entities: [
        { state: { deployment: 'DEPLOYMENT_FAILED', deployment_state_message: message } },
      ],
    },
  });
  t.match(store.revisions(1), [{ principal: 'pointsman', summary: new RegExp(message) }]);
  t.match(control.endpointHistory('e'), [{ active: false }, { config_version: 1, active: true }]);
  await second.stop();

  const third = await startControl(t, { dir });
  t.equal(third.control.revision, refused + 1, 'the next start serves it as it is');
  t.strictSame(third.control.getEndpoint('e').value, value);
  await third.control.updateConfig('e', config('third'), { ...MIA, preempt: true });
  await third.control.waitSettled(5_000);
  t.match(third.control.getEndpoint('e').value, { config: { config_version: 3 } });
});

t.test('a publish that is refused steps back as well, and further', async (t) => {
  const dir = tempDir(t);
  const refused = await storeRevisions(t, dir);
  const dataPlane = new MemoryDataPlane();
  dataPlane.duringPublish = (snapshot) =>
    snapshot.endpoints.length > 1 ? Promise.reject(CANNOT) : Promise.resolve();
  const { control, store } = await startControl(t, { dir, dataPlane });
  t.match(dataPlane.last.endpoints, [{ name: 'e', configVersion: 1 }]);
  t.equal(control.revision, store.revision);
  t.ok(control.revision > refused);
  t.match(control.getEndpoint('other').value, {
    state: { ready: 'NOT_READY', config_update: 'UPDATE_FAILED' },
    pending_config: { config_version: 1 },
  });
  t.equal(control.listDeployments().length, 1);
});

t.test('when nothing older works nothing is served, and everything is still there', async (t) => {
  const dir = tempDir(t);
  await storeRevisions(t, dir);
  const dataPlane = new MemoryDataPlane();
  dataPlane.refuse = ({ endpoints }) => (endpoints.length > 0 ? CANNOT : null);
  const { control } = await startControl(t, { dir, dataPlane });
  t.same(dataPlane.last.endpoints, []);
  t.equal(control.listDeployments().length, 1);
  for (const name of ['e', 'other']) {
    t.match(control.getEndpoint(name).value, {
      state: { ready: 'NOT_READY', config_update: 'UPDATE_FAILED' },
    });
  }
  dataPlane.refuse = () => null;
  await until(() => control.getDeployment('m').value.state === 'READY', 'ready');
  await control.rollbackEndpoint('e', { config_version: 2 }, MIA);
  t.match(control.getEndpoint('e').value, {
    state: { ready: 'READY', config_update: 'NOT_UPDATING' },
    config: { config_version: 3, served_entities: [{ name: 'second' }] },
  });
});

const NOT_NOW = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not prepared in time');

/** A start that fails: what it leaves in the store is what was there. */
async function undoesNothing(t: Test, dataPlane: MemoryDataPlane, error: Error): Promise<void> {
  const dir = tempDir(t);
  const stored = await storeRevisions(t, dir);
  const store = Store.open(dir);
  t.teardown(() => {
    store.close();
  });
  const records = store.records('endpoint');
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const control = await createControlPlane({
    store,
    dataPlane,
    clock: systemClock,
    logger: silent,
    workspaceId: '1',
    publicUrl: 'http://127.0.0.1:8080',
    updateDeadlineMs: 540_000,
  });
  t.teardown(() => control.stop());
  await t.rejects(control.start(), { message: error.message });
  t.equal(store.revision, stored);
  t.same(store.records('endpoint'), records);
}

t.test('a temporary refusal undoes nothing', async (t) => {
  const dataPlane = new MemoryDataPlane();
  dataPlane.failPublish = NOT_NOW;
  await undoesNothing(t, dataPlane, NOT_NOW);
});

t.test('nor does one on the way back to what can be served', async (t) => {
  const dataPlane = new MemoryDataPlane();
  let publishes = 0;
  dataPlane.duringPublish = () => {
    publishes += 1;
    return Promise.reject(publishes === 3 ? NOT_NOW : CANNOT);
  };
  await undoesNothing(t, dataPlane, NOT_NOW);
});

t.test('nor does a start that finds nothing to serve', async (t) => {
  const dataPlane = new MemoryDataPlane();
  dataPlane.failPublish = CANNOT;
  await undoesNothing(t, dataPlane, CANNOT);
});
