/**
 * What a failed publish could not put back was owed to the next change. A daemon that was stopped before one came served
 * the refused change when it was started again.
 */
import t from 'tap';
import { Store } from '../../src/store/store.js';
import { MIA, split, startControl, startReady, tempDir } from '../unit/control/harness.js';

t.test('what a revert owes is stored at the end', async (t) => {
  const dir = tempDir(t);
  const store = Store.open(dir);
  const first = await startReady(t, { store });
  const { control, dataPlane } = first;
  const { value, etag } = control.getEndpoint('e');
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
  await first.stop();
  const second = await startControl(t, { dir });
  t.strictSame(second.control.getEndpoint('e').value, value);
  t.equal(second.control.getEndpoint('e').etag, etag);
});
