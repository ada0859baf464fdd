/** The state machine: readiness gate, deadline, publish failure, restart, conflicts. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { PointsmanError } from '../../../src/core/errors.js';
import { RevisionRefused } from '../../../src/control/data-plane.js';
import type { JsonObject } from '../../../src/control/control-plane.js';
import type { EndpointRoutes } from '../../../src/control/messages.js';
import { STORE_FILE } from '../../../src/store/store.js';
import {
  deployment,
  expectRefusal,
  fingerprint,
  idle,
  ManualClock,
  MIA,
  reservePort,
  startControl,
  startReplica,
  tempDir,
  until,
  type Harness,
} from './harness.js';

const BOTH = [
  ['c.s.m', '1'],
  ['c.s.m', '2'],
] as const;

function config(a: number | string, b: number | string): JsonObject {
  return {
    served_entities: [
      { name: 'current', entity_name: 'c.s.m', entity_version: '1' },
      { name: 'challenger', entity_name: 'c.s.m', entity_version: '2' },
    ],
    traffic_config: {
      routes: [
        { served_model_name: 'current', traffic_percentage: a },
        { served_model_name: 'challenger', traffic_percentage: b },
      ],
    },
  };
}

function stateOf({ control }: Harness, name: string): unknown {
  return control.getEndpoint(name).value['state'];
}

const READY = { ready: 'READY', config_update: 'NOT_UPDATING' };

async function startReady(t: Test, options: Parameters<typeof startControl>[1] = {}) {
  const harness = await startControl(t, options);
  const replica = await startReplica(t);
  const { control } = harness;
  await control.putDeployment('m', deployment('m', BOTH, [replica.url]), MIA);
  await control.createEndpoint({ name: 'e', config: config(90, 10) }, MIA);
  t.equal(await control.waitSettled(5_000), true);
  t.strictSame(stateOf(harness, 'e'), READY);
  return { ...harness, replica };
}

t.test('a PUT whose entities are all up is active when it answers', async (t) => {
  const { control, dataPlane } = await startReady(t);
  const before = control.revision;
  const { value } = await control.updateConfig('e', config('50', '50'), MIA);
  t.strictSame(value['state'], READY);
  t.match(value['config'], { config_version: 2 });
  t.notOk('pending_config' in value);
  t.equal(control.revision, before + 1);
  t.match(dataPlane.last.endpoints[0], {
    configVersion: 2,
    entities: [{ sharePpm: 500_000 }, { sharePpm: 500_000 }],
  });
});

t.test(
  'a PUT with routes alone keeps the entities; an entity without a route gets nothing',
  async (t) => {
    const { control, dataPlane } = await startReady(t);
    const before = control.getEndpoint('e').value['config'] as JsonObject;
    const routes = [{ served_entity_name: 'challenger', traffic_percentage: 100 }];
    const { value } = await control.updateConfig('e', { traffic_config: { routes } }, MIA);
    t.match(value['config'], { config_version: 2, served_entities: before['served_entities'] });
    t.match(dataPlane.last.endpoints[0]?.entities, [
      { name: 'current', sharePpm: 0, deployment: 'm' },
      { name: 'challenger', sharePpm: 1_000_000 },
    ]);
  },
);

t.test(
  'a replica that is down: the message names deployment and replica, then it activates',
  async (t) => {
    const harness = await startControl(t);
    const { control, dataPlane } = harness;
    const port = await reservePort(t);
    const url = `http://127.0.0.1:${String(port)}`;
    const up = await startReplica(t);
    await control.putDeployment('model-a', deployment('model-a', [['c.s.m', '1']], [url]), MIA);
    await control.putDeployment('model-b', deployment('model-b', [['c.s.m', '2']], [up.url]), MIA);
    await control.createEndpoint({ name: 'e', config: config(90, 10) }, MIA);
    const states = () => {
      const pending = control.getEndpoint('e').value['pending_config'] as JsonObject;
      return (pending['served_entities'] as JsonObject[]).map((entity) => entity['state']);
    };
    const waits = {
      deployment: 'DEPLOYMENT_CREATING',
      deployment_state_message: `deployment model-a: replica ${url} refuses connections`,
    };
    const ready = { deployment: 'DEPLOYMENT_READY', deployment_state_message: '' };
    await until(() => JSON.stringify(states()) === JSON.stringify([waits, ready]), 'both messages');
    t.match(control.status().endpoints[0], {
      config_update: 'IN_PROGRESS',
      config_version: null,
      pending_config_version: 1,
      message: waits.deployment_state_message,
    });
    t.match(control.getDeployment('model-a').value, {
      state: 'NOT_READY',
      message: `replica ${url} refuses connections`,
      used_by: ['e'],
      addresses: [
        { address: `127.0.0.1:${String(port)}`, state: 'DOWN', last_error: 'refuses connections' },
      ],
    });
    t.same(dataPlane.last.endpoints, []);
    await startReplica(t, port);
    t.equal(await control.waitSettled(5_000), true);
    t.strictSame(stateOf(harness, 'e'), READY);
    t.match(dataPlane.last.addresses, [
      { deployment: 'model-a', addresses: [{ host: '127.0.0.1', port, ready: true, weight: 1 }] },
      { deployment: 'model-b' },
    ]);
  },
);

t.test('an entity without a deployment: the message names what is missing', async (t) => {
  const { control } = await startControl(t);
  await control.createEndpoint({ name: 'e', config: config(90, 10) }, MIA);
  t.match(control.getEndpoint('e').value['pending_config'], {
    served_entities: [
      { state: { deployment_state_message: /no deployment serves c\.s\.m version 1; add one/ } },
      { state: { deployment_state_message: /version 2/ } },
    ],
  });
});

t.test('an update that waits leaves the active config serving, also while it fails', async (t) => {
  const clock = new ManualClock();
  const harness = await startReady(t, { clock, updateDeadlineMs: 540_000 });
  const { control, dataPlane } = harness;
  const revision = control.revision;
  const body = {
    served_entities: [{ name: 'next', entity_name: 'c.s.m', entity_version: '3' }],
  };
  const { value } = await control.updateConfig('e', body, MIA);
  t.strictSame(value['state'], { ready: 'READY', config_update: 'IN_PROGRESS' });
  t.match(value, {
    config: { config_version: 1 },
    pending_config: { config_version: 2, start_time: clock.nowMs() },
  });
  t.equal(control.revision, revision, 'a pending config makes no revision');
  clock.advance(539_999);
  await idle(control);
  t.match(stateOf(harness, 'e'), { config_update: 'IN_PROGRESS' });
  clock.advance(1);
  await idle(control);
  t.strictSame(stateOf(harness, 'e'), { ready: 'READY', config_update: 'UPDATE_FAILED' });
  t.match(control.getEndpoint('e').value, {
    config: { config_version: 1 },
    pending_config: {
      config_version: 2,
      served_entities: [
        {
          state: {
            deployment: 'DEPLOYMENT_FAILED',
            deployment_state_message: /no deployment serves c\.s\.m version 3/,
          },
        },
      ],
    },
  });
  t.match(control.status().endpoints[0]?.message, /not ready within 540 s: no deployment serves/);
  t.equal(await control.waitSettled(0), true);
  const again = await control.updateConfig('e', config(20, 80), MIA);
  t.strictSame(again.value['state'], READY);
  t.match(again.value['config'], { config_version: 3 }, 'version 2 was accepted once');
  t.notOk('pending_config' in again.value);
  t.equal(dataPlane.last.endpoints[0]?.configVersion, 3);
});

t.test('live health shows in the view of an active config, and goes to the workers', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const revision = control.revision;
  const shown = () => (control.getEndpoint('e').value['config'] as JsonObject)['served_entities'];
  replica.status = 500;
  await until(() => JSON.stringify(shown()).includes('DEPLOYMENT_RECOVERING'), 'recovering');
  t.match(shown(), [
    {
      state: {
        deployment: 'DEPLOYMENT_RECOVERING',
        deployment_state_message: `deployment m: replica ${replica.url} answers GET /ping with 500`,
      },
    },
    {},
  ]);
  t.match(dataPlane.updates.at(-1), { deployment: 'm', addresses: [{ ready: false }] });
  t.match(control.getEndpoint('e').value['state'], READY);
  replica.status = 204;
  await until(() => JSON.stringify(shown()).includes('DEPLOYMENT_READY'), 'ready again');
  t.match(dataPlane.updates.at(-1), { deployment: 'm', addresses: [{ ready: true }] });
  t.equal(control.revision, revision, 'health is no revision');
});

t.test('a publish that fails changes nothing and burns two revision numbers', async (t) => {
  const harness = await startReady(t);
  const { control, dataPlane, store } = harness;
  const stored = store.revision;
  const records = JSON.stringify(store.records('endpoint'));
  const view = JSON.stringify(control.getEndpoint('e').value);
  dataPlane.failPublish = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not prepared in time');
  await expectRefusal(
    t,
    control.updateConfig('e', config(1, 99), MIA),
    503,
    'TEMPORARILY_UNAVAILABLE',
    /prepared/,
  );
  await expectRefusal(
    t,
    control.deleteEndpoint('e', MIA),
    503,
    'TEMPORARILY_UNAVAILABLE',
    /prepared/,
  );
  t.equal(JSON.stringify(store.records('endpoint')), records);
  t.equal(JSON.stringify(control.getEndpoint('e').value), view);
  t.equal(store.revision, stored + 4);
  t.match(store.revisions(2), [
    { summary: `revert revision ${String(stored + 3)}: it could not be published` },
    {},
  ]);
  t.equal(control.revision, stored, 'the workers still serve the old one');
  dataPlane.failPublish = null;
  await control.updateConfig('e', config(1, 99), MIA);
  t.equal(control.revision, stored + 5);
});

t.test('what cannot be built is refused before it is stored', async (t) => {
  const harness = await startReady(t);
  const { control, dataPlane } = harness;
  const before = fingerprint(harness);
  dataPlane.failTrial = new PointsmanError('INVALID_PARAMETER_VALUE', 'config: too many');
  const code = 'INVALID_PARAMETER_VALUE';
  await expectRefusal(t, control.updateConfig('e', config(1, 99), MIA), 400, code, /too many/);
  await expectRefusal(
    t,
    control.createEndpoint({ name: 'f', config: config(1, 99) }, MIA),
    400,
    code,
    /too many/,
  );
  t.equal(fingerprint(harness), before);
});

t.test('an activation that cannot be published stays pending and is tried again', async (t) => {
  const clock = new ManualClock();
  const { control, dataPlane } = await startReady(t, { clock });
  dataPlane.failPublish = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not prepared in time');
  const created = await control.createEndpoint({ name: 'f', config: config(50, 50) }, MIA);
  t.match(created.value, { state: { config_update: 'IN_PROGRESS' } });
  t.match(control.getEndpoint('f').value, { state: { config_update: 'IN_PROGRESS' } });
  dataPlane.failPublish = null;
  clock.advance(1_000);
  await idle(control);
  t.strictSame(control.getEndpoint('f').value['state'], READY);
});

t.test('an activation that the workers refuse has failed, and is not tried again', async (t) => {
  const clock = new ManualClock();
  const { control, dataPlane } = await startReady(t, { clock });
  let publishes = 0;
  dataPlane.duringPublish = ({ endpoints }) => {
    if (!endpoints.some(({ name }) => name === 'f')) return Promise.resolve();
    publishes += 1;
    return Promise.reject(new RevisionRefused('two processes died of it'));
  };
  await control.createEndpoint({ name: 'f', config: config(50, 50) }, MIA);
  await idle(control);
  clock.advance(60_000);
  await idle(control);
  t.equal(publishes, 1);
  t.match(control.getEndpoint('f').value, { state: { config_update: 'UPDATE_FAILED' } });
  const f = control.status().endpoints.find(({ name }) => name === 'f');
  t.equal(f?.message, 'the config cannot be served: two processes died of it');
  t.equal(await control.waitSettled(0), true);
  dataPlane.duringPublish = () => Promise.resolve();
  await control.updateConfig('f', config(50, 50), MIA);
  t.strictSame(control.getEndpoint('f').value['state'], READY, 'a PUT tries it again');
});

t.test('readers see the old content until a publish is through; changes wait for it', async (t) => {
  const harness = await startReady(t);
  const { control, dataPlane } = harness;
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let entered: () => void = () => undefined;
  const inside = new Promise<void>((resolve) => (entered = resolve));
  dataPlane.duringPublish = () => {
    entered();
    return held;
  };
  const first = control.updateConfig('e', config(1, 99), MIA);
  await inside;
  const second = control.updateConfig('e', config(2, 98), MIA);
  t.match(control.getEndpoint('e').value['config'], { config_version: 1 });
  release();
  t.match((await first).value['config'], { config_version: 2 });
  t.match((await second).value['config'], { config_version: 3 });
  t.match(control.getEndpoint('e').value['config'], {
    traffic_config: { routes: [{ traffic_percentage: 2 }, {}] },
  });
});

/** Where entities are counted is decided anew by every supervisor. */
function withoutSlots(endpoints: readonly EndpointRoutes[]): unknown {
  return endpoints.map(({ entities, ...rest }) => ({
    ...rest,
    entities: entities.map(({ name, sharePpm, deployment }) => ({ name, sharePpm, deployment })),
  }));
}

t.test(
  'a restart keeps ids, versions, shares and pendings, and serves whatever the health',
  async (t) => {
    const dir = tempDir(t);
    const first = await startReady(t, { dir });
    await first.control.updateConfig('e', config(70, 30), MIA);
    const missing = { served_entities: [{ name: 'x', entity_name: 'c.s.m', entity_version: '9' }] };
    await first.control.createEndpoint({ name: 'waiting', config: missing }, MIA);
    const views = ['e', 'waiting'].map((name) => first.control.getEndpoint(name).value);
    const revision = first.control.revision;
    const routes = first.dataPlane.last.endpoints;
    await first.stop();
    await first.replica.close();

    const second = await startControl(t, { dir });
    t.equal(second.control.revision, revision);
    t.strictSame(second.dataPlane.published.length, 1);
    t.strictSame(withoutSlots(second.dataPlane.last.endpoints), withoutSlots(routes));
    t.match(second.dataPlane.last.addresses, [{ deployment: 'm', addresses: [{ ready: true }] }]);
    const after = ['e', 'waiting'].map((name) => second.control.getEndpoint(name).value);
    t.match(after[0], { id: views[0]?.['id'], config: { config_version: 2 } });
    t.strictSame(after[1], views[1], 'id, version and start_time of the pending config');
    const replica = await startReplica(t);
    const nine = deployment('m9', [['c.s.m', '9']], [replica.url]);
    await second.control.putDeployment('m9', nine, MIA);
    t.equal(await second.control.waitSettled(5_000), true);
    t.strictSame(stateOf(second, 'waiting'), READY);
    t.equal(second.control.revision, revision + 1);
  },
);

t.test("a pending config's deadline goes on over a restart", async (t) => {
  const dir = tempDir(t);
  const clock = new ManualClock();
  const first = await startControl(t, { dir, clock });
  await first.control.createEndpoint({ name: 'e', config: config(1, 99) }, MIA);
  clock.advance(500_000);
  await first.stop();
  const second = await startControl(t, { dir, clock });
  clock.advance(40_000);
  await idle(second.control);
  t.strictSame(stateOf(second, 'e'), { ready: 'NOT_READY', config_update: 'UPDATE_FAILED' });
});

t.test('a deadline that passed during a stop leaves time for probes', async (t) => {
  const dir = tempDir(t);
  const clock = new ManualClock();
  const first = await startControl(t, { dir, clock });
  await first.control.createEndpoint({ name: 'e', config: config(1, 99) }, MIA);
  const replica = await startReplica(t);
  await first.stop();
  clock.advance(900_000);
  const second = await startControl(t, { dir, clock });
  clock.advance(9_999);
  await second.control.putDeployment('m', deployment('m', BOTH, [replica.url]), MIA);
  await until(() => second.control.getEndpoint('e').value['config'] !== undefined, 'active');
  t.strictSame(stateOf(second, 'e'), READY);
});

t.test('deletes: any state, 404 afterwards, a new id at recreation', async (t) => {
  const harness = await startReady(t);
  const { control, dataPlane } = harness;
  const id = control.getEndpoint('e').value['id'];
  const revision = control.revision;
  await control.deleteEndpoint('e', MIA);
  t.equal(control.revision, revision + 1);
  t.same(dataPlane.last.endpoints, []);
  await expectRefusal(
    t,
    Promise.resolve().then(() => control.getEndpoint('e')),
    404,
    'RESOURCE_DOES_NOT_EXIST',
    /e/,
  );
  const missing = { served_entities: [{ entity_name: 'c.s.m', entity_version: '9' }] };
  await control.createEndpoint({ name: 'e', config: missing }, MIA);
  t.not(control.getEndpoint('e').value['id'], id);
  await control.deleteEndpoint('e', MIA);
  t.equal(control.revision, revision + 1, 'no traffic, no revision');
  t.same(control.listEndpoints(), []);
});

t.test('If-Match holds a change to what was read', async (t) => {
  const harness = await startReady(t);
  const { control } = harness;
  const { etag } = control.getEndpoint('e');
  const changed = await control.updateConfig('e', config(5, 95), { ...MIA, ifMatch: etag });
  t.not(changed.etag, etag);
  const before = fingerprint(harness);
  const stale = { ...MIA, ifMatch: etag };
  const code = 'RESOURCE_CONFLICT';
  await expectRefusal(t, control.updateConfig('e', config(6, 94), stale), 409, code, /If-Match/);
  await expectRefusal(t, control.deleteEndpoint('e', stale), 409, code, /If-Match/);
  await expectRefusal(t, control.deleteDeployment('m', stale), 409, code, /If-Match/);
  t.equal(fingerprint(harness), before);
  await control.deleteEndpoint('e', { ...MIA, ifMatch: `"other", ${changed.etag}` });
});

t.test('an external endpoint cannot become a custom one', async (t) => {
  const { control } = await startReady(t);
  const external = {
    served_entities: [
      {
        external_model: {
          name: 'x',
          provider: 'custom',
          task: 'llm/v1/chat',
          custom_provider_config: { custom_provider_url: 'http://127.0.0.1:1/v1' },
        },
      },
    ],
  };
  await expectRefusal(
    t,
    control.updateConfig('e', external, MIA),
    400,
    'INVALID_PARAMETER_VALUE',
    /^served_entities\[0\]: an update cannot turn/,
  );
});

t.test('a store that refuses a write leaves everything as it was', async (t) => {
  const dir = tempDir(t);
  const harness = await startReady(t, { dir });
  const { control, dataPlane } = harness;
  const before = fingerprint(harness);
  const db = new Database(join(dir, STORE_FILE));
  t.teardown(() => db.close());
  db.exec(`CREATE TRIGGER full BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'full'); END`);
  const refused = control.updateConfig('e', config(5, 95), MIA);
  await expectRefusal(t, refused, 500, 'INTERNAL_ERROR', /could not be stored/);
  t.equal(fingerprint(harness), before);
  db.exec('DROP TRIGGER full');
  await control.updateConfig('e', config(5, 95), MIA);
  t.equal(dataPlane.last.endpoints[0]?.configVersion, 2);
});

t.test('records that could not be put back go with the next change', async (t) => {
  const dir = tempDir(t);
  const harness = await startReady(t, { dir });
  const { control, dataPlane, store } = harness;
  const records = JSON.stringify(store.records('endpoint'));
  const db = new Database(join(dir, STORE_FILE));
  t.teardown(() => db.close());
  dataPlane.duringPublish = () => {
    db.exec(`CREATE TRIGGER full BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'full'); END`);
    return Promise.reject(new PointsmanError('INTERNAL_ERROR', 'a worker cannot build it'));
  };
  const refused = control.updateConfig('e', config(5, 95), MIA);
  await expectRefusal(t, refused, 500, 'INTERNAL_ERROR', /cannot build/);
  t.not(JSON.stringify(store.records('endpoint')), records);
  t.match(control.getEndpoint('e').value['config'], { config_version: 1 });
  db.exec('DROP TRIGGER full');
  dataPlane.duringPublish = () => Promise.resolve();
  await control.createEndpoint({ name: 'shell' }, MIA);
  const stored = store.records('endpoint').filter(({ name }) => name === 'e');
  t.equal(JSON.stringify(stored), records);
});
