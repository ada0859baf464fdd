/** A 503 of the control plane (a push that was not prepared in time, a stop) came without the Retry-After that docs/errors.md promises. */
import t from 'tap';
import { PointsmanError } from '../../src/core/errors.js';
import { call, startAdmin } from '../unit/admin/harness.js';

t.test('every 503 of the admin port says when to come again', async (t) => {
  const admin = await startAdmin(t);
  let error = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'The daemon is stopping.');
  admin.control.listEndpoints = () => {
    throw error;
  };
  const list = () => call(admin, 'GET', '/api/2.0/serving-endpoints');
  const unsaid = await list();
  t.equal(unsaid.status, 503);
  t.equal(unsaid.headers.get('retry-after'), '1');
  error = new PointsmanError('TEMPORARILY_UNAVAILABLE', 'Busy.', { retryAfterS: 7 });
  t.equal((await list()).headers.get('retry-after'), '7');
  error = new PointsmanError('RESOURCE_CONFLICT', 'Busy.');
  t.equal((await list()).headers.get('retry-after'), null);
});
