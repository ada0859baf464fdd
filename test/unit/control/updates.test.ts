/** What owners do to updates: roll back, cancel, replace. */
import t from 'tap';
import { PointsmanError } from '../../../src/core/errors.js';
import type { JsonObject } from '../../../src/control/control-plane.js';
import { CONFIGS_KEPT } from '../../../src/store/store.js';
import {
  deployment,
  expectRefusal,
  fingerprint,
  MIA,
  split,
  startControl,
  startReady,
  startReplica,
  tempDir,
  until,
  UPSERT,
} from './harness.js';

const PREEMPT = { ...MIA, preempt: true };

function config(version: string): JsonObject {
  return { served_entities: [{ name: 'a', entity_name: 'c.s.m', entity_version: version }] };
}

t.test('a rollback accepts an earlier config as a new version', async (t) => {
  const { control, dataPlane } = await startReady(t);
  await control.updateConfig('e', split(50), { principal: 'nia@example.org' });
  const { value, etag } = await control.rollbackEndpoint('e', { config_version: '1' }, MIA);
  t.match(value, {
    state: { ready: 'READY', config_update: 'NOT_UPDATING' },
    config: { config_version: 3, traffic_config: { routes: [{ traffic_percentage: 90 }, {}] } },
  });
  t.equal(etag, control.getEndpoint('e').etag);
  t.match(dataPlane.last.endpoints[0], { configVersion: 3, entities: [{ sharePpm: 900_000 }, {}] });
  const history = control.endpointHistory('e');
  t.match(history, [
    { config_version: 3, active: true, principal: MIA.principal },
    { config_version: 2, active: false, principal: 'nia@example.org' },
    { config_version: 1, active: false, split: [{ name: 'v1', traffic_percentage: 90 }, {}] },
  ]);
  t.ok(history.every(({ pending, activated_at: at }) => !pending && at !== null));
});

t.test('what cannot be rolled back to', async (t) => {
  const harness = await startReady(t);
  const { control } = harness;
  const before = fingerprint(harness);
  const back = (name: string, body: unknown) => control.rollbackEndpoint(name, body, MIA);
  const bad = 'INVALID_PARAMETER_VALUE';
  const unknown = 'RESOURCE_DOES_NOT_EXIST';
  await expectRefusal(t, back('e', {}), 400, bad, /^config_version: missing/);
  await expectRefusal(t, back('e', { config_version: 0 }), 400, bad, /^config_version: must be/);
  await expectRefusal(t, back('e', { config_version: 1.5 }), 400, bad, /^config_version: must be/);
  await expectRefusal(t, back('e', []), 400, bad, /object/);
  const message = /^config_version: endpoint e has no config version 2; the newest kept are 1$/;
  await expectRefusal(t, back('e', { config_version: 2 }), 404, unknown, message);
  await expectRefusal(t, back('f', { config_version: 1 }), 404, unknown, /Endpoint f /);
  const stale = control.rollbackEndpoint('e', { config_version: 1 }, { ...MIA, ifMatch: '"x"' });
  await expectRefusal(t, stale, 409, 'RESOURCE_CONFLICT', /If-Match/);
  t.equal(fingerprint(harness), before);
});

t.test('a rollback to what is not ready waits like any update', async (t) => {
  const { control, replica } = await startReady(t);
  const other = await startReplica(t);
  await control.putDeployment('n', deployment('n', [['c.s.m', '9']], [other.url]), MIA);
  await control.updateConfig('e', config('9'), MIA);
  await control.waitSettled(5_000);
  await control.updateConfig('e', split(50), MIA);
  await control.deleteDeployment('n', MIA);
  const { value } = await control.rollbackEndpoint('e', { config_version: 2 }, MIA);
  t.match(value, {
    state: { ready: 'READY', config_update: 'IN_PROGRESS' },
    config: { config_version: 3 },
    pending_config: { config_version: 4 },
  });
  t.match(control.endpointHistory('e')[0], {
    config_version: 4,
    pending: true,
    activated_at: null,
  });
  const again = deployment('n', [['c.s.m', '9']], [replica.url]);
  await control.putDeployment('n', again, MIA);
  t.equal(await control.waitSettled(5_000), true);
  t.match(control.endpointHistory('e')[0], { active: true, activated_at: Number });
});

t.test('an update in progress is in the way, unless it is preempted', async (t) => {
  const harness = await startReady(t);
  const { control } = harness;
  await control.updateConfig('e', config('9'), MIA);
  const before = fingerprint(harness);
  const code = 'RESOURCE_CONFLICT';
  const rolledBack = control.rollbackEndpoint('e', { config_version: 1 }, MIA);
  await expectRefusal(t, rolledBack, 409, code, /is being updated/);
  await expectRefusal(t, control.updateConfig('e', split(1), MIA), 409, code, /is being updated/);
  t.equal(fingerprint(harness), before);

  const routes = [{ served_entity_name: 'v2', traffic_percentage: 100 }];
  const put = await control.updateConfig('e', { traffic_config: { routes } }, PREEMPT);
  t.match(put.value, {
    state: { config_update: 'NOT_UPDATING' },
    config: { config_version: 3, served_entities: [{ name: 'v1' }, { name: 'v2' }] },
  });
  t.notOk('pending_config' in put.value);
  t.equal(await control.waitSettled(0), true, 'nothing waits for the deadline of version 2');

  await control.updateConfig('e', config('9'), MIA);
  const other = await control.updateConfig('e', config('8'), PREEMPT);
  t.match(other.value, {
    state: { config_update: 'IN_PROGRESS' },
    pending_config: { config_version: 5, served_entities: [{ entity_version: '8' }] },
  });
  const back = await control.rollbackEndpoint('e', { config_version: 1 }, PREEMPT);
  t.match(back.value, { state: { config_update: 'NOT_UPDATING' }, config: { config_version: 6 } });
});

t.test('a manifest preempts too', async (t) => {
  const { control } = await startReady(t);
  await control.updateConfig('e', config('9'), MIA);
  const manifest = { endpoints: [{ name: 'e', config: split(20) }] };
  const refused = control.applyManifest(manifest, UPSERT);
  await expectRefusal(t, refused, 409, 'RESOURCE_CONFLICT', /is being updated/);
  await control.applyManifest(manifest, { ...UPSERT, preempt: true });
  t.match(control.getEndpoint('e').value, { config: { config_version: 3 } });
});

t.test('a canceled update: the active config goes on, also after a restart', async (t) => {
  const dir = tempDir(t);
  const first = await startReady(t, { dir });
  const { control } = first;
  const code = 'RESOURCE_CONFLICT';
  await expectRefusal(t, control.cancelUpdate('e', MIA), 409, code, /no update in progress/);
  const none = control.cancelUpdate('f', MIA);
  await expectRefusal(t, none, 404, 'RESOURCE_DOES_NOT_EXIST', /f/);
  await control.updateConfig('e', config('9'), MIA);
  const { revision } = control;
  const shown = {
    state: { ready: 'READY', config_update: 'UPDATE_CANCELED' },
    config: { config_version: 1 },
    pending_config: {
      config_version: 2,
      served_entities: [
        {
          state: {
            deployment: 'DEPLOYMENT_ABORTED',
            deployment_state_message: /no deployment serves c\.s\.m version 9/,
          },
        },
      ],
    },
  };
  const { value } = await control.cancelUpdate('e', MIA);
  t.match(value, shown);
  t.equal(control.revision, revision, 'routing did not change');
  t.equal(await control.waitSettled(0), true);
  await expectRefusal(t, control.cancelUpdate('e', MIA), 409, code, /no update in progress/);
  t.match(control.status().endpoints[0], {
    config_update: 'UPDATE_CANCELED',
    message: `config version 2 was canceled by ${MIA.principal}`,
    pending: { config_version: 2, entities: [{ ready: false, reason: /version 9/ }] },
  });
  await first.stop();

  const second = await startControl(t, { dir });
  t.match(second.control.getEndpoint('e').value, shown);
  const replica = await startReplica(t);
  const nine = deployment('n', [['c.s.m', '9']], [replica.url]);
  await second.control.putDeployment('n', nine, MIA);
  await until(() => second.control.getDeployment('n').value.state === 'READY', 'n is ready');
  t.match(second.control.getEndpoint('e').value, { config: { config_version: 1 } });
  const again = await second.control.rollbackEndpoint('e', { config_version: 2 }, MIA);
  t.match(again.value, { state: { config_update: 'NOT_UPDATING' }, config: { config_version: 3 } });
});

t.test('cancel before the first config ever served', async (t) => {
  const { control } = await startControl(t);
  await control.createEndpoint({ name: 'e', config: config('9') }, MIA);
  t.match((await control.cancelUpdate('e', MIA)).value, {
    state: { ready: 'NOT_READY', config_update: 'UPDATE_CANCELED' },
    pending_config: { config_version: 1 },
  });
});

t.test('history: bounded, gone with the endpoint, kept by a refused delete', async (t) => {
  const dir = tempDir(t);
  const first = await startReady(t, { dir });
  const { control, dataPlane, store } = first;
  for (let round = 0; round < CONFIGS_KEPT + 1; round += 1) {
    await control.updateConfig('e', split(round % 101), MIA);
  }
  const versions = control.endpointHistory('e').map(({ config_version: version }) => version);
  t.equal(versions.length, CONFIGS_KEPT);
  t.equal(versions[0], CONFIGS_KEPT + 2);
  dataPlane.failPublish = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not now');
  await t.rejects(control.deleteEndpoint('e', MIA));
  await t.rejects(control.updateConfig('e', split(1), MIA));
  dataPlane.failPublish = null;
  t.strictSame(
    control.endpointHistory('e').map(({ config_version: version }) => version),
    versions,
    'what was taken back is not shown',
  );
  await first.stop();

  const second = await startControl(t, { dir });
  t.equal(second.control.endpointHistory('e').length, CONFIGS_KEPT);
  const id = second.control.getEndpoint('e').value['id'] as string;
  await second.control.deleteEndpoint('e', MIA);
  t.throws(() => second.control.endpointHistory('e'), { code: 'RESOURCE_DOES_NOT_EXIST' });
  t.same(second.store.configs(id), []);
  await second.control.createEndpoint({ name: 'e', config: config('9') }, MIA);
  t.match(second.control.endpointHistory('e'), [{ config_version: 1 }]);
  t.notOk(store === second.store);
});
