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
  // What times in milliseconds has the machine to itself.
  const timed = files.filter((file) => file.endsWith('.timed.test.js'));
  const others = files.filter((file) => !timed.includes(file));
  const failures = [];
  await runFiles(others, 2).catch((error) => failures.push(error));
  await runFiles(timed, 1).catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
  process.stdout.write(`${String(files.length)} passed, 0 failed\n`);
});

/** `jobs`: how many of them run at a time. */
async function runFiles(files, jobs) {
  if (files.length === 0) return;
  say(`running ${String(files.length)} test files, ${String(jobs)} at a time`);
  await run(process.execPath, [
    'node_modules/.bin/tap',
    'run',
    '--disable-coverage',
    '--allow-empty-coverage',
    `--jobs=${String(jobs)}`,
    '--timeout=120',
    '--reporter=base',
    ...files,
  ]);
}
