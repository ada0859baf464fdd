/** The command line: comparisons flag what changed, reports stand alone, mistakes are named. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { loadSuite, runBench } from './suite.js';

interface Figures {
  readonly cpu: readonly number[];
  readonly mib?: readonly number[];
}

function folderOf(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-bench-test-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

function entryOf(target: string, { cpu, mib }: Figures): unknown {
  return {
    scenario: 'small',
    title: 'small <requests>',
    case: 'small-64',
    case_title: '64 connections',
    target,
    metrics: {
      cpu_us_per_request: { rounds: cpu },
      ...(mib === undefined ? {} : { mib_per_cpu_second: { rounds: mib } }),
    },
  };
}

function writeResult(file: string, pointsman: Figures, nginx: Figures): string {
  const result = {
    format: 1,
    started_at: '2026-08-01T12:00:00.000Z',
    took_s: 1,
    commit: 'abcdef012345',
    has_changes: false,
    machine: { cpu: 'a processor', cores: 2, kernel: '6.1', node: '20.0.0' },
    peers: { pointsman: '0.1.0', nginx: '1.22.1' },
    options: { rounds: 3, seconds: 4, quick: false },
    warnings: [],
    cases: [entryOf('pointsman', pointsman), entryOf('nginx', nginx)],
    micro: [],
    failures: [],
  };
  writeFileSync(file, JSON.stringify(result));
  return file;
}

t.test('compare flags changes past the threshold, in the direction that is worse', async (t) => {
  const folder = folderOf(t);
  const nginx = { cpu: [20, 20, 20] };
  const before = { cpu: [10, 10.1, 9.9], mib: [1_000, 1_000, 1_000] };
  const a = writeResult(path.join(folder, 'a.json'), before, nginx);
  const after = { cpu: [10.8, 10.7, 10.9], mib: [1_100, 1_100, 1_100] };
  const b = writeResult(path.join(folder, 'b.json'), after, nginx);

  const worse = await runBench(['compare', a, b]);
  t.equal(worse.code, 1, 'something became worse');
  t.match(worse.stdout, /small-64, pointsman, CPU per request, µs .*\+8\.0 % +WORSE\n/);
  t.match(worse.stdout, /small-64, pointsman, MiB per CPU second .*\+10\.0 % +BETTER\n/);
  t.match(worse.stdout, /small-64, nginx, CPU per request, µs .*\+0\.0 %\n/);
  t.match(worse.stdout, '1 worse and 1 better by more than 5 % of 3 figures');

  const wide = await runBench(['compare', a, b, '--threshold', '9']);
  t.equal(wide.code, 0);
  t.match(wide.stdout, '0 worse and 1 better by more than 9 %');

  const same = JSON.parse((await runBench(['compare', a, a, '--json'])).stdout) as {
    rows: { change: number; flag: string }[];
  };
  t.equal(same.rows.length, 3);
  t.ok(same.rows.every(({ change, flag }) => change === 0 && flag === ''));
});

t.test('a change within the spread of the rounds is said to be', async (t) => {
  const folder = folderOf(t);
  const nginx = { cpu: [20] };
  const a = writeResult(path.join(folder, 'a.json'), { cpu: [9, 10, 12] }, nginx);
  const b = writeResult(path.join(folder, 'b.json'), { cpu: [10, 11, 12] }, nginx);
  t.match((await runBench(['compare', a, b])).stdout, /\+10\.0 % +WORSE \(rounds overlap\)/);
});

t.test('the report is one page that loads nothing', async (t) => {
  const folder = folderOf(t);
  const file = path.join(folder, 'a.json');
  writeResult(file, { cpu: [10, 11, 12] }, { cpu: [20, 22, 21] });
  t.equal((await runBench(['report', file])).code, 0);
  const page = readFileSync(path.join(folder, 'a.html'), 'utf8');
  t.match(page, '<svg');
  t.match(page, '11.00  ×0.50', 'the median, and that of the rounds’ ratios to nginx');
  t.match(page, 'small &lt;requests&gt;', 'text is escaped');
  t.notMatch(page, /(?:src|href)=|https?:|@import|url\(/);
});

t.test('mistakes on the command line are named', async (t) => {
  const said = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await runBench(args);
    t.equal(code, 1);
    return stderr;
  };
  t.match(await said('--only', 'small,nonsense'), 'bench: --only: nonsense is none of small,');
  t.match(await said('--peers', 'apache'), 'bench: --peers: apache is none of nginx, haproxy');
  t.match(await said('--rounds', '0'), 'bench: --rounds: 0 is no integer from 1');
  t.match(await said('--faster'), /bench: Unknown option '--faster'/);
  t.match(await said('compare', 'x'), 'bench: compare takes 2 names, not 1');
  t.match(await said('report', '/nowhere.json'), 'bench: /nowhere.json: neither a file nor');
  t.match((await runBench(['--help'])).stdout, 'npm run bench -- compare');
});

t.test('a missing package is named with what installs it', async (t) => {
  const { code, stderr } = await runBench(['--only', 'small'], { PATH: '' });
  t.equal(code, 1);
  t.match(stderr, 'wrk is missing; on Debian and Ubuntu: apt-get install wrk');
});

t.test('a run starts a daemon, measures it and writes what it found', async (t) => {
  const suite = await loadSuite();
  if (suite.assignCores().isShared) {
    t.comment('one core only');
    return;
  }
  const file = path.join(folderOf(t), 'run.json');
  const flags = ['--only', 'sse', '--peers', 'none', '--rounds', '1', '--seconds', '1'];
  const { code, stdout, stderr } = await runBench([...flags, '--json', '--output', file]);
  t.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as {
    cases: { target: string; metrics: Record<string, { rounds: number[] }> }[];
    failures: unknown[];
  };
  t.same(result, JSON.parse(readFileSync(file, 'utf8')));
  t.same(result.failures, []);
  t.same(
    result.cases.map(({ target }) => target),
    ['pointsman', 'direct'],
  );
  const cpu = result.cases[0]?.metrics['cpu_us_per_event']?.rounds ?? [];
  t.equal(cpu.length, 1);
  t.ok((cpu[0] ?? 0) > 1 && (cpu[0] ?? 0) < 1_000, `CPU per event: ${String(cpu[0])}`);
  t.notMatch(result.cases[1]?.metrics, { cpu_us_per_event: {} }, 'no proxy, no CPU of it');
});
