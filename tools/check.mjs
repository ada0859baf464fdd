/**
 * `npm run check`: formatters, linters and type checks, in TypeScript and C++. `npm run format` (--write) formats
 * instead of complaining.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { filesIn, install, ROOT, run, runMain, say, SetupError } from './setup.mjs';

/** clang-tidy needs a compile database for more than plain headers: folders that include no foreign headers. */
const TIDY_FOLDERS = /(?:native\/(?:core|http1|net|uws)|bench\/\w+)\/(?!uv_)[^/]*\.cc$/;

await runMain(async () => {
  const write = process.argv.includes('--write');
  await install();
  for (const tool of ['clang-format', 'clang-tidy']) requireTool(tool);
  const bin = path.join(ROOT, 'node_modules', '.bin');
  const native = [...filesIn('native'), ...filesIn('bench')].filter(
    (file) => /\.(?:cc|h)$/.test(file) && !file.includes('native/build/'),
  );
  say('formatting');
  await run(path.join(bin, 'prettier'), [write ? '--write' : '--check', '--log-level=warn', '.']);
  await run('clang-format', [...(write ? ['-i'] : ['--dry-run', '--Werror']), ...native]);
  if (write) return;
  say('types and lint of TypeScript');
  await run(path.join(bin, 'tsc'), ['--noEmit', '-p', '.']);
  await run(path.join(bin, 'tsc'), ['--noEmit', '-p', 'tsconfig.test.json']);
  await run(path.join(bin, 'tsc'), ['--noEmit', '-p', 'examples/model-server']);
  await run(path.join(bin, 'eslint'), ['--max-warnings=0', '.']);
  say('lint of C++');
  const sources = native.filter((file) => TIDY_FOLDERS.test(file));
  const half = Math.ceil(sources.length / 2);
  const flags = ['--', '-std=c++20', '-Inative'];
  await Promise.all(
    [sources.slice(0, half), sources.slice(half)].map((part) =>
      run('clang-tidy', ['--quiet', ...part, ...flags], { capture: true }).catch((error) => {
        throw new SetupError(`clang-tidy:\n${error.output ?? error}`);
      }),
    ),
  );
  say('all is well');
});

function requireTool(name) {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
  } catch {
    throw new SetupError(`${name} is missing; on Debian and Ubuntu: apt-get install ${name}`);
  }
}
