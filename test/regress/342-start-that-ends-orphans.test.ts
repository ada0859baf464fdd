/**
 * A start that failed had told the workers of a dead supervisor to end before: nobody served any more. And one slot that
 * kept dying, which a running daemon lives with, made a start fail.
 */
import { lookup } from 'node:dns/promises';
import { symlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { FaultyDaemon, servedNow } from '../daemon/faulty-daemon.js';
import { startDaemon, type DaemonOptions, type TestDaemon } from '../daemon/harness.js';
import { configure, isAlive, Load, PATH, until, workersOf } from '../daemon/live.js';
import { post, WireClient } from '../daemon/wire.js';

const CLIENTS = 20;

/** The workers of the first daemon serve on, whatever becomes of the next, and the one after it takes over. */
async function failsBesideOrphans(
  t: Test,
  faulty: FaultyDaemon,
  first: TestDaemon,
  failing: DaemonOptions,
  message: RegExp,
): Promise<void> {
  const pids = (await workersOf(first)).map(({ pid }) => pid);
  const load = new Load(t, first, 4);
  await load.more(100);
  await first.stop('SIGKILL');
  await t.rejects(startDaemon(t, failing), message, 'the start fails and says why');
  await load.more(200);
  t.ok(pids.every(isAlive), 'nobody has told the workers of before to end');
  faulty.mend();
  const third = await startDaemon(t, { ...faulty.options, flags: sameFlags(faulty, first) });
  await load.more(200);
  await load.stop();
  t.same(load.failures, [], 'and nothing was lost');
  t.equal(await third.stop(), 0);
}

function sameFlags(faulty: FaultyDaemon, { dataPort }: TestDaemon): Record<string, string> {
  return { ...faulty.options.flags, 'data-plane-listen': `127.0.0.1:${String(dataPort)}` };
}

t.test('no new worker can accept', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const first = await startDaemon(t, faulty.options);
  await configure(t, first, { a: 100 });
  faulty.inject('deaf');
  const failing = { ...faulty.options, flags: sameFlags(faulty, first) };
  await failsBesideOrphans(t, faulty, first, failing, /no worker serves/);
});

t.test('the admin port, given by a name, is taken', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  const first = await startDaemon(t, faulty.options);
  await configure(t, first, { a: 100 });
  const { address } = await lookup('localhost');
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, address, resolve));
  t.teardown(() => taken.close());
  faulty.inject('refuse');
  const admin = `localhost:${String((taken.address() as AddressInfo).port)}`;
  const flags = { ...sameFlags(faulty, first), 'admin-listen': admin };
  await failsBesideOrphans(t, faulty, first, { ...faulty.options, flags }, /admin\.listen: /);
});

t.test('a slot whose workers die is no reason not to start', { timeout: 60_000 }, async (t) => {
  const faulty = new FaultyDaemon(t);
  faulty.inject('deaf-but-one');
  const daemon = await startDaemon(t, faulty.options);
  await configure(t, daemon, { a: 100 });
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const clients = Array.from({ length: CLIENTS }, () => new WireClient(t, daemon.dataPort));
  const answers = await Promise.all(clients.map((client) => client.send(bytes).answer()));
  t.same(new Set(answers.map(({ status }) => status)), new Set([200]), 'no client waits for it');
  const [one, other] = await workersOf(daemon);
  t.equal(one?.state, 'SERVING');
  t.not(other?.state, 'SERVING');
  t.ok(Number(other?.restarts) > 1);
  faulty.mend();
  await until(async () => (await workersOf(daemon))[1]?.state === 'SERVING');
  t.pass('it comes back when it can');
});

t.test('a file that cannot be written when all is served', async (t) => {
  const faulty = new FaultyDaemon(t);
  const { stateDir = '' } = faulty.options;
  symlinkSync('/nowhere/admin-url', path.join(stateDir, 'admin-url'));
  const daemon = await startDaemon(t, faulty.options);
  await configure(t, daemon, { a: 100 });
  t.equal(await servedNow(daemon), '200 a');
  t.ok(
    daemon.output.some((line) => line.includes('/nowhere/admin-url') || line.includes('ENOENT')),
  );
  t.equal(await daemon.stop(), 0);
});
