/**
 * The history of configs was bounded by version alone: after a hundred updates that failed or were
 * canceled it held none that had served, and a rollback to the serving one was a 404.
 */
import t from 'tap';
import { CONFIGS_KEPT } from '../../src/store/store.js';
import { MIA, split, startReady } from '../unit/control/harness.js';

const NEVER_READY = {
  served_entities: [{ name: 'next', entity_name: 'c.s.m', entity_version: '9' }],
};

t.test('what serves, and what served before, stays', async (t) => {
  const { control } = await startReady(t);
  const cancelMany = async (): Promise<void> => {
    for (let round = 0; round < CONFIGS_KEPT + 5; round += 1) {
      await control.updateConfig('e', NEVER_READY, MIA);
      await control.cancelUpdate('e', MIA);
    }
  };
  await cancelMany();
  const history = control.endpointHistory('e');
  t.equal(history.length, CONFIGS_KEPT + 1);
  t.match(history.at(-1), { config_version: 1, active: true });

  await control.updateConfig('e', split(50), MIA);
  await cancelMany();
  const served = control.endpointHistory('e').filter(({ activated_at: at }) => at !== null);
  t.match(served, [{ active: true }, { config_version: 1, active: false }]);
  await control.rollbackEndpoint('e', { config_version: 1 }, MIA);
  t.match(control.endpointHistory('e')[0], { active: true, split: [{ traffic_percentage: 90 }] });
});
