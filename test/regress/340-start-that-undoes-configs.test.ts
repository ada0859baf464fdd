/**
 * A start whose workers died of something else than the stored revision, a binary that could not be loaded or want of
 * memory, took one acknowledged config after the other back and stored the result.
 */
import t, { type Test } from 'tap';
import {
  CONFIG,
  FaultyDaemon,
  markedConfig,
  revisionOf,
  servedNow,
} from '../daemon/faulty-daemon.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, ENDPOINT } from '../daemon/live.js';
import { FAULT_MARK, type FaultKind } from '../daemon/prepare-fault.js';

async function startsAgain(t: Test, kind: FaultKind, message: RegExp): Promise<void> {
  const faulty = new FaultyDaemon(t);
  const first = await startDaemon(t, faulty.options);
  await configure(t, first, { a: 100, b: 0 });
  t.equal((await first.admin('PUT', CONFIG, markedConfig())).status, 200);
  const revision = await revisionOf(first);
  t.equal(await first.stop(), 0);
  faulty.inject(kind);
  await t.rejects(startDaemon(t, faulty.options), message, 'the start fails and says why');
  faulty.mend();
  const second = await startDaemon(t, faulty.options);
  t.equal(await servedNow(second), `200 ${FAULT_MARK}`, 'what was acknowledged is served');
  t.equal(await revisionOf(second), revision, 'and nothing was stored meanwhile');
  const { body } = await second.admin('GET', `/api/2.0/serving-endpoints/${ENDPOINT}`);
  t.match(body, { state: { config_update: 'NOT_UPDATING' } });
}

t.test('uWebSockets.js cannot be loaded', { timeout: 60_000 }, (t) =>
  startsAgain(t, 'unloadable', /injected: no such binary[^]*No worker is there to prepare/),
);

t.test('workers are killed while they prepare', { timeout: 60_000 }, (t) =>
  startsAgain(t, 'kill', /two processes were killed/),
);
