/**
 * Attaching, changes of configuration and the end of workers, all with requests under way, several times over: nothing fails,
 * nothing hangs, and the processes end by themselves. Under tools/asan.mjs each of them is looked through for leaks then.
 */
import t, { type Test } from 'tap';
import { Caller } from './crowd.js';
import { deploymentsOf, endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { changeSplit, ENDPOINT, Load, until, workersOf } from './live.js';
import { startReplicaProcess } from './replica-process.js';

/** So long that requests outlive several changes. */
const REQUEST_MS = 40;
const CONNECTIONS = 16;
const SWAPS = Number(process.env['POINTSMAN_TEST_TRIALS'] ?? 100);
const LIVES = 2;

/** What decides how a worker attaches itself to uWebSockets.js, and who relays. */
const MODES = {
  native: {},
  guarded: { 'data-plane-fast-path': 'false' },
  js: { 'data-plane-guard': 'off' },
};

async function swapWhileBusy(t: Test, daemon: TestDaemon): Promise<void> {
  const load = new Load(t, daemon, CONNECTIONS);
  await load.more(CONNECTIONS);
  for (let swap = 0; swap < SWAPS; swap += 1) {
    const share = swap % 101;
    const status = await changeSplit(daemon, { a: share, b: 100 - share });
    if (status !== 200) t.fail(`change ${String(swap)}: ${String(status)}`);
  }
  await load.stop();
  t.same(load.failures.slice(0, 3), [], `${String(load.answers)} answers`);
  await until(async () => (await workersOf(daemon)).every((worker) => worker.revisions_held === 0));
}

for (const [mode, flags] of Object.entries(MODES)) {
  t.test(`changes and ends in mid-request, ${mode}`, async (t) => {
    const urls: Record<string, string> = {};
    for (const name of ['a', 'b']) {
      urls[name] = (await startReplicaProcess(t, name, { delayMs: REQUEST_MS })).url;
    }
    let stateDir: string | undefined;
    for (let life = 0; life < LIVES; life += 1) {
      const daemon = await startDaemon(t, {
        flags: { 'data-plane-workers': '2', ...flags },
        ...(stateDir === undefined ? {} : { stateDir }),
      });
      ({ stateDir } = daemon);
      if (life === 0) {
        const answer = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
          deployments: deploymentsOf(urls),
          endpoints: [endpointOf(ENDPOINT, { a: 50, b: 50 })],
        });
        t.equal(answer.status, 200);
        await daemon.settled(ENDPOINT);
      }
      await swapWhileBusy(t, daemon);
      const path = `/serving-endpoints/${ENDPOINT}/invocations`;
      const last = Array.from({ length: CONNECTIONS }, (_, number) =>
        new Caller(t, daemon, path).call(String(number)),
      );
      await until(async () => {
        const workers = await workersOf(daemon);
        return workers.reduce((sum, worker) => sum + worker.in_flight, 0) > 0;
      });
      t.equal(await daemon.stop(), 0, 'the daemon ends in order');
      const statuses = new Set((await Promise.all(last)).map(({ status }) => status));
      // Those that it had not accepted yet.
      statuses.delete(0);
      t.same([...statuses], [200], 'what was under way is answered');
    }
  });
}
