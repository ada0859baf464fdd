/** A connection to control.sock that was no worker's kept the daemon from ending. */
import { connect } from 'node:net';
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';

t.test('SIGTERM while a stranger is connected to control.sock', { timeout: 20_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-drain-timeout-ms': '1000' } });
  const stranger = connect(`${daemon.stateDir}/control.sock`);
  t.teardown(() => {
    stranger.destroy();
  });
  await new Promise((resolve) => stranger.once('connect', resolve));
  const closed = new Promise((resolve) => stranger.once('close', resolve));
  stranger.resume();
  const toldAt = performance.now();
  t.equal(await daemon.stop(), 0);
  const tookMs = performance.now() - toldAt;
  t.ok(tookMs < 3_500, `ended ${tookMs.toFixed(0)} ms after the signal`);
  await closed;
});
