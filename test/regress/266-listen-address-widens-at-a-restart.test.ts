/**
 * After a supervisor's death a start that listened on all addresses instead of one, or on one instead of all, was
 * refused: the port counted as another process's, but it was that of the workers left behind.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

t.test('the listen address changes between one and all on the same port', async (t) => {
  const flags = { 'data-plane-workers': '2' };
  let daemon = await startDaemon(t, { flags });
  await configure(t, daemon, { a: 100 });
  const { dataPort, stateDir } = daemon;
  for (const host of ['0.0.0.0', '127.0.0.1']) {
    await daemon.stop('SIGKILL');
    const listen = `${host}:${String(dataPort)}`;
    daemon = await startDaemon(t, { stateDir, flags: { ...flags, 'data-plane-listen': listen } });
    t.equal(daemon.dataPort, dataPort);
    const answer = await daemon.invoke(PATH, { inputs: [1] });
    t.equal(answer.status, 200);
  }
  t.equal(await daemon.stop(), 0);
});
