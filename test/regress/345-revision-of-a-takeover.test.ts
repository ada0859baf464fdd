/**
 * Behind a publish that failed the store is ahead of the workers. After a supervisor that died then, its workers answered
 * under the older revision when clients had seen the newer one from those of the next.
 */
import t from 'tap';
import { CONFIG, FaultyDaemon, markedConfig, revisionOf } from '../daemon/faulty-daemon.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, Load, PATH, until } from '../daemon/live.js';
import { post, valuesOf, WireClient } from '../daemon/wire.js';

const IDLE = 16;

t.test('the revision does not go backward', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const first = await startDaemon(t, faulty.options);
  await configure(t, first, { a: 100 });
  faulty.inject('refuse');
  t.equal((await first.admin('PUT', CONFIG, markedConfig())).status, 500);
  faulty.mend();
  const before = await revisionOf(first);
  const bytes = post(first, PATH, '{"inputs":[1]}');
  const idle = Array.from({ length: IDLE }, () => new WireClient(t, first.dataPort));
  for (const client of idle) t.equal((await client.send(bytes).answer()).status, 200);
  let newest = before;
  const load = new Load(t, first, 4, ({ revision }) => (newest = Math.max(newest, revision)));
  await load.more(200);
  await first.stop('SIGKILL');
  const listen = `127.0.0.1:${String(first.dataPort)}`;
  const flags = { ...faulty.options.flags, 'data-plane-listen': listen };
  const second = startDaemon(t, { ...faulty.options, flags });
  await until(() => newest > before);
  const late = await Promise.all(
    idle.map((client) =>
      client
        .send(bytes)
        .answer()
        .then(
          (answer) => valuesOf(answer, 'x-pointsman-revision')[0] ?? String(answer.status),
          () => 'closed',
        ),
    ),
  );
  t.notOk(late.includes(String(before)), `after ${String(newest)}: ${late.join(' ')}`);
  await load.more(500);
  await load.stop();
  t.same(load.failures, [], 'and nothing was lost');
  t.equal(await (await second).stop(), 0);
});
