/**
 * The listening socket of a slot whose worker had died kept its share of new connections: while the slot waited to be
 * started again, up to 30 seconds, so did they.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, FOUR_WORKERS, PATH, until, workersOf } from '../daemon/live.js';
import { SLOWNESS } from '../daemon/slowness.js';
import { post, WireClient } from '../daemon/wire.js';

const DEATHS = 5;
const CLIENTS = 40;
/** The fifth death in a row is followed by four seconds without a worker. */
const ANSWERED_MS = 1_500 * SLOWNESS;

t.test('clients do not wait for a slot in back-off', { timeout: 60_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, daemon, { a: 100 });
  for (let death = 0; death < DEATHS; death += 1) {
    await until(async () => (await workersOf(daemon))[1]?.state === 'SERVING');
    process.kill((await workersOf(daemon))[1]?.pid ?? 0, 'SIGKILL');
    await until(async () => (await workersOf(daemon))[1]?.state !== 'SERVING');
  }
  const startedAt = performance.now();
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const clients = Array.from({ length: CLIENTS }, () => new WireClient(t, daemon.dataPort));
  const answers = clients.map((client) => client.send(bytes).answer());
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  const tookMs = performance.now() - startedAt;
  t.same(new Set(statuses), new Set([200]));
  t.ok(tookMs < ANSWERED_MS, `all answered after ${tookMs.toFixed(0)} ms`);
  t.not((await workersOf(daemon))[1]?.state, 'SERVING', 'the slot is still waited for');
  await until(async () => (await workersOf(daemon))[1]?.state === 'SERVING');
  await until(async () => {
    const client = new WireClient(t, daemon.dataPort).send(bytes);
    await client.answer();
    return ((await workersOf(daemon))[1]?.connections ?? 0) > 0;
  });
  t.pass('and gets its share again');
});
