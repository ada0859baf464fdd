/** A worker of a dead supervisor that stood still for 5 s was killed by the next one; 10 s are what a worker has. */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, isAlive, workersOf } from '../daemon/live.js';

const STILL_MS = 7_000;

t.test('who stands still for less than 10 s is not killed', { timeout: 60_000 }, async (t) => {
  const flags = { 'data-plane-workers': '2' };
  const first = await startDaemon(t, { flags });
  await configure(t, first, { a: 100 });
  const pids = (await workersOf(first)).map(({ pid }) => pid);
  await first.stop('SIGKILL');
  const [still = 0] = pids;
  process.kill(still, 'SIGSTOP');
  const listen = `127.0.0.1:${String(first.dataPort)}`;
  const starting = startDaemon(t, {
    stateDir: first.stateDir,
    flags: { ...flags, 'data-plane-listen': listen },
  });
  await new Promise((resolve) => setTimeout(resolve, STILL_MS));
  t.ok(isAlive(still));
  process.kill(still, 'SIGCONT');
  const second = await starting;
  t.notOk(second.output.some((line) => line.includes('killing a worker')));
  t.equal(await second.stop(), 0);
});
