/**
 * What `npm start`, `npm run build` and `npm test` do first on a fresh clone: look for the tools a build needs,
 * install packages, build. Each step is left out when nothing it depends on has changed.
 * Plain JavaScript without dependencies: it runs before there are any.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Oldest Node of each line that works, and the glibc that its uWebSockets.js binary needs. */
const NODE_LINES = new Map([
  [20, { node: [20, 12], glibc: [2, 27] }],
  [22, { node: [22, 0], glibc: [2, 38] }],
  [24, { node: [24, 0], glibc: [2, 38] }],
]);

const BUILD_TOOLS = [
  { commands: ['g++', 'c++', 'clang++'], what: 'a C++ compiler (C++20)', debian: 'g++' },
  { commands: ['make'], what: 'make', debian: 'make' },
  { commands: ['python3'], what: 'python3, which node-gyp runs on', debian: 'python3' },
];

/** A failure whose message is all that the user needs. */
export class SetupError extends Error {}

/** @throws {SetupError} that names everything that is missing and what to install */
export function checkPlatform() {
  const problems = [];
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    problems.push(
      `pointsman runs on Linux x64 and arm64, not on ${process.platform} ${process.arch}.`,
    );
  }
  const version = process.versions.node.split('.').map(Number);
  const line = NODE_LINES.get(version[0] ?? 0);
  if (line === undefined || isOlder(version, line.node)) {
    problems.push(
      `Node ${process.versions.node} does not work; install Node 20 (20.12 or later), 22 or 24.`,
    );
  } else {
    const glibc = process.report.getReport().header.glibcVersionRuntime ?? '';
    if (glibc === '') {
      problems.push('This system has no glibc; use a distribution that has, such as Debian.');
    } else if (isOlder(glibc.split('.').map(Number), line.glibc)) {
      problems.push(
        `Node ${version[0]} needs glibc ${line.glibc.join('.')} here, this system has ${glibc}; ` +
          'use Node 20 or a newer system.',
      );
    }
  }
  for (const { commands, what, debian } of BUILD_TOOLS) {
    if (commands.some(onPath)) continue;
    problems.push(`${what} is missing; on Debian and Ubuntu: apt-get install ${debian}`);
  }
  if (problems.length > 0) throw new SetupError(problems.join('\n'));
}

/** Installs the packages of package-lock.json unless that was done already. */
export async function install() {
  const wanted = hashFiles([path.join(ROOT, 'package-lock.json')], process.versions.modules);
  const stamp = path.join(ROOT, 'node_modules', '.pointsman-install');
  if (readStamp(stamp) === wanted) return;
  say('installing packages');
  // No package may run code at install time; the one that must be compiled is compiled by `build`.
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(stamp, wanted);
}

/** Compiles SQLite, the addon and TypeScript where their sources have changed; side by side, for two cores. */
export async function build() {
  await Promise.all([buildSqlite(), buildAddon(), buildTypeScript()]);
}

async function buildSqlite() {
  const directory = 'node_modules/better-sqlite3';
  const wanted = hashFiles([path.join(ROOT, directory, 'package.json')], process.versions.modules);
  const stamp = path.join(ROOT, directory, 'build', '.pointsman-stamp');
  if (readStamp(stamp) === wanted) return;
  say('compiling SQLite (about a minute)');
  await nodeGyp(directory, ['rebuild', '--release'], 'sqlite');
  writeFileSync(stamp, wanted);
}

async function buildTypeScript() {
  const sources = [
    ...filesIn('src'),
    path.join(ROOT, 'tsconfig.json'),
    path.join(ROOT, 'package.json'),
  ];
  const wanted = hashFiles(sources);
  const stamp = path.join(ROOT, 'dist', '.stamp');
  if (readStamp(stamp) === wanted) return;
  say('compiling TypeScript');
  rmSync(path.join(ROOT, 'dist'), { recursive: true, force: true });
  await run(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', ROOT]);
  writeFileSync(stamp, wanted);
}

async function buildAddon() {
  const sources = [...filesIn('native')].filter(
    (file) => /\.(?:cc|h|gyp)$/.test(file) && !/native\/(?:build|test|fuzz|bench)\//.test(file),
  );
  const wanted = hashFiles(sources, process.versions.modules);
  const stamp = path.join(ROOT, 'native', 'build', '.stamp');
  const binary = path.join(ROOT, 'native', 'build', 'Release', 'pointsman.node');
  if (readStamp(stamp) === wanted && existsSync(binary)) return;
  say('compiling the native addon');
  rmSync(stamp, { force: true });
  // The Makefile names the sources of its day: a file that came since would be missing from the addon.
  for (const command of ['configure', 'build']) await nodeGyp('native', [command], 'addon');
  writeFileSync(stamp, wanted);
}

/** Runs npm's own node-gyp, with the headers of the running node when they are on disk (works offline). */
async function nodeGyp(directory, args, label) {
  const headers = path.join(path.dirname(process.execPath), '..');
  const nodeDir = hasHeadersOfThisNode(headers) ? [`--nodedir=${headers}`] : [];
  const log = path.join(ROOT, 'build', `${label}.log`);
  mkdirSync(path.dirname(log), { recursive: true });
  try {
    const output = await run(
      process.execPath,
      [findNodeGyp(), ...args, '-C', path.join(ROOT, directory), '-j', '2', ...nodeDir],
      { capture: true },
    );
    writeFileSync(log, output);
  } catch (error) {
    throw new SetupError(`compiling ${directory} failed:\n${tail(error.output ?? String(error))}`);
  }
}

function hasHeadersOfThisNode(directory) {
  const file = path.join(directory, 'include', 'node', 'node_version.h');
  if (!existsSync(file)) return false;
  const text = readFileSync(file, 'utf8');
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  return ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.') === process.versions.node;
}

function findNodeGyp() {
  const given = process.env.npm_config_node_gyp;
  if (given !== undefined && existsSync(given)) return given;
  const global = execFileSync('npm', ['root', '-g'], { encoding: 'utf8' }).trim();
  const file = path.join(global, 'npm', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  if (existsSync(file)) return file;
  throw new SetupError('node-gyp, which comes with npm, was not found; run this with npm run');
}

/** Resolves with the output (captured) or '' (shown as it comes); rejects with `.output` on failure. */
export function run(command, args, { capture = false, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env,
      stdio: capture ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    });
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.stderr?.on('data', (chunk) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else
        reject(
          Object.assign(new SetupError(`${path.basename(command)} ${args[0]} failed`), { output }),
        );
    });
  });
}

/** Runs `main`; a SetupError is shown as a message, anything else with its stack. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(
      `${error instanceof SetupError ? error.message : (error.stack ?? error)}\n`,
    );
    process.exitCode = 1;
  }
}

export function say(text) {
  process.stdout.write(`pointsman: ${text}\n`);
}

export function filesIn(directory) {
  const absolute = path.join(ROOT, directory);
  return readdirSync(absolute, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function hashFiles(files, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const file of files) hash.update(path.relative(ROOT, file)).update(readFileSync(file));
  return hash.digest('hex');
}

function readStamp(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

function onPath(command) {
  return (process.env.PATH ?? '')
    .split(':')
    .some((folder) => existsSync(path.join(folder, command)));
}

function isOlder(version, than) {
  for (let at = 0; at < than.length; at += 1) {
    if ((version[at] ?? 0) !== than[at]) return (version[at] ?? 0) < than[at];
  }
  return false;
}

function tail(text) {
  return text.split('\n').slice(-40).join('\n');
}
