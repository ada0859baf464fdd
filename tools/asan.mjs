/**
 * The black-box suite on an addon that is built with AddressSanitizer and UBSan. Takes half an hour, and is no part of the
 * gate: the C++ tests run under the same sanitizers there. What only shows here is the binding: lifetimes across uWebSockets.js,
 * libuv and JS, attaching, workers that end with requests under way.
 *
 *   node tools/asan.mjs              test/daemon, test/regress and test/vectors
 *   node tools/asan.mjs FILTER...    test files whose path contains one of the words
 *
 * Files run one after the other, each in a process of its own; one that fails without a report runs once more, since tests that
 * watch the clock may lose a race on a busy machine, and is told apart in the summary. Tests read how much slower
 * everything is from POINTSMAN_TEST_SLOWNESS (test/daemon/slowness.ts). Every process of a daemon that ends by itself is looked
 * through for leaks (tools/leak-roots.cc); those count that the addon allocated, Node's own are only told. Exit code 1 when
 * a file failed or a sanitizer reported. The addon of the checkout is replaced for the time and built again
 * afterwards. Needs g++ with libasan; leaks are found on x64, where ptrace is allowed.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
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
/** For one file. */
const TIMEOUT_S = 600;
/** Times and sizes that tests allow are multiplied by it. */
const SLOWNESS = 4;
const TRIES = 2;
/** Of the output of a file that failed. */
const SHOWN_LINES_MAX = 60;
const LEAK_CHECKS_FILE = 'leak-checks';
/** Freed memory is held back, so that a use of it is seen, but not so much that the suite's bounds of memory mean nothing. */
const QUARANTINE_MIB = 8;

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

async function restoreAddon() {
  delete process.env.CXXFLAGS;
  delete process.env.LDFLAGS;
  rmSync(STAMP, { force: true });
  rmSync(path.join(ROOT, 'native', 'build'), { recursive: true, force: true });
  await build();
}

/** The sanitizers' libraries, and ours that shows the leak check what JS holds. */
function preloaded(folder) {
  const libraries = ['libasan.so', 'libstdc++.so'].map(libraryOf);
  if (!libraries.every(existsSync)) throw new SetupError('libasan is missing; it comes with g++');
  const roots = path.join(folder, 'leak-roots.so');
  const source = path.join(ROOT, 'tools', 'leak-roots.cc');
  const flags = ['-std=c++20', '-O1', '-g', '-shared', '-fPIC', source, '-o', roots];
  execFileSync(process.env.CXX ?? 'g++', flags);
  return [...libraries, roots].join(' ');
}

/** Environment of the tests; sanitizers write to `reports`. */
function sanitized(folder, reports) {
  const log = `log_path=${path.join(reports, 'report')}`;
  const asan = [
    // Looked for by tools/leak-roots.cc, and no reason for another exit code.
    ...[`detect_leaks=${process.arch === 'x64' ? '1' : '0'}`, 'leak_check_at_exit=0'],
    'abort_on_error=1',
    ...['detect_stack_use_after_return=0', 'allow_user_segv_handler=1'],
    ...[`quarantine_size_mb=${String(QUARANTINE_MIB)}`, log],
  ];
  return {
    ...process.env,
    TAP_TIMEOUT: String(TIMEOUT_S),
    POINTSMAN_TEST_PRELOAD: preloaded(folder),
    POINTSMAN_TEST_SLOWNESS: String(SLOWNESS),
    ASAN_OPTIONS: asan.join(':'),
    UBSAN_OPTIONS: `print_stacktrace=1:halt_on_error=1:${log}`,
    LEAK_ROOTS_COUNT: path.join(folder, LEAK_CHECKS_FILE),
  };
}

/** @throws {SetupError} when a block that is leaked on purpose is not reported */
function proveLeakCheck(env, reports) {
  if (process.arch !== 'x64') return;
  // Not one of those that count.
  const probe = {
    ...env,
    LD_PRELOAD: env.POINTSMAN_TEST_PRELOAD,
    LEAK_ROOTS_PROBE: '1',
    LEAK_ROOTS_COUNT: '/dev/null',
  };
  execFileSync(process.execPath, ['-e', ''], { env: probe });
  const found = takeReports(reports).some((text) => text.includes('leakOnPurpose'));
  if (!found) throw new SetupError('LeakSanitizer finds no leak here; is ptrace forbidden?');
}

/** Runs one test file; answers whether it passed and what it said. */
function runFile(file, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_S * 1_000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({ passed: code === 0, output: `${output}\nended with ${String(code ?? signal)}` });
    });
  });
}

/** Without the leaks that the addon has no part in, and null when nothing else is left of it. */
function withoutForeignLeaks(report) {
  const parts = report.split('\n\n');
  const isForeign = (part) => /leak of/.test(part) && !part.includes('pointsman.node');
  const kept = parts.filter((part) => !isForeign(part));
  const says = kept.some((part) => /leak of/.test(part)) || !report.includes('LeakSanitizer');
  return says ? kept.join('\n\n') : null;
}

function takeReports(folder) {
  return readdirSync(folder).map((name) => {
    const file = path.join(folder, name);
    const text = readFileSync(file, 'utf8');
    rmSync(file);
    return text;
  });
}

/** Lines of TAP that say what failed, with what stands around them. */
function shown(output) {
  const lines = output.split('\n').filter((line) => !/^\s*ok /.test(line));
  const first = Math.max(0, lines.findIndex((line) => /^\s*not ok /.test(line)) - 2);
  return lines.slice(first, first + SHOWN_LINES_MAX).join('\n');
}

async function runAll(files, env, reports) {
  const outcome = { failed: [], again: [], reports: 0, foreign: 0 };
  const width = String(files.length).length;
  for (const [index, file] of files.entries()) {
    const name = path.relative(path.join(ROOT, 'build', 'test'), file);
    const since = performance.now();
    let tries = 0;
    let passed = false;
    while (!passed && tries < TRIES) {
      const result = await runFile(file, env);
      const all = takeReports(reports);
      const found = all.map(withoutForeignLeaks).filter((text) => text !== null);
      outcome.foreign += all.length - found.length;
      ({ passed } = result);
      tries += 1;
      if (!passed) process.stderr.write(`${shown(result.output)}\n`);
      for (const text of found) process.stderr.write(`${text}\n`);
      outcome.reports += found.length;
      if (found.length > 0) break;
    }
    if (!passed) outcome.failed.push(name);
    else if (tries > 1) outcome.again.push(name);
    const place = `${String(index + 1).padStart(width)}/${String(files.length)}`;
    const word = passed ? (tries > 1 ? 'ok at the second try' : 'ok') : 'FAILED';
    const seconds = ((performance.now() - since) / 1_000).toFixed(0);
    process.stdout.write(`${place} ${name} ${word}, ${seconds} s\n`);
  }
  return outcome;
}

await runMain(async () => {
  const words = process.argv.slice(2);
  checkPlatform();
  await install();
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-asan-'));
  const reports = path.join(folder, 'reports');
  mkdirSync(reports);
  try {
    const env = sanitized(folder, reports);
    proveLeakCheck(env, reports);
    await buildAddonWith(FLAGS);
    rmSync(path.join(ROOT, 'build', 'test'), { recursive: true, force: true });
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
    const files = filesIn('build/test/test')
      .filter((file) => /\/(?:daemon|regress|vectors)\/[^/]*\.test\.js$/.test(file))
      .filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
    if (files.length === 0) throw new SetupError('no test file matches');
    say(`running ${String(files.length)} test files on a sanitized addon`);
    const { failed, again, reports: found, foreign } = await runAll(files, env, reports);
    const passed = files.length - failed.length;
    const checks = path.join(folder, LEAK_CHECKS_FILE);
    const checked = existsSync(checks) ? statSync(checks).size : 0;
    process.stdout.write(
      `${String(passed)} of ${String(files.length)} files passed (${String(again.length)} at the second try), ` +
        `${String(found)} reports of sanitizers, ${String(checked)} processes looked through for leaks ` +
        `(Node's own in ${String(foreign)})\n`,
    );
    if (failed.length > 0 || found > 0) throw new SetupError(`failed: ${failed.join(' ')}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await restoreAddon();
  }
});
