/**
 * A worker that died behind SIGTERM was neither started again nor steered past: until the drain delay was over, its socket
 * kept its share of new connections, which nobody answered.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, FOUR_WORKERS, isAlive, PATH, until, workersOf } from '../daemon/live.js';
import { post, WireClient } from '../daemon/wire.js';

const CLIENTS = 40;

t.test('clients meet the workers that are left', { timeout: 30_000 }, async (t) => {
  const flags = { ...FOUR_WORKERS, 'data-plane-drain-delay-ms': '4000' };
  const daemon = await startDaemon(t, { flags });
  await configure(t, daemon, { a: 100 });
  const ended = daemon.stop();
  await until(() => daemon.output.some((line) => line.includes('draining')));
  const [, { pid } = { pid: 0 }] = await workersOf(daemon);
  process.kill(pid, 'SIGKILL');
  await until(async () => (await workersOf(daemon))[1]?.state === 'DEAD');
  t.notOk(isAlive(pid));
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const clients = Array.from({ length: CLIENTS }, () => new WireClient(t, daemon.dataPort));
  const statuses = await Promise.all(
    clients.map((client) =>
      client
        .send(bytes)
        .answer()
        .then(
          ({ status }) => status,
          (error: unknown) => String(error),
        ),
    ),
  );
  t.same([...new Set(statuses)], [200]);
  t.equal(await ended, 0);
});
