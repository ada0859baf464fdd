/**
 * A change that was refused with 503, and that a full disk kept from being taken back, stayed in the store until the next
 * change, however long the disk had been free again: a start after a crash served it.
 */
import t from 'tap';
import { PointsmanError } from '../../src/core/errors.js';
import { expectRefusal, MIA, split, startReady, until } from '../unit/control/harness.js';

t.test('what a full disk keeps from being put back is put back when it can be', async (t) => {
  const { control, dataPlane, store } = await startReady(t);
  const records = (): string => JSON.stringify(store.records('endpoint'));
  const before = records();
  dataPlane.failPublish = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'not prepared in time');
  const commit = store.commit.bind(store);
  let commits = 0;
  store.commit = (...change) => {
    commits += 1;
    if (commits === 2 || commits === 3) throw new Error('the disk is full');
    return commit(...change);
  };
  const code = 'TEMPORARILY_UNAVAILABLE';
  await expectRefusal(t, control.updateConfig('e', split(1), MIA), 503, code, /prepared/);
  t.not(records(), before);
  await until(() => records() === before, 'without another change');
  t.equal(commits, 4);
});
