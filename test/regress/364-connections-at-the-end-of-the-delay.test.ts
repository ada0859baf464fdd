/**
 * At the end of `drain_delay_ms` connections that the kernel had accepted, and no worker yet, were reset, with requests in
 * them whose fate nobody could know. Now workers take them, and who comes later is refused.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';
import { BrokenAnswer, post, WireClient } from '../daemon/wire.js';

const CLIENTS = 20;
const DELAY_MS = 1_000;

t.test('the worker is late when the delay ends', async (t) => {
  const daemon = await startDaemon(t, {
    flags: { 'data-plane-workers': '1', 'data-plane-drain-delay-ms': String(DELAY_MS) },
  });
  await configure(t, daemon, { a: 100 });
  const bytes = post(daemon, PATH, '{"inputs":[1]}');
  const send = async (): Promise<string> => {
    const wire = new WireClient(t, daemon.dataPort);
    let end = 'closed';
    wire.socket.once('error', (error: NodeJS.ErrnoException) => {
      end = error.code ?? '';
    });
    try {
      return String((await wire.send(bytes).answer()).status);
    } catch (error) {
      if (!(error instanceof BrokenAnswer)) throw error;
      return end;
    } finally {
      wire.socket.destroy();
    }
  };
  t.equal(await send(), '200');

  const worker = await daemon.workerPid();
  const ended = daemon.stop('SIGTERM');
  await pause(DELAY_MS / 2);
  process.kill(worker, 'SIGSTOP');
  const early = Array.from({ length: CLIENTS }, send);
  await pause(DELAY_MS);
  const late = Array.from({ length: CLIENTS }, send);
  await pause(DELAY_MS / 10);
  process.kill(worker, 'SIGCONT');
  t.same(await Promise.all(early), Array(CLIENTS).fill('200'), 'who came in time');
  t.same(await Promise.all(late), Array(CLIENTS).fill('ECONNREFUSED'), 'who came too late');
  t.equal(await ended, 0);
});
