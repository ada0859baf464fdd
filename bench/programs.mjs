/**
 * The suite's own C++ programs: what they are made of, and building them when something they include is newer.
 * They lie in build/bench. A micro bench is found by its name, bench/micro/*_bench.cc; all of native/core and
 * native/http1 is at hand for it, and native/net with the kit of its tests for one that includes anything of it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchError } from './bench-error.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const BENCH = path.join(ROOT, 'bench');
const NATIVE = path.join(ROOT, 'native');
const OUTPUT = path.join(ROOT, 'build', 'bench');

/** As the addon is compiled (native/binding.gyp). */
const FLAGS = ['-std=c++20', '-O2', '-fno-exceptions', '-fstack-protector-strong', `-I${NATIVE}`];
/** For the suite's own files; those of native/ are held to them by its tests, at another optimization. */
const WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion', '-Werror'];
const COMPILER = process.env.CXX ?? 'g++';
const PARALLEL = 2;

const LIBRARY = sourcesOfRooms(['core', 'http1']);
/** Those named uv need a libuv to link with. */
const NET = sourcesOfRooms(['net', 'front', 'test/net']).filter(
  (file) => !/\/uv_[^/]*$/.test(file),
);
const CLIENT = path.join(BENCH, 'load', 'client.cc');

/** Name of a program: its sources. */
const PROGRAMS = {
  stub: [path.join(BENCH, 'stub', 'stub.cc')],
  crowd: [path.join(BENCH, 'load', 'crowd.cc'), CLIENT],
  generator: [path.join(BENCH, 'load', 'generator.cc'), CLIENT],
  sse_client: [path.join(BENCH, 'load', 'sse_client.cc'), CLIENT],
};

export function microBenchNames() {
  return sourcesIn(path.join(BENCH, 'micro'))
    .map((source) => path.basename(source, '.cc'))
    .filter((name) => name.endsWith('_bench'));
}

/**
 * Builds the programs of these names; answers their paths by name.
 * @throws {BenchError} with what the compiler said
 */
export async function buildPrograms(names) {
  mkdirSync(OUTPUT, { recursive: true });
  await forEachParallel([...new Set(names.flatMap(sourcesOf))], compile);
  const files = {};
  await forEachParallel(names, async (name) => {
    files[name] = path.join(OUTPUT, name);
    const objects = sourcesOf(name).map(objectOf);
    if (isNewest(files[name], objects)) return;
    await compiler(files[name], objects);
  });
  return files;
}

/** All that is linked into a program. */
function sourcesOf(name) {
  if (PROGRAMS[name] !== undefined) return [...PROGRAMS[name], ...LIBRARY];
  const source = path.join(BENCH, 'micro', `${name}.cc`);
  const usesNet = /#include "(?:(?:test\/)?net|front)\//.test(readFileSync(source, 'utf8'));
  return [source, ...LIBRARY, ...(usesNet ? NET : [])];
}

function sourcesOfRooms(rooms) {
  return rooms.flatMap((room) => sourcesIn(path.join(NATIVE, room)));
}

function sourcesIn(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cc'))
    .sort()
    .map((name) => path.join(folder, name));
}

function objectOf(source) {
  return path.join(OUTPUT, `${path.relative(ROOT, source).replaceAll('/', '-')}.o`);
}

async function compile(source) {
  const object = objectOf(source);
  const list = `${object}.d`;
  if (existsSync(list)) {
    const inputs = readFileSync(list, 'utf8')
      .replace(/^[^:]*:/, '')
      .replaceAll('\\\n', ' ');
    if (isNewest(object, inputs.trim().split(/\s+/))) return;
  }
  const warnings = source.startsWith(BENCH) ? WARNINGS : [];
  await compiler(object, [...FLAGS, ...warnings, '-MMD', '-MF', list, '-c', source]);
}

function isNewest(output, inputs) {
  if (!existsSync(output)) return false;
  const madeMs = statSync(output).mtimeMs;
  return inputs.every((input) => existsSync(input) && statSync(input).mtimeMs <= madeMs);
}

/** The output appears whole or not at all: two runs may build at the same time. */
function compiler(output, args) {
  return new Promise((resolve, reject) => {
    const unfinished = `${output}.${process.pid}`;
    const child = spawn(COMPILER, [...args, '-o', unfinished], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk) => (said += chunk));
    child.once('error', (error) =>
      reject(
        new BenchError(
          error.code === 'ENOENT'
            ? `the C++ compiler ${COMPILER} is missing; on Debian and Ubuntu: apt-get install g++`
            : error.message,
        ),
      ),
    );
    child.once('close', (code) => {
      if (code !== 0) return reject(new BenchError(said));
      renameSync(unfinished, output);
      resolve();
    });
  });
}

async function forEachParallel(items, work) {
  const waiting = [...items];
  const drain = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, drain));
}
