/**
 * A signal that came while the daemon's code was loaded was seen when all had started, and the second one left the workers
 * running without a supervisor.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { startDaemon, temporaryDirectory } from '../daemon/harness.js';

/** Sends the signal as soon as somebody listens. */
const PRELOAD = `
  if (process.env.POINTSMAN_WORKER === undefined) {
    process.on('newListener', (name) => {
      if (name === 'SIGTERM') setImmediate(() => process.kill(process.pid, 'SIGTERM'));
    });
  }`;

t.test('a start ends before anything serves', { timeout: 30_000 }, async (t) => {
  const preload = path.join(temporaryDirectory(t), 'signal.mjs');
  writeFileSync(preload, PRELOAD);
  const starting = startDaemon(t, {
    nodeOptions: `--import=${pathToFileURL(preload).href}`,
    flags: { 'data-plane-drain-delay-ms': '60000' },
  });
  const ended = await starting.then(
    () => 'it started',
    (error: unknown) => String(error),
  );
  t.match(ended, /the daemon ended with code 0:\n$/, 'in order, and without a word');
});
