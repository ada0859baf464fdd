/**
 * `npm test` and `npm run test:vectors`: installs, builds, and runs the suite.
 *
 *   node tools/test.mjs                 all tests but the vectors
 *   node tools/test.mjs --vectors       the cases of ../shared/vectors; fails when they are not there
 *   node tools/test.mjs FILTER...       only test files whose path contains one of the words
 */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  build,
  checkPlatform,
  filesIn,
  install,
  ROOT,
  run,
  runMain,
  say,
  SetupError,
} from './setup.mjs';

const VECTORS = path.join(ROOT, '..', 'shared', 'vectors');

await runMain(async () => {
  const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
  const vectors = process.argv.includes('--vectors');
  checkPlatform();
  await install();
  await build();
  if (vectors && !existsSync(VECTORS)) {
    throw new SetupError(`the test vectors are not there: ${VECTORS}`);
  }
  if (!vectors && words.length === 0) {
    say('testing the native code under sanitizers');
    await run(process.execPath, [path.join(ROOT, 'native', 'test', 'run.mjs')]);
  }
  say('compiling the tests');
  rmSync(path.join(ROOT, 'build', 'test'), { recursive: true, force: true });
  await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
  const folder = path.join(ROOT, 'build', 'test', 'test');
  const files = filesIn('build/test/test')
    .filter((file) => file.endsWith('.test.js'))
    .filter((file) => file.startsWith(path.join(folder, 'vectors')) === vectors)
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
  if (files.length === 0) throw new SetupError('no test file matches');
  say(`running ${String(files.length)} test files`);
  await run(process.execPath, [
    'node_modules/.bin/tap',
    'run',
    '--disable-coverage',
    '--allow-empty-coverage',
    '--jobs=2',
    '--timeout=120',
    '--reporter=base',
    ...files,
  ]);
  process.stdout.write(`${String(files.length)} passed, 0 failed\n`);
});
