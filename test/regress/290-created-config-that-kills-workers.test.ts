/**
 * A new endpoint whose config killed the workers stayed pending: it was activated anew each second until the update's
 * deadline, and killed every worker twice each time.
 */
import t from 'tap';
import { allServe, FaultyDaemon, markedConfig, servedNow } from '../daemon/faulty-daemon.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, until, workersOf } from '../daemon/live.js';

const PATH = '/api/2.0/serving-endpoints';

t.test('a new config that kills the workers is given up', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const daemon = await startDaemon(t, faulty.options);
  await configure(t, daemon, { a: 100, b: 0 });
  faulty.inject('abort');
  const created = await daemon.admin('POST', PATH, { name: 'deadly', config: markedConfig() });
  t.equal(created.status, 200, created.text);
  const stateOf = async (): Promise<string> => {
    const { body } = await daemon.admin('GET', `${PATH}/deadly`);
    return (body as { state: { config_update: string } }).state.config_update;
  };
  await until(async () => (await stateOf()) === 'UPDATE_FAILED');
  await allServe(daemon);
  t.equal(await servedNow(daemon), '200 a');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const restarts = (await workersOf(daemon)).map((worker) => worker.restarts);
  t.same(restarts, [2, 2], 'two deaths a slot, and no more');
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
  const { endpoints } = body as { endpoints: { name: string; message: string }[] };
  t.match(endpoints.find(({ name }) => name === 'deadly')?.message, /two processes died of it/);
});
