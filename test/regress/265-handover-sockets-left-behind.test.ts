/** A supervisor that was killed while it took sockets over left handover-PID.sock in the state directory for ever. */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { startDaemon, temporaryDirectory } from '../daemon/harness.js';

t.test('what an interrupted takeover left behind is removed at the start', async (t) => {
  const stateDir = temporaryDirectory(t);
  const left = path.join(stateDir, 'handover-4711.sock');
  writeFileSync(left, '');
  await startDaemon(t, { stateDir });
  t.notOk(existsSync(left));
});
