/**
 * A test of the suite that counts trials, with more of them than the suite has time for.
 *
 *   node bench/trials.mjs idle-close [trials]
 *
 * Builds, compiles the tests and runs test/daemon/NAME.test.ts by itself; the number of trials (default 2,000) goes to
 * the test as POINTSMAN_TEST_TRIALS. Exit code 0 when the test passes.
 */
import './quiet.mjs';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { build, checkPlatform, install, ROOT, run, runMain, SetupError } from '../tools/setup.mjs';

await runMain(async () => {
  const [name = '', trials = '2000'] = process.argv.slice(2);
  const source = path.join(ROOT, 'test', 'daemon', `${name}.test.ts`);
  if (!/^[a-z-]+$/.test(name) || !existsSync(source)) {
    throw new SetupError('say which test: node bench/trials.mjs idle-close [trials]');
  }
  if (!/^[1-9][0-9]*$/.test(trials)) throw new SetupError(`not a number of trials: ${trials}`);
  checkPlatform();
  await install();
  await build();
  await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
  await run(process.execPath, [path.join('build', 'test', 'test', 'daemon', `${name}.test.js`)], {
    env: { ...process.env, POINTSMAN_TEST_TRIALS: trials },
  });
});
