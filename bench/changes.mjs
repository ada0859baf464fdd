/**
 * What changes of configuration cost the requests that are under way meanwhile. See HELP.
 *
 * Three arms, interleaved in every round: nobody calls the admin port; somebody calls its /healthz as often as
 * changes are made (control: what any call to the supervisor costs); splits are changed. Latency is a client's,
 * from the time a request was due; CPU time is the kernel's, from /proc/PID/task/N/schedstat, and means something
 * on a machine that others use too.
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `node bench/changes.mjs [options]      (after npm run build)

  --endpoints N    configured endpoints, the first of which is changed and called   (10)
  --workers N      worker processes                                                 (2)
  --changes N      changes per second                                               (10)
  --rate N         requests per second; 0: none, CPU time alone                     (2000)
  --connections N  connections that carry them                                      (16)
  --seconds N      length of one arm                                                (10)
  --rounds N       rounds of three arms                                             (5)
  --daemon-core N  core of supervisor and workers, with taskset; -1: any            (0)
  --load-core N    core of load, replica and changer; -1: any                       (1)
  --json           the result as JSON

Prints medians over the rounds: a client's p50, p99 and p99.9 in µs, the ratio of p99 to the arm without calls,
µs of CPU per call in the supervisor and in each worker (above the arm without calls), and the duration of calls.
Latencies mean nothing while the machine does other work; CPU times nearly hold.
`;

const { values: options } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    endpoints: { type: 'string', default: '10' },
    workers: { type: 'string', default: '2' },
    changes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '2000' },
    connections: { type: 'string', default: '16' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
    'daemon-core': { type: 'string', default: '0' },
    'load-core': { type: 'string', default: '1' },
  },
});
const number = (name) => Number(options[name]);
const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const ENDPOINTS_PER_CALL = 1_000;
const WARM_UP_S = 3;
const ARMS = ['none', 'control', 'changes'];

if (options.help) {
  process.stdout.write(HELP);
} else {
  await main();
}

async function main() {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'pm-changes-'));
  const load = start('load.mjs');
  const changer = start('changer.mjs');
  const replica = (await nextMessage(load)).replica;
  const daemon = startDaemon(stateDir);
  try {
    const ports = await portsOf(daemon);
    const bench = { stateDir, load, changer, daemon, ports };
    await configure(bench, replica);
    const pids = await pidsOf(bench);
    for (const arm of ARMS) await runArm(bench, pids, arm, WARM_UP_S);
    const results = Object.fromEntries(ARMS.map((arm) => [arm, []]));
    for (let round = 0; round < number('rounds'); round += 1) {
      process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
      // Another order each time: no arm always runs behind the same one.
      for (let step = 0; step < ARMS.length; step += 1) {
        const arm = ARMS[(round + step) % ARMS.length];
        results[arm].push(await runArm(bench, pids, arm, number('seconds')));
      }
    }
    report(summaryOf(results));
  } finally {
    if (daemon.exitCode === null && daemon.kill('SIGTERM')) {
      await new Promise((resolve) => daemon.once('exit', resolve));
    }
    load.disconnect();
    changer.disconnect();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function pinned(core, command) {
  return core < 0 ? command : ['taskset', '-c', String(core), ...command];
}

function start(file) {
  const script = fileURLToPath(new URL(`changes/${file}`, import.meta.url));
  const core = number('load-core');
  if (core < 0) return fork(script);
  return fork(script, {
    execPath: 'taskset',
    execArgv: ['-c', String(core), process.execPath],
  });
}

function startDaemon(stateDir) {
  const [command, ...args] = pinned(number('daemon-core'), [
    ...[process.execPath, MAIN, 'serve', '--state-dir', stateDir],
    ...['--data-plane-workers', options.workers, '--data-plane-drain-delay-ms', '0'],
    ...['--data-plane-listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
  ]);
  return spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: stateDir });
}

function portsOf(child) {
  return new Promise((resolve, reject) => {
    let data = '';
    child.once('exit', (code) => reject(new Error(`the daemon ended with code ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      data = /data port on [^"]+:(\d+)/.exec(line)?.[1] ?? data;
      const admin = /admin port on [^"]+:(\d+)/.exec(line)?.[1];
      if (admin !== undefined) resolve({ admin: Number(admin), data: Number(data) });
    });
  });
}

function nextMessage(child) {
  return new Promise((resolve, reject) => {
    const onExit = (code) => reject(new Error(`a helper ended with code ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}

function tokenOf({ stateDir }, name) {
  return readFileSync(path.join(stateDir, `${name}-token`), 'utf8').trim();
}

async function admin(bench, method, route, body) {
  const answer = await fetch(`http://127.0.0.1:${bench.ports.admin}${route}`, {
    method,
    headers: {
      authorization: `Bearer ${tokenOf(bench, 'admin')}`,
      'content-type': 'application/json',
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.status !== 200) throw new Error(await answer.text());
  return answer.json();
}

function configOf(share) {
  const entity = (name) => ({ name, entity_name: `bench.ml.${name}`, entity_version: '1' });
  return {
    served_entities: [entity('a'), entity('b')],
    traffic_config: {
      routes: [
        { served_entity_name: 'a', traffic_percentage: share },
        { served_entity_name: 'b', traffic_percentage: 100 - share },
      ],
    },
  };
}

async function configure(bench, replica) {
  const deployments = ['a', 'b'].map((name) => ({
    name,
    serves: [{ entity_name: `bench.ml.${name}`, entity_version: '1' }],
    replicas: [{ url: `http://127.0.0.1:${replica}` }],
    health: { type: 'tcp' },
  }));
  const count = number('endpoints');
  for (let from = 0; from < count; from += ENDPOINTS_PER_CALL) {
    const length = Math.min(ENDPOINTS_PER_CALL, count - from);
    await admin(bench, 'PATCH', '/api/2.0/pointsman/manifest?wait=all', {
      deployments: from === 0 ? deployments : [],
      endpoints: Array.from({ length }, (_, index) => ({
        name: `endpoint-${from + index}`,
        config: configOf(50),
      })),
    });
  }
}

async function pidsOf(bench) {
  const { workers } = await admin(bench, 'GET', '/api/2.0/pointsman/status');
  return { supervisor: bench.daemon.pid, workers: workers.map(({ pid }) => pid) };
}

/** Nanoseconds of CPU of all threads of a process. */
function cpuOf(pid) {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder)
    .map((task) => Number(readFileSync(`${folder}/${task}/schedstat`, 'utf8').split(' ')[0]))
    .reduce((sum, one) => sum + one, 0);
}

function cpuNow({ supervisor, workers }) {
  return { supervisor: cpuOf(supervisor), workers: workers.map(cpuOf) };
}

function callsOf(bench, arm) {
  if (arm === 'none') return [];
  if (arm === 'control') return ['GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'];
  return [30, 70].map((share) => {
    const body = JSON.stringify(configOf(share));
    return (
      'PUT /api/2.0/serving-endpoints/endpoint-0/config HTTP/1.1\r\nhost: 127.0.0.1\r\n' +
      `authorization: Bearer ${tokenOf(bench, 'admin')}\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n${body}`
    );
  });
}

async function runArm(bench, pids, arm, seconds) {
  const { ports, load, changer } = bench;
  const before = cpuNow(pids);
  const loaded = number('rate') === 0 ? { latencies: [], failures: 0 } : nextMessage(load);
  if (number('rate') > 0) {
    load.send({
      start: {
        host: '127.0.0.1',
        port: ports.data,
        path: '/serving-endpoints/endpoint-0/invocations',
        bearer: tokenOf(bench, 'query'),
        connections: number('connections'),
        rate: number('rate'),
        seconds,
      },
    });
  }
  const called = nextMessage(changer);
  const perSecond = number('changes');
  changer.send({
    start: { port: ports.admin, requests: callsOf(bench, arm), perSecond, seconds },
  });
  const [{ latencies, failures }, calls] = await Promise.all([loaded, called]);
  const after = cpuNow(pids);
  if (failures + calls.failures > 0) {
    throw new Error(`${failures} requests and ${calls.failures} calls failed`);
  }
  return {
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    p999: quantile(latencies, 0.999),
    calls: calls.durations.length,
    callP50: quantile(calls.durations, 0.5),
    callP99: quantile(calls.durations, 0.99),
    supervisorUs: (after.supervisor - before.supervisor) / 1_000,
    workerUs:
      after.workers.reduce((sum, one, index) => sum + one - before.workers[index], 0) /
      after.workers.length /
      1_000,
  };
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function median(list) {
  return quantile(
    [...list].sort((a, b) => a - b),
    0.5,
  );
}

function summaryOf(results) {
  return ARMS.map((arm) => {
    const rounds = results[arm];
    const of = (key) => median(rounds.map((round) => round[key]));
    // Against the arm without calls of the same round: the machine drifts.
    const extra = (key) =>
      median(
        rounds.map((round, index) =>
          round.calls === 0 ? 0 : (round[key] - results.none[index][key]) / round.calls,
        ),
      );
    return {
      arm,
      p50: of('p50'),
      p99: of('p99'),
      p999: of('p999'),
      p99Ratio: median(rounds.map(({ p99 }, index) => p99 / results.none[index].p99)),
      callP50: of('callP50'),
      callP99: of('callP99'),
      supervisorUsPerCall: extra('supervisorUs'),
      workerUsPerCall: extra('workerUs'),
    };
  });
}

function report(summary) {
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ options, summary }, null, 2)}\n`);
    return;
  }
  const { endpoints, workers, changes, rate, rounds, seconds } = options;
  process.stdout.write(
    `${endpoints} endpoints, ${workers} workers, ${changes} calls/s, ${rate} requests/s, ` +
      `median of ${rounds} rounds of ${seconds} s\n\n`,
  );
  const columns = [
    ['arm', ({ arm }) => arm],
    ['p50 µs', ({ p50 }) => p50.toFixed(0)],
    ['p99 µs', ({ p99 }) => p99.toFixed(0)],
    ['p99.9 µs', ({ p999 }) => p999.toFixed(0)],
    ['p99 ratio', ({ p99Ratio }) => (Number.isNaN(p99Ratio) ? '-' : p99Ratio.toFixed(2))],
    ['supervisor µs/call', (row) => row.supervisorUsPerCall.toFixed(0)],
    ['each worker µs/call', (row) => row.workerUsPerCall.toFixed(0)],
    ['call p50 µs', ({ callP50 }) => callP50.toFixed(0)],
    ['call p99 µs', ({ callP99 }) => callP99.toFixed(0)],
  ];
  const rows = [columns.map(([title]) => title)];
  for (const row of summary) rows.push(columns.map(([, cell]) => cell(row)));
  for (const row of rows) {
    const cells = row.map((cell, index) => cell.padStart(columns[index][0].length));
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
}
