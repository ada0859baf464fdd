/**
 * Whoever takes traffic away from a model that is down must not wait for that model: such a change waited, until its
 * deadline, for the very replica that it was to get away from.
 */
import t from 'tap';
import type { JsonObject } from '../../src/control/control-plane.js';
import {
  deployment,
  MIA,
  startControl,
  startReplica,
  until,
  type Harness,
} from '../unit/control/harness.js';

function config(current: number, challenger: number, version = '1'): JsonObject {
  return {
    served_entities: [
      { name: 'current', entity_name: 'lab.m', entity_version: '1' },
      { name: 'challenger', entity_name: 'lab.n', entity_version: version },
    ],
    traffic_config: {
      routes: [
        { served_model_name: 'current', traffic_percentage: current },
        { served_model_name: 'challenger', traffic_percentage: challenger },
      ],
    },
  };
}

function updateOf({ control }: Harness): unknown {
  return (control.getEndpoint('e').value['state'] as JsonObject)['config_update'];
}

await t.test('a model is down', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  const good = await startReplica(t);
  const bad = await startReplica(t);
  await control.putDeployment('m', deployment('m', [['lab.m', '1']], [good.url]), MIA);
  const versions = [
    ['lab.n', '1'],
    ['lab.n', '2'],
  ] as const;
  await control.putDeployment('n', deployment('n', versions, [bad.url]), MIA);
  await control.createEndpoint({ name: 'e', config: config(90, 10) }, MIA);
  t.equal(await control.waitSettled(5_000), true);
  await control.updateConfig('e', config(50, 50), MIA);
  t.equal(updateOf(harness), 'NOT_UPDATING');

  await bad.close();
  await until(() => control.getDeployment('n').value.state !== 'READY', 'it is down');

  await control.updateConfig('e', config(80, 20), MIA);
  t.equal(updateOf(harness), 'NOT_UPDATING', 'less is in force at once');
  await control.updateConfig('e', config(100, 0), MIA);
  t.equal(updateOf(harness), 'NOT_UPDATING', 'so is none');
  await control.updateConfig('e', config(100, 0), MIA);
  t.equal(updateOf(harness), 'NOT_UPDATING', 'and the same again');

  const preempt = { ...MIA, preempt: true };
  await control.updateConfig('e', config(99, 1), MIA);
  t.equal(updateOf(harness), 'IN_PROGRESS', 'more waits');
  await control.updateConfig('e', config(100, 0, '2'), preempt);
  t.equal(updateOf(harness), 'IN_PROGRESS', 'so does another model under the same name');
  const renamed = config(100, 0);
  const [current] = renamed['served_entities'] as JsonObject[];
  const entities = [current, { name: 'other', entity_name: 'lab.n', entity_version: '1' }];
  const routes = [{ served_model_name: 'current', traffic_percentage: 100 }];
  const added = { served_entities: entities, traffic_config: { routes } };
  await control.updateConfig('e', added, preempt);
  t.equal(updateOf(harness), 'IN_PROGRESS', 'and one that is new');
});
