/** Revisions that workers cannot build although the trial build could: refused, and nothing else happens. */
import t from 'tap';
import {
  allServe,
  CONFIG,
  errorOf,
  FaultyDaemon,
  markedConfig,
  revisionOf,
  servedNow,
  versionOf,
} from './faulty-daemon.js';
import { configOf, startDaemon } from './harness.js';
import { configure, ENDPOINT, Load, workersOf } from './live.js';
import { FAULT_MARK } from './prepare-fault.js';

for (const kind of ['refuse', 'cripple'] as const) {
  t.test(`native prepare fails in every worker: ${kind}`, { timeout: 60_000 }, async (t) => {
    const faulty = new FaultyDaemon(t);
    const daemon = await startDaemon(t, faulty.options);
    await configure(t, daemon, { a: 100, b: 0 });
    const workers = await workersOf(daemon);
    const version = await versionOf(daemon);
    const load = new Load(t, daemon, 4);
    await load.more(200);
    faulty.inject(kind);
    const refused = await daemon.admin('PUT', CONFIG, markedConfig());
    t.equal(refused.status, 500, refused.text);
    t.equal(errorOf(refused).error_code, 'INTERNAL_ERROR');
    t.match(errorOf(refused).message, /^Revision \d+ was not prepared by worker \d: /);
    await load.more(200);
    t.equal(await versionOf(daemon), version, 'the config of before is the active one');
    t.equal(
      (await daemon.admin('PUT', CONFIG, configOf({ a: 0, b: 100 }))).status,
      200,
      'what the workers can build goes through with the fault still there',
    );
    t.equal(await servedNow(daemon), '200 b');
    faulty.mend();
    t.equal((await daemon.admin('PUT', CONFIG, markedConfig())).status, 200);
    t.equal(await servedNow(daemon), `200 ${FAULT_MARK}`);
    await load.more(200);
    await load.stop();
    t.same(load.failures, [], 'no request failed');
    const after = await workersOf(daemon);
    t.same(
      after.map(({ pid, restarts }) => [pid, restarts]),
      workers.map(({ pid, restarts }) => [pid, restarts]),
      'no worker died',
    );
    t.equal(await daemon.stop(), 0);
    const second = await startDaemon(t, faulty.options);
    t.equal(await servedNow(second), `200 ${FAULT_MARK}`, 'a restart serves too');
  });
}

for (const kind of ['refuse', 'cripple', 'abort'] as const) {
  t.test(`a stored revision that fresh workers cannot build: ${kind}`, async (t) => {
    const faulty = new FaultyDaemon(t);
    const first = await startDaemon(t, faulty.options);
    await configure(t, first, { a: 100, b: 0 });
    t.equal((await first.admin('PUT', CONFIG, markedConfig())).status, 200);
    const before = await revisionOf(first);
    const pids = (await workersOf(first)).map(({ pid }) => pid);
    await first.stop('SIGKILL');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    faulty.inject(kind);
    const second = await startDaemon(t, faulty.options);
    t.equal(await servedNow(second), '200 a', 'the content of before is served');
    t.ok((await revisionOf(second)) > before, 'as a revision of its own');
    await allServe(second);
    const restarts = (await workersOf(second)).map((worker) => worker.restarts);
    t.ok(
      restarts.every((count) => count <= 2),
      `no crash loop: ${restarts.join(' ')}`,
    );
    const { body } = await second.admin('GET', `/api/2.0/serving-endpoints/${ENDPOINT}`);
    const { state } = body as { state: { config_update: string } };
    t.equal(state.config_update, 'UPDATE_FAILED', 'whoever sent it sees what became of it');
    // What was put back is stored: it is what a third daemon finds, without having to try.
    t.equal(await second.stop(), 0);
    const third = await startDaemon(t, faulty.options);
    t.equal(await servedNow(third), '200 a');
    t.same(
      (await workersOf(third)).map((worker) => worker.restarts),
      [0, 0],
    );
    faulty.mend();
    t.equal((await third.admin('PUT', CONFIG, markedConfig())).status, 200);
    t.equal(await servedNow(third), `200 ${FAULT_MARK}`);
  });
}
