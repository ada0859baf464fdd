/**
 * What happens to a deployment or an endpoint while a revision is being published: a list of addresses from before went out behind
 * the revision that replaced it, and records that a failed revert still owed made every later change of the same endpoint fail.
 */
import t from 'tap';
import { Store } from '../../src/store/store.js';
import {
  deployment,
  MIA,
  split,
  startReady,
  startReplica,
  tempDir,
  TWO_VERSIONS,
  until,
} from '../unit/control/harness.js';

t.test('no list of addresses of before behind a revision', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const other = await startReplica(t);
  dataPlane.updates.length = 0;
  const probed = replica.paths.length;
  dataPlane.duringPublish = async () => {
    replica.status = 500;
    // The one that says so, and one behind it, so that the change has been told.
    await until(() => replica.paths.length > probed + 2, 'probed');
  };
  await control.putDeployment('m', deployment('m', TWO_VERSIONS, [replica.url, other.url]), MIA);
  t.not(dataPlane.updates.length, 0, 'the change is told');
  for (const { addresses } of dataPlane.updates)
    t.equal(addresses.length, 2, 'of the new replicas');
});

t.test('an endpoint whose revert the store refused can be changed', async (t) => {
  const store = Store.open(tempDir(t));
  const { control, dataPlane } = await startReady(t, { store });
  const commit = store.commit.bind(store);
  dataPlane.failPublish = new Error('late');
  dataPlane.duringPublish = () => {
    store.commit = () => {
      throw new Error('disk full');
    };
    return Promise.resolve();
  };
  await t.rejects(control.updateConfig('e', split(50), MIA));
  store.commit = commit;
  dataPlane.failPublish = null;
  dataPlane.duringPublish = () => Promise.resolve();
  const { value } = await control.updateConfig('e', split(20), MIA);
  t.match(value, {
    state: { config_update: 'NOT_UPDATING' },
    config: { traffic_config: { routes: [{ traffic_percentage: 20 }, {}] } },
  });
});
