/** `npm start`: installs, builds and runs the daemon with the demo. Arguments go to `pointsman serve`. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { build, checkPlatform, install, ROOT, runMain } from './setup.mjs';

await runMain(async () => {
  checkPlatform();
  await install();
  await build();
  const args = [path.join(ROOT, 'dist', 'main.js'), 'serve', '--demo', ...process.argv.slice(2)];
  const daemon = spawn(process.execPath, args, { stdio: 'inherit' });
  // On a terminal Ctrl-C reaches the daemon by itself; this process only waits for its end.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => daemon.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve) => {
    daemon.once('exit', (code) => resolve(code ?? 1));
  });
});
