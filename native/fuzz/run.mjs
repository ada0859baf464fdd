/**
 * Builds the fuzz targets with clang under AddressSanitizer and UBSan and runs them, two at a time. A target starts
 * from its committed seeds and keeps what it learns in build/fuzz/corpus; an input that breaks a rule is written to
 * build/fuzz and fails the run.
 *
 *   node native/fuzz/run.mjs [--minutes N] [target ...]     N per target, 10 unless told; all targets unless named
 *   node native/fuzz/run.mjs --minimize [target ...]        writes the smallest corpus of the same coverage to seeds
 *
 * The suite does not need any of this: native/test/fuzz_seeds_test.cc replays the seeds with the ordinary compiler.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FUZZ = path.dirname(fileURLToPath(import.meta.url));
const NATIVE = path.dirname(FUZZ);
const BUILD = path.join(NATIVE, '..', 'build', 'fuzz');
const COMPILER = process.env['CLANGXX'] ?? 'clang++';
const PARALLEL = 2;
const MINUTES_DEFAULT = 10;
const INPUT_BYTES_MAX = 2_048;
/** Seeds cover the edges of the code, each with one small input; a finer corpus is a thousand files. */
const SEED_FLAGS = ['-merge=1', '-use_counters=0', '-max_len=512'];
/** A head just above the limit costs every cut; anything slower than this is a finding. */
const INPUT_TIMEOUT_S = 10;
const FLAGS = [
  '-std=c++20',
  '-g',
  '-O1',
  '-fsanitize=fuzzer,address,undefined',
  '-fno-sanitize-recover=all',
  '-fno-exceptions',
  `-I${NATIVE}`,
];

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Runs a command with its output on ours; answers its exit code. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], cwd: BUILD });
    child.on('error', (error) => fail(error.message));
    child.on('close', (code) => resolve(code ?? 1));
  });
}

function listTargets() {
  return readdirSync(FUZZ)
    .filter((name) => name.endsWith('_fuzz.cc'))
    .map((name) => name.replace(/_fuzz\.cc$/, ''))
    .sort();
}

function seedsOf(target) {
  return path.join(FUZZ, 'seeds', target);
}

function corpusOf(target) {
  return path.join(BUILD, 'corpus', target);
}

async function buildTarget(target) {
  const http1 = path.join(NATIVE, 'http1');
  const sources = readdirSync(http1)
    .filter((name) => name.endsWith('.cc'))
    .map((name) => path.join(http1, name));
  const program = path.join(BUILD, `${target}_fuzz`);
  const code = await run(COMPILER, [
    ...FLAGS,
    path.join(FUZZ, `${target}_fuzz.cc`),
    ...sources,
    '-o',
    program,
  ]);
  if (code !== 0) fail(`${target} does not build`);
  return program;
}

async function fuzz(target, minutes) {
  const program = await buildTarget(target);
  mkdirSync(corpusOf(target), { recursive: true });
  const code = await run(program, [
    `-dict=${path.join(FUZZ, `${target}.dict`)}`,
    `-max_len=${String(INPUT_BYTES_MAX)}`,
    `-timeout=${String(INPUT_TIMEOUT_S)}`,
    `-max_total_time=${String(Math.round(minutes * 60))}`,
    `-artifact_prefix=${BUILD}/${target}-`,
    '-print_final_stats=1',
    '-verbosity=1',
    corpusOf(target),
    seedsOf(target),
  ]);
  process.stdout.write(`${code === 0 ? 'ok' : 'not ok'} ${target}\n`);
  return code === 0;
}

async function minimize(target) {
  const program = await buildTarget(target);
  mkdirSync(corpusOf(target), { recursive: true });
  const merged = path.join(BUILD, 'merged', target);
  rmSync(merged, { recursive: true, force: true });
  mkdirSync(merged, { recursive: true });
  const merge = await run(program, [...SEED_FLAGS, merged, seedsOf(target), corpusOf(target)]);
  if (merge !== 0) return false;
  rmSync(seedsOf(target), { recursive: true });
  mkdirSync(seedsOf(target));
  execFileSync('cp', ['-r', `${merged}/.`, seedsOf(target)]);
  return true;
}

function parseArguments(args) {
  const options = { minutes: MINUTES_DEFAULT, isMinimize: false, targets: [] };
  for (let i = 0; i < args.length; i += 1) {
    if (args[i] === '--minimize') options.isMinimize = true;
    else if (args[i] === '--minutes') options.minutes = Number(args[(i += 1)]);
    else options.targets.push(args[i]);
  }
  const known = listTargets();
  const unknown = options.targets.find((target) => !known.includes(target));
  if (unknown !== undefined) fail(`there is no target ${unknown}; there are ${known.join(', ')}`);
  if (!(options.minutes > 0)) fail('--minutes wants a number above 0');
  if (options.targets.length === 0) options.targets = known;
  return options;
}

const { minutes, isMinimize, targets } = parseArguments(process.argv.slice(2));
try {
  execFileSync(COMPILER, ['--version'], { stdio: 'ignore' });
} catch {
  fail(`${COMPILER} is missing; on Debian and Ubuntu: apt-get install clang`);
}
mkdirSync(BUILD, { recursive: true });
const pending = [...targets];
let isGood = true;
await Promise.all(
  Array.from({ length: PARALLEL }, async () => {
    for (let target = pending.shift(); target !== undefined; target = pending.shift()) {
      const isDone = isMinimize ? await minimize(target) : await fuzz(target, minutes);
      isGood = isGood && isDone;
    }
  }),
);
process.exitCode = isGood ? 0 : 1;
