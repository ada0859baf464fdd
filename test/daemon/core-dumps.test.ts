/** A crash of a process of the daemon leaves nothing of its memory behind, unless the configuration allows it. */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { startDaemon, temporaryDirectory, type TestDaemon } from './harness.js';
import { until } from './live.js';

/** Where the kernel would put a dump: into the folder of the process, if it is a plain name. */
const PATTERN = readFileSync('/proc/sys/kernel/core_pattern', 'latin1').trim();
const isPlain = /^core[\w.%-]*$/.test(PATTERN);

function limitOf(pid: number): string {
  const limits = readFileSync(`/proc/${String(pid)}/limits`, 'latin1');
  return /^Max core file size +(\w+)/m.exec(limits)?.[1] ?? '';
}

function filterOf(pid: number): number {
  return Number.parseInt(readFileSync(`/proc/${String(pid)}/coredump_filter`, 'latin1'), 16);
}

/** Started where dumps are allowed; a worker crashes. The dumps that it has left. */
async function crash(t: Test, flags: Record<string, string>): Promise<[TestDaemon, string[]]> {
  const stateDir = temporaryDirectory(t);
  const daemon = await startDaemon(t, {
    stateDir,
    flags: { ...flags, 'data-plane-workers': '1' },
    dumpsAllowed: true,
  });
  const worker = await daemon.workerPid();
  process.kill(worker, 'SIGABRT');
  await until(async () => ![0, worker].includes(await daemon.workerPid()));
  return [daemon, readdirSync(stateDir).filter((name) => name.startsWith('core'))];
}

t.test('not by default', async (t) => {
  const [daemon, dumps] = await crash(t, {});
  for (const pid of [daemon.process.pid ?? 0, await daemon.workerPid()]) {
    t.equal(limitOf(pid), '0');
    t.equal(filterOf(pid), 0, 'nothing for a handler either');
  }
  t.strictSame(dumps, []);
});

// Sanitizers forbid dumps by themselves: theirs would be terabytes.
const cannot =
  process.env['POINTSMAN_TEST_PRELOAD'] !== undefined || (!isPlain && `core_pattern is ${PATTERN}`);

t.test('where it is allowed', { skip: cannot }, async (t) => {
  const [daemon, dumps] = await crash(t, { 'core-dumps': 'true' });
  const pid = await daemon.workerPid();
  t.equal(limitOf(pid), 'unlimited');
  t.not(filterOf(pid), 0);
  t.equal(dumps.length, 1, 'so the test above looks in the right place');
  const dump = path.join(daemon.stateDir, dumps[0] ?? '');
  t.ok(statSync(dump).size > 0);
  // The harness looks for secrets in the directory, and would find some.
  rmSync(dump);
});
