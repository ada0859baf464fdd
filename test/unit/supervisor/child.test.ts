/** Processes that the nursery starts: what they inherit, and how their end is told. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { constants, getPriority, tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { loadAddon } from '../../../src/native/addon.js';
import { Child } from '../../../src/supervisor/child.js';

const addon = loadAddon();

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the process wrote to its descriptor 3. */
  readonly text: string;
}

/** Runs a script of node to its end; `during` sees the process first. */
async function run(
  t: Test,
  script: string,
  environment: NodeJS.ProcessEnv = {},
  during: (child: Child) => void = () => undefined,
): Promise<Ended> {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-child-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const file = path.join(folder, 'said');
  const descriptor = openSync(file, 'w');
  const child = new Child(addon, {
    arguments: ['-e', script],
    environment,
    descriptors: [descriptor],
  });
  closeSync(descriptor);
  const ended = new Promise<Omit<Ended, 'text'>>((resolve) => {
    child.onceExited((code, signal) => {
      resolve({ code, signal });
    });
  });
  during(child);
  const result = { ...(await ended), text: readFileSync(file, 'utf8') };
  t.ok(child.hasExited);
  child.kill('SIGKILL');
  return result;
}

t.test('a process has its descriptors, its variables and an empty input', async (t) => {
  const script = `const fs = require('node:fs');
    const input = fs.readFileSync(0, 'utf8');
    fs.writeSync(3, JSON.stringify([process.env, input, process.argv.slice(1)]));
    process.exit(7);`;
  const { code, signal, text } = await run(t, script, { A: 'b=c', B: undefined });
  t.same([code, signal], [7, null]);
  t.same(JSON.parse(text), [{ A: 'b=c' }, '', []]);
});

t.test('descriptors are not mixed up, whatever their numbers', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-child-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const files = Array.from({ length: 6 }, (_, index) => path.join(folder, String(index)));
  const opened = files.map((file) => openSync(file, 'w'));
  const script = `for (let i = 0; i < 6; i += 1) require('node:fs').writeSync(3 + i, String(i))`;
  // Backwards, so that a number that is copied is one that another is copied to.
  const child = new Child(addon, {
    arguments: ['-e', script],
    environment: {},
    descriptors: [...opened].reverse(),
  });
  for (const descriptor of opened) closeSync(descriptor);
  await new Promise<void>((resolve) => {
    child.onceExited(() => {
      resolve();
    });
  });
  t.same(
    files.map((file) => readFileSync(file, 'utf8')),
    ['5', '4', '3', '2', '1', '0'],
  );
});

t.test('a signal is told by its name', async (t) => {
  const forever = 'setInterval(() => {}, 1000)';
  const ended = await run(t, forever, {}, (child) => {
    t.equal(getPriority(child.pid), getPriority());
    child.kill('SIGKILL');
  });
  t.same(ended, { code: null, signal: 'SIGKILL', text: '' });
});

t.test('what cannot be started says so', (t) => {
  const noMemory = { ...process.env, TOO_LONG: 'x'.repeat(1 << 20) };
  t.throws(() => new Child(addon, { arguments: [], environment: noMemory, descriptors: [] }), {
    code: 'E2BIG',
  });
  const unopened = { arguments: [], environment: {}, descriptors: [1_000_000] };
  t.throws(() => new Child(addon, unopened), { code: 'EBADF' });
  t.end();
});

t.test('a process does not inherit the lower priority of who starts it', async (t) => {
  const before = getPriority();
  if (before > constants.priority.PRIORITY_LOW - 5) {
    t.comment('the priority is low already');
    return;
  }
  t.ok(addon.yieldToWorkers(20_000, 5));
  t.equal(getPriority(), before + 5);
  const { text } = await run(
    t,
    `require('node:fs').writeSync(3, String(require('node:os').getPriority()))`,
  );
  t.equal(Number(text), before);
});
