/**
 * The black-box suite on an addon that is built with AddressSanitizer and UBSan. Takes minutes, and is no part of the
 * gate: the C++ tests run under the same sanitizers there. What only shows here is the binding: lifetimes across uWebSockets.js,
 * libuv and JS, attaching, workers that end with requests under way.
 *
 *   node tools/asan.mjs              test/daemon, test/regress and test/vectors
 *   node tools/asan.mjs FILTER...    test files whose path contains one of the words
 *
 * The addon of the checkout is replaced for the time and built again afterwards. Leaks are not looked for: Node never frees
 * what lives as long as the process. Needs g++ with libasan.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

const FLAGS = '-fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer -g -O1';
const STAMP = path.join(ROOT, 'native', 'build', '.stamp');
const TIMEOUT_S = 600;

function libraryOf(name) {
  const compiler = process.env.CXX ?? 'g++';
  return execFileSync(compiler, [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
}

/** Objects know nothing of the flags they were made with: all of them are built again. */
async function buildAddonWith(flags) {
  rmSync(path.join(ROOT, 'native', 'build'), { recursive: true, force: true });
  process.env.CXXFLAGS = flags;
  process.env.LDFLAGS = flags;
  await build();
}

function reportsIn(folder) {
  return readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'));
}

await runMain(async () => {
  const words = process.argv.slice(2);
  checkPlatform();
  await install();
  const reports = mkdtempSync(path.join(tmpdir(), 'pm-asan-'));
  try {
    await buildAddonWith(FLAGS);
    rmSync(path.join(ROOT, 'build', 'test'), { recursive: true, force: true });
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
    const files = filesIn('build/test/test')
      .filter((file) => /\/(?:daemon|regress|vectors)\/[^/]*\.test\.js$/.test(file))
      .filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
    if (files.length === 0) throw new SetupError('no test file matches');
    say(`running ${String(files.length)} test files on a sanitized addon`);
    const preload = ['libasan.so', 'libstdc++.so'].map(libraryOf);
    if (!preload.every(existsSync)) throw new SetupError('libasan is missing; it comes with g++');
    const log = `log_path=${path.join(reports, 'report')}`;
    const env = {
      ...process.env,
      POINTSMAN_TEST_PRELOAD: preload.join(' '),
      ASAN_OPTIONS: `detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0:allow_user_segv_handler=1:${log}`,
      UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:${log}`,
    };
    const tap = ['--disable-coverage', '--allow-empty-coverage', '--jobs=1', '--reporter=base'];
    const args = ['run', ...tap, `--timeout=${String(TIMEOUT_S)}`, ...files];
    const outcome = await run(process.execPath, ['node_modules/.bin/tap', ...args], { env }).catch(
      (error) => error,
    );
    const found = reportsIn(reports);
    for (const text of found) process.stderr.write(`${text}\n`);
    if (found.length > 0) throw new SetupError(`${String(found.length)} reports of sanitizers`);
    if (outcome instanceof Error) throw outcome;
    process.stdout.write(`${String(files.length)} passed, no report of a sanitizer\n`);
  } finally {
    rmSync(reports, { recursive: true, force: true });
    delete process.env.CXXFLAGS;
    delete process.env.LDFLAGS;
    rmSync(STAMP, { force: true });
    rmSync(path.join(ROOT, 'native', 'build'), { recursive: true, force: true });
    await build();
  }
});
