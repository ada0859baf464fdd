/** With one worker, a change right after its death was refused: nobody was there to prepare it for half a second. */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { changeSplit, configure, PATH, until, workersOf } from '../daemon/live.js';

t.test('a change waits for the only worker to come back', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100, b: 0 });
  process.kill(await daemon.workerPid(), 'SIGKILL');
  // The supervisor knows of the death, the next process has not come yet.
  await until(async () => (await workersOf(daemon))[0]?.state !== 'SERVING');
  t.equal(await changeSplit(daemon, { a: 0, b: 100 }), 200);
  const answer = await daemon.invoke(PATH, { inputs: [1] });
  t.equal(answer.headers.get('served-model-name'), 'b');
});
