/**
 * A client that left during a call that the supervisor answers took its worker along, and all that was in flight there: the
 * end of its connection was answered on a response that was no longer valid. Nobody asks who fetches keys or tokens for
 * a credential, so anybody could do it.
 */
import t, { type Test } from 'tap';
import { flagsOf, type DataMode } from '../daemon/data-modes.js';
import { startDaemon, type TestDaemon } from '../daemon/harness.js';
import { until, workersOf } from '../daemon/live.js';
import { WireClient } from '../daemon/wire.js';

const MODES: readonly DataMode[] = ['native', 'guarded', 'js'];
const HALF_A_FORM = 'POST /oidc/v1/token HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc';
const KEYS = 'GET /oidc/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n';
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';
/** Enough for every worker to get some. */
const CLIENTS = 16;

function connectAll(t: Test, daemon: TestDaemon, bytes: string): WireClient[] {
  return Array.from({ length: CLIENTS }, () => new WireClient(t, daemon.dataPort).send(bytes));
}

for (const mode of MODES) {
  t.test(`${mode}: who leaves during a relayed call`, async (t) => {
    const flags = { 'data-plane-workers': '2', ...flagsOf(mode) };
    const daemon = await startDaemon(t, { flags });
    t.teardown(() => daemon.process.kill('SIGCONT'));
    const connections = async (): Promise<number> =>
      (await workersOf(daemon)).reduce((sum, worker) => sum + worker.connections, 0);
    /** The workers have to be those of before, and to serve. */
    const survived = async (leave: () => Promise<void>): Promise<void> => {
      const pids = (await workersOf(daemon)).map(({ pid }) => pid);
      await leave();
      await until(async () => (await connections()) === 0);
      t.same(
        (await workersOf(daemon)).map(({ pid }) => pid),
        pids,
      );
      // The calls of those who left keep their places until the supervisor has answered them.
      await until(async () => {
        const client = new WireClient(t, daemon.dataPort).send(KEYS);
        const { status } = await client.answer('GET');
        client.socket.destroy();
        if (status !== 429) t.equal(status, 200);
        return status === 200;
      });
      await until(async () => (await connections()) === 0);
    };

    await survived(async () => {
      const clients = connectAll(t, daemon, HALF_A_FORM);
      await until(async () => (await connections()) === CLIENTS);
      for (const { socket } of clients) socket.resetAndDestroy();
    });
    await survived(async () => {
      daemon.process.kill('SIGSTOP');
      const clients = connectAll(t, daemon, KEYS);
      // Accepted behind those: when they are answered, those before have been read.
      const others = connectAll(t, daemon, HEALTH);
      for (const client of others) t.equal((await client.answer('GET')).status, 200);
      for (const { socket } of [...clients, ...others]) socket.destroy();
      daemon.process.kill('SIGCONT');
    });
  });
}
