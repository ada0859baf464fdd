/**
 * A revision that killed every worker that was to prepare it counted as prepared by all that were left: it became
 * active, and whoever was born afterwards died of it too.
 */
import t from 'tap';
import {
  allServe,
  CONFIG,
  errorOf,
  FaultyDaemon,
  markedConfig,
  servedNow,
} from '../daemon/faulty-daemon.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, workersOf } from '../daemon/live.js';
import { FAULT_MARK } from '../daemon/prepare-fault.js';

t.test('a revision that kills the workers is refused', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const daemon = await startDaemon(t, faulty.options);
  await configure(t, daemon, { a: 100, b: 0 });
  faulty.inject('abort');
  const refused = await daemon.admin('PUT', CONFIG, markedConfig());
  t.equal(refused.status, 500, refused.text);
  t.match(errorOf(refused).message, /^Revision \d+ was not prepared by worker \d: two processes/);
  await allServe(daemon);
  t.equal(await servedNow(daemon), '200 a');
  const restarts = (await workersOf(daemon)).map((worker) => worker.restarts);
  t.same(restarts, [2, 2], 'two deaths a slot, and then it serves what was active');
  faulty.mend();
  t.equal((await daemon.admin('PUT', CONFIG, markedConfig())).status, 200);
  t.equal(await servedNow(daemon), `200 ${FAULT_MARK}`);
  t.same(
    (await workersOf(daemon)).map((worker) => worker.restarts),
    restarts,
  );
});
