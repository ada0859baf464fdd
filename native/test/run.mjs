// Builds and runs the C++ unit tests, without Node-API and without any test framework.
//
// Every *.cc of native/core, native/http1, native/net and native/front (those named *uv* apart, they need a libuv
// to link with) goes into one archive, with the test kit of native/test/net; every
// native/test/*_test.cc becomes a program linked with it. An archive, so that a test only needs what
// it uses. All of it runs under AddressSanitizer and UBSan, with warnings as errors and with the
// socket calls open to injected faults. Objects are built again only when a file they include is newer.
// Tests named *_threads_test run once more under ThreadSanitizer, with the sources that they list
// below: building everything twice would double the time for the few that have threads.
//
// usage: node native/test/run.mjs [word ...]     runs the tests whose name contains one of the words
//        node native/test/run.mjs --build NAME   builds native/test/NAME.cc, which may use http1 alone, and
//                                                prints where the program is
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const PARALLEL = 2;
const TEST_TIMEOUT_MS = 120_000;
const LIBRARY_FOLDERS = ['core', 'http1', 'net', 'front', 'test/net'];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror'];

const nativeRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const buildRoot = join(nativeRoot, '..', 'build', 'native-test');
const compileFlags = [
  '-std=c++20',
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-fno-exceptions',
  '-DPOINTSMAN_FAULTS',
  ...SANITIZERS,
  ...WARNINGS,
  `-I${nativeRoot}`,
];
const THREAD_SANITIZERS = ['-fsanitize=thread'];
const THREAD_SOURCES = {
  admission_threads_test: [
    'core/limiter.cc',
    'net/admission.cc',
    'net/timer_wheel.cc',
    'net/poller.cc',
    'test/net/epoll_loop.cc',
    'test/net/faults.cc',
  ],
};
const compiler = process.env['CXX'] ?? 'g++';

/** Runs a command to its end; answers its exit code (or a signal's name) and what it printed. */
function run(command, args, timeoutMs = 0) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ code: error.message, output }));
    child.on('close', (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/** Calls `work` for every item, PARALLEL at a time; answers the results in order. */
async function forEachParallel(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const drain = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, drain));
  return results;
}

function listSources(folder, accepts) {
  const path = join(nativeRoot, folder);
  if (!existsSync(path)) return [];
  const names = readdirSync(path).filter((name) => name.endsWith('.cc') && accepts(name));
  return names.sort().map((name) => join(path, name));
}

function nameOf(source) {
  return relative(nativeRoot, source);
}

/** True when the object is younger than the source and everything the compiler saw it include. */
function isFresh(object, dependencyFile) {
  if (!existsSync(object) || !existsSync(dependencyFile)) return false;
  const builtMs = statSync(object).mtimeMs;
  const listed = readFileSync(dependencyFile, 'utf8')
    .replace(/^[^:]*:/, '')
    .replaceAll('\\\n', ' ');
  const inputs = [fileURLToPath(import.meta.url), ...listed.trim().split(/\s+/)];
  return inputs.every((path) => existsSync(path) && statSync(path).mtimeMs <= builtMs);
}

/** Compiles one file; answers null for success or what the compiler said. */
async function compile(source) {
  const object = objectOf(source);
  const dependencyFile = `${object}.d`;
  if (isFresh(object, dependencyFile)) return null;
  mkdirSync(dirname(object), { recursive: true });
  const flags = [...compileFlags, '-MMD', '-MF', dependencyFile, '-c', source, '-o', object];
  const { code, output } = await run(compiler, flags);
  if (code === 0) return null;
  rmSync(object, { force: true });
  return output || String(code);
}

function objectOf(source) {
  return join(buildRoot, `${nameOf(source)}.o`);
}

function testNameOf(source) {
  return nameOf(source)
    .replace(/^test\//, '')
    .replace(/\.cc$/, '');
}

function programOf(source) {
  return join(buildRoot, testNameOf(source));
}

/** Links one program; answers null for success or what went wrong. */
async function link(source, libraries) {
  const objects = [objectOf(source), ...libraries];
  const linked = await run(compiler, [...SANITIZERS, ...objects, '-o', programOf(source)]);
  return linked.code === 0 ? null : `does not link\n${linked.output}`;
}

/** Links and runs one test program; answers null for success or what went wrong. */
async function linkAndRun(source, archive) {
  const reason = await link(source, [archive]);
  if (reason !== null) return reason;
  const { code, output } = await run(programOf(source), [], TEST_TIMEOUT_MS);
  return code === 0 ? null : `exit ${String(code)}\n${output}`;
}

/** For tests that are written in TypeScript and need C++ code as a program. */
async function buildProgram(name) {
  const library = listSources('http1', () => true);
  const source = join(nativeRoot, 'test', `${name}.cc`);
  const compiled = await forEachParallel([...library, source], compile);
  const reason =
    compiled.find((one) => one !== null) ?? (await link(source, library.map(objectOf)));
  process.stdout.write(`${reason ?? programOf(source)}\n`);
  process.exitCode = reason === null ? 0 : 1;
}

/** Answers null for success or what went wrong. */
async function runUnderThreadSanitizer(source, sources) {
  const program = join(buildRoot, `${testNameOf(source)}.tsan`);
  const flags = compileFlags.filter((flag) => !SANITIZERS.includes(flag));
  const inputs = [source, ...sources.map((name) => join(nativeRoot, name))];
  const built = await run(compiler, [...flags, ...THREAD_SANITIZERS, ...inputs, '-o', program]);
  if (built.code !== 0) return built.output || String(built.code);
  const { code, output } = await run(program, [], TEST_TIMEOUT_MS);
  return code === 0 ? null : `exit ${String(code)}\n${output}`;
}

async function main(words) {
  mkdirSync(buildRoot, { recursive: true });
  const library = LIBRARY_FOLDERS.flatMap((folder) =>
    listSources(folder, (name) => !name.includes('uv')),
  );
  const isWanted = (name) => words.length === 0 || words.some((word) => name.includes(word));
  const tests = listSources('test', (name) => name.endsWith('_test.cc') && isWanted(name));
  const failures = new Map();
  const fail = (name, reason) => {
    failures.set(name, reason);
    process.stdout.write(`not ok ${name}\n${reason.trimEnd()}\n`);
  };

  const sources = [...library, ...tests];
  const compiled = await forEachParallel(sources, compile);
  compiled.forEach((reason, index) => {
    if (reason !== null) fail(testNameOf(sources[index]), `does not compile\n${reason}`);
  });

  const archive = join(buildRoot, 'library.a');
  rmSync(archive, { force: true });
  const objects = library.map(objectOf).filter((object) => existsSync(object));
  const archived = await run('ar', ['rcs', archive, ...objects]);
  if (archived.code !== 0) fail('library.a', archived.output || String(archived.code));

  let passed = 0;
  await forEachParallel(tests, async (source) => {
    const name = testNameOf(source);
    if (failures.has(name)) return;
    const reason = await linkAndRun(source, archive);
    if (reason !== null) return fail(name, reason);
    passed += 1;
    process.stdout.write(`ok ${name}\n`);
  });
  for (const source of tests) {
    const name = testNameOf(source);
    const sources = THREAD_SOURCES[name];
    if (sources === undefined || failures.has(name)) continue;
    const reason = await runUnderThreadSanitizer(source, sources);
    if (reason !== null) fail(`${name} under ThreadSanitizer`, reason);
    else process.stdout.write(`ok ${name} under ThreadSanitizer\n`);
  }
  if (tests.length === 0) fail('tests', 'there is no test of that name');
  process.stdout.write(`${passed} passed, ${failures.size} failed\n`);
  process.exitCode = failures.size === 0 ? 0 : 1;
}

const words = process.argv.slice(2);
await (words[0] === '--build' ? buildProgram(words[1]) : main(words));
