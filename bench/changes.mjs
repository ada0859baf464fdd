/**
 * What changes of configuration cost the requests that are under way meanwhile. See HELP.
 *
 * Three arms, interleaved in every round: nobody calls the admin port; somebody calls its /healthz as often as
 * changes are made (control: what any call to the supervisor costs); splits are changed. Latency is a client's,
 * from the time a request was due; CPU time is the kernel's, per thread (bench/changes/threads.mjs).
 *
 * No JavaScript shares a core with what is timed: replica, load and caller are native, and this process does nothing
 * while they run.
 */
import './quiet.mjs';
import { parseArgs } from 'node:util';
import { difference, quantities, readThreads } from './changes/threads.mjs';
import { callAtPace, generate } from './load/load.mjs';
import { median } from './metrics.mjs';
import { pointsman } from './peers/pointsman.mjs';
import { stopAll } from './processes.mjs';
import { buildPrograms } from './programs.mjs';
import { startStub, WORKLOADS } from './stub/stub.mjs';
import { table } from './changes/table.mjs';

const HELP = `node bench/changes.mjs [options]      (after npm run build)

  --endpoints N        configured endpoints, the first of which is changed and called   (10)
  --workers N          worker processes                                                 (1)
  --changes N          changes per second                                               (10)
  --rate N,N           requests per second; one table for each                          (2000,10000)
  --connections N      connections that carry them                                      (64)
  --seconds N          length of one arm                                                (10)
  --rounds N           rounds of three arms                                             (5)
  --worker-cores LIST  cores of the workers, as taskset takes them                      (0)
  --supervisor-cores LIST                                                               (0)
  --load-core N        core of load, replica and caller                                 (1)
  --threads            CPU time of every thread per call, too
  --json               the result as JSON

Prints medians over the rounds: a client's p50, p99 and p99.9 in µs, the ratio of p99 to the arm without calls,
µs of CPU per call in the supervisor and in each worker (above the arm without calls), for how long each worker was
ready and had no core, per request, and the duration of calls. Latencies mean nothing while the machine does other
work; CPU times nearly hold.
`;

const { values: options } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    threads: { type: 'boolean', default: false },
    endpoints: { type: 'string', default: '10' },
    workers: { type: 'string', default: '1' },
    changes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '2000,10000' },
    connections: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
    'worker-cores': { type: 'string', default: '0' },
    'supervisor-cores': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' },
  },
});
const number = (name) => Number(options[name]);
const WARM_UP_S = 3;
const ARMS = ['none', 'control', 'changes'];
const SHARES = [30, 70];
const BODY_BYTES = 100;

const COLUMNS = [
  ['arm', ({ arm }) => arm],
  ['p50 µs', ({ p50 }) => p50.toFixed(0)],
  ['p99 µs', ({ p99 }) => p99.toFixed(0)],
  ['p99.9 µs', ({ p999 }) => p999.toFixed(0)],
  ['p99 ratio', ({ p99Ratio }) => p99Ratio.toFixed(2)],
  ['load late p99 µs', ({ lateP99 }) => lateP99.toFixed(0)],
  ['supervisor µs/call', (row) => row.supervisorUsPerCall.toFixed(0)],
  ['each worker µs/call', (row) => row.workerUsPerCall.toFixed(0)],
  ['workers waited µs/request', (row) => row.waitedUsPerRequest.toFixed(1)],
  ['call p50 µs', ({ callP50 }) => callP50.toFixed(0)],
  ['call p99 µs', ({ callP99 }) => callP99.toFixed(0)],
];

if (options.help) {
  process.stdout.write(HELP);
} else {
  try {
    await main();
  } finally {
    await stopAll();
  }
}

async function main() {
  const programs = await buildPrograms(['stub', 'generator', 'caller']);
  const stub = await startStub(programs.stub, options['load-core']);
  const daemon = await pointsman.start({
    cores: { proxy: options['worker-cores'], support: options['supervisor-cores'] },
    ports: stub.ports.small,
    variant: { endpoints: number('endpoints'), workers: number('workers') },
  });
  try {
    const calls = { control: [daemon.writeHealthCheck()], changes: daemon.writePushes(SHARES) };
    const tables = [];
    for (const rate of options.rate.split(',').map(Number)) {
      tables.push({ rate, rows: summaryOf(await measure({ programs, daemon, calls, rate })) });
    }
    report(tables);
  } finally {
    await daemon.stop();
    await stub.stop();
  }
}

async function measure(bench) {
  for (const arm of ARMS) await runArm(bench, arm, WARM_UP_S);
  const results = Object.fromEntries(ARMS.map((arm) => [arm, []]));
  for (let round = 0; round < number('rounds'); round += 1) {
    process.stderr.write(`${bench.rate}/s, round ${round + 1} of ${options.rounds}\n`);
    // Another order each time: no arm always runs behind the same one.
    for (let step = 0; step < ARMS.length; step += 1) {
      const arm = ARMS[(round + step) % ARMS.length];
      results[arm].push(await runArm(bench, arm, number('seconds')));
    }
  }
  return results;
}

async function runArm({ programs, daemon, calls, rate }, arm, seconds) {
  const core = options['load-core'];
  const pids = { supervisor: daemon.supportPids, workers: daemon.proxyPids };
  const before = readThreads(pids);
  const called =
    arm === 'none'
      ? null
      : callAtPace(programs.caller, core, {
          port: daemon.adminPort,
          files: calls[arm],
          perSecond: number('changes'),
          seconds,
        });
  const loaded = generate(programs.generator, daemon, core, {
    connections: number('connections'),
    rate,
    seconds,
    bodyBytes: BODY_BYTES,
    answerBytes: WORKLOADS.small.answerBytes,
    split: false,
  });
  const [{ latency_us: latency, late_us: late, answers }, calling] = await Promise.all([
    loaded,
    called,
  ]);
  const used = difference(before, readThreads(pids));
  return { latency, late, answers, calls: calling?.calls ?? 0, call: calling?.call_us, used };
}

function summaryOf(results) {
  return ARMS.map((arm) => {
    const rounds = results[arm];
    const of = (read) => median(rounds.map(read));
    // Against the arm without calls of the same round: the machine drifts.
    const extra = (read) =>
      arm === 'none'
        ? 0
        : of((round, index) => (read(round.used) - read(results.none[index].used)) / round.calls);
    return {
      arm,
      p50: of(({ latency }) => latency.p50),
      p99: of(({ latency }) => latency.p99),
      p999: of(({ latency }) => latency.p999),
      p99Ratio: of(({ latency }, index) => latency.p99 / results.none[index].latency.p99),
      lateP99: of(({ late }) => late.p99),
      supervisorUsPerCall: extra(({ supervisor }) => supervisor.runUs),
      workerUsPerCall: extra(({ workers }) => workers.runUs / number('workers')),
      waitedUsPerRequest: of(({ used, answers }) => used.workers.waitedUs / answers),
      callP50: arm === 'none' ? 0 : of(({ call }) => call.p50),
      callP99: arm === 'none' ? 0 : of(({ call }) => call.p99),
      threads: quantities(rounds.map(({ used, calls }) => ({ used, calls }))),
    };
  });
}

function report(tables) {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ options, tables }, null, 2)}\n`);
    return;
  }
  const { endpoints, workers, changes, connections, rounds, seconds } = options;
  for (const { rate, rows } of tables) {
    process.stdout.write(
      `\n${endpoints} endpoints, ${workers} workers, ${changes} calls/s, ${rate} requests/s, ` +
        `${connections} connections, median of ${rounds} rounds of ${seconds} s\n\n` +
        table(rows, COLUMNS),
    );
    if (options.threads) process.stdout.write(`\n${threadTable(rows)}`);
  }
}

/** CPU of all threads of a kind in ms per second of the arm, so that the arm without calls can stand beside. */
function threadTable(rows) {
  const names = [...new Set(rows.flatMap(({ threads }) => Object.keys(threads)))];
  return table(
    names.map((name) => ({ name, cells: rows.map(({ threads }) => threads[name] ?? 0) })),
    [
      ['threads', ({ name }) => name],
      ...rows.map(({ arm }, index) => [
        `${arm} ms/s`,
        ({ cells }) => (cells[index] / number('seconds') / 1_000).toFixed(2),
      ]),
    ],
  );
}
