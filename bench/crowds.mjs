/**
 * Crowds of bad clients, and what they cost the others.
 *
 *   node bench/crowds.mjs [--seconds 14] [--rounds 3] [--rate 2000] [--only slow-heads,...] [--json]
 *
 * One daemon with one worker on a core of its own; load, crowd, replica and supervisor on another. For each crowd in turn:
 * plain requests at a fixed rate (open loop, every answer checked) without the crowd and with it, `rounds` times, medians of
 * both and of the rounds' ratios; then the crowd goes and descriptors and memory are looked at. Those that leave make the replica write on the core
 * that load and replica share, so they are held to a third figure: the same crowd at the replica itself, past the proxy.
 * About seven minutes. Exit code 1 when p99 more than doubles, an answer is wrong or missing, the crowd is not treated as
 * documented, or something is not given back.
 * When `late` (how late the generator was by itself) is near p99, the machine is too busy to say anything.
 */
import './quiet.mjs';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { build, checkPlatform, install, runMain, SetupError } from '../tools/setup.mjs';
import {
  assignCores,
  backgroundLoad,
  describeCommit,
  describeMachine,
  QUIET_BUSY_MAX,
} from './machine.mjs';
import { median } from './metrics.mjs';
import { delay, pin, runOn, start, stopAll } from './processes.mjs';
import { buildPrograms } from './programs.mjs';
import { figuresOf, SoakDaemon } from './soak/daemon.mjs';

const RATIO_MAX = 2;
/** From the first byte of a head to its last, as documented, and what is allowed beside. */
const HEAD_MS = 10_000;
const HEAD_TOLERANCE = 1.2;
const ABORTS = 1_000;
const DESCRIPTORS_SLACK = 3;
/** What allocators, garbage collection and the engine keep for the next crowd. */
const KEPT_MIB_MAX = 32;
const SETTLE_MS_MAX = 20_000;
/** For the crowd to come to its state: 200 large answers fill 1 GB of buffers of the kernel, on the load's core. */
const ARRIVE_MS = 1_000;
/** Beyond a measurement, for the crowd to outlast it. */
const OUTLAST_MS = 1_000;
const CONNECTIONS = 16;
const WARM_UP_SECONDS = 3;

/**
 * `kibMax`: bound of memory per connection, of our own process. `isBusy`: the crowd itself keeps the load's core busy.
 * `check` answers what is wrong with the crowd's own figures.
 */
const CROWDS = {
  'slow-heads': {
    what: '500 heads of a byte a second',
    kind: 'heads',
    connections: 500,
    kibMax: 32,
    check: ({ ended, ended_after_ms: after }) =>
      ended < 500 || after.least < HEAD_MS / HEAD_TOLERANCE || after.most > HEAD_MS * HEAD_TOLERANCE
        ? `${ended} heads were ended after ${after.least} to ${after.most} ms`
        : null,
  },
  'stalled-readers': {
    what: '200 readers of 10 MB that stop',
    kind: 'readers',
    connections: 200,
    kibMax: 256,
    check: ({ ended }) => (ended > 0 ? `${ended} were ended before their time` : null),
  },
  idle: {
    what: '2,000 idle connections',
    kind: 'idle',
    connections: 2_000,
    kibMax: 32,
    check: ({ ended }) => (ended > 0 ? `${ended} were ended before their time` : null),
  },
  aborts: {
    what: '1,000 that leave amid answers',
    kind: 'aborts',
    connections: 64,
    total: ABORTS,
    // Enough to be in the middle of; more would keep the replica busy on the load's core.
    endpoint: 'medium',
    isBusy: true,
    kibMax: 256,
    check: ({ left }) => (left < ABORTS ? `only ${left} came to leave` : null),
  },
};

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopAll().finally(() => process.exit(130));
  });
}

await runMain(async () => {
  const options = readOptions();
  checkPlatform();
  await install();
  await build();
  const programs = await buildPrograms(['stub', 'generator', 'crowd']);
  const cores = assignCores();
  const say = (line) => process.stderr.write(`${line}\n`);
  const background = await backgroundLoad(cores);
  const daemon = new SoakDaemon();
  const rows = [];
  try {
    const answers = ['a:bytes=64', 'b:bytes=1572864', 'b:bytes=10485760'];
    const replica = start('the stub replica', programs.stub, answers, { cores: cores.replica });
    const [line] = await replica.prints(/\{"ports":.*\}/);
    const [small, medium, large] = JSON.parse(line).ports;
    await daemon.start(1);
    const ports = { small, medium, large };
    await configure(daemon, ports);
    const [{ pid }] = await daemon.workers();
    pin(daemon.pid, cores.support);
    pin(pid, cores.proxy);
    const setting = { daemon, pid, programs, cores, options, say, ports };
    await generate(setting, WARM_UP_SECONDS);
    for (const name of options.only) rows.push(await measure(setting, name));
  } finally {
    await daemon.stop();
    await stopAll();
  }
  const result = { ...describeCommit(), machine: describeMachine(), background, rows };
  if (options.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  else print(result);
  if (rows.some(({ wrong }) => wrong.length > 0)) process.exitCode = 1;
});

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '14' },
      rounds: { type: 'string', default: '3' },
      rate: { type: 'string', default: '2000' },
      only: { type: 'string', default: Object.keys(CROWDS).join(',') },
      json: { type: 'boolean', default: false },
    },
  });
  const only = values.only.split(',');
  const unknown = only.find((name) => CROWDS[name] === undefined);
  if (unknown !== undefined) throw new SetupError(`--only: ${unknown} is no crowd`);
  const options = { only, json: values.json };
  for (const name of ['seconds', 'rounds', 'rate']) {
    options[name] = Number(values[name]);
    if (!(options[name] >= 1)) throw new SetupError(`--${name} takes a number from 1`);
  }
  if (only.includes('slow-heads') && options.seconds * 1_000 < HEAD_MS * HEAD_TOLERANCE) {
    throw new SetupError('--seconds: at least 12, since slow heads are ended after 10');
  }
  return options;
}

async function configure(daemon, ports) {
  const entities = { small: 'a', medium: 'b', large: 'b' };
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest?wait=all', {
    deployments: Object.entries(ports).map(([name, port]) => ({
      name,
      serves: [{ entity_name: `bench.ml.${name}`, entity_version: '1' }],
      replicas: [{ url: `http://127.0.0.1:${port}` }],
      health: { type: 'tcp' },
    })),
    endpoints: Object.entries(entities).map(([name, entity]) => ({
      name,
      config: {
        served_entities: [
          {
            name: entity,
            entity_name: `bench.ml.${name}`,
            entity_version: '1',
            workload_size: 'Small',
          },
        ],
        traffic_config: { routes: [{ served_model_name: entity, traffic_percentage: 100 }] },
      },
    })),
  });
}

function clientArgs(daemon, endpoint, options) {
  const { port, token } = daemon.target;
  const all = { port, path: `/serving-endpoints/${endpoint}/invocations`, ...options };
  return [
    ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...['--header', `Authorization: Bearer ${token}`],
  ];
}

async function generate({ daemon, programs, cores, options }, seconds) {
  const args = clientArgs(daemon, 'small', {
    connections: CONNECTIONS,
    rate: options.rate,
    'duration-ms': seconds * 1_000,
  });
  return JSON.parse(await runOn(cores.load, programs.generator, args, seconds * 1_000 + 30_000));
}

/** Plain requests while the crowd is there, or, `isPast`, at the replica itself; answers what both say. */
async function besideCrowd(setting, crowd, isPast = false) {
  const { daemon, programs, cores, options, ports } = setting;
  const endpoint = crowd.endpoint ?? 'large';
  const args = clientArgs(daemon, endpoint, {
    ...(isPast ? { port: ports[endpoint] } : {}),
    connections: crowd.connections,
    'duration-ms': ARRIVE_MS + options.seconds * 1_000 + OUTLAST_MS,
    ...(crowd.total === undefined ? {} : { rate: Math.ceil(crowd.total / options.seconds) }),
  });
  const guests = start('the crowd', programs.crowd, [crowd.kind, ...args], { cores: cores.load });
  await guests.prints(/ready/);
  await delay(ARRIVE_MS);
  const load = await generate(setting, options.seconds);
  const [line] = await guests.prints(/\{"opened".*\}/);
  return { load, crowd: JSON.parse(line) };
}

async function measure(setting, name) {
  const { pid, options, say } = setting;
  const crowd = CROWDS[name];
  await settled(pid, 0);
  const before = figuresOf(pid);
  const alone = [];
  const past = [];
  const beside = [];
  const wrong = [];
  let peakMiB = 0;
  for (let round = 1; round <= options.rounds; round += 1) {
    alone.push(await generate(setting, options.seconds));
    if (crowd.isBusy) past.push((await besideCrowd(setting, crowd, true)).load);
    // From here on VmHWM is the most of this round.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const found = await besideCrowd(setting, crowd);
    peakMiB = Math.max(peakMiB, figuresOf(pid).peakMiB);
    beside.push(found.load);
    const complaint = crowd.check(found.crowd);
    if (complaint !== null) wrong.push(complaint);
    const [one, control, other] = [alone, past, beside].map((runs) => usOf(runs.at(-1)));
    const third = crowd.isBusy ? `, ${control} with them at the replica` : '';
    say(`${name} ${round}/${options.rounds}: p99 ${one} µs alone${third}, ${other} beside them`);
    await settled(pid, before.descriptors + DESCRIPTORS_SLACK);
  }
  const after = figuresOf(pid);
  const runs = [...alone, ...past, ...beside];
  const p99s = (those) => those.map(({ latency_us: { p99: value } }) => value);
  const p99 = (those) => median(p99s(those));
  const row = {
    crowd: name,
    what: crowd.what,
    p99_alone_us: p99(alone),
    p99_past_us: crowd.isBusy ? p99(past) : null,
    p99_beside_us: p99(beside),
    late_p99_us: median(beside.map(({ late_us: late }) => late.p99)),
    answers: runs.reduce((sum, { answers }) => sum + answers, 0),
    wrong_answers: runs.reduce((sum, { failures }) => sum + failures, 0),
    rss_mib: { before: before.residentMiB, peak: peakMiB, after: after.residentMiB },
    descriptors: { before: before.descriptors, after: after.descriptors },
  };
  // Of each round: a host that changes its speed between rounds gives two medians of different speeds.
  const held = p99s(crowd.isBusy ? past : alone);
  row.ratio = median(p99s(beside).map((value, round) => value / held[round]));
  row.wrong = [...wrong, ...judge(row, crowd)];
  return row;
}

function usOf(run) {
  return run?.latency_us.p99.toFixed(0);
}

function judge({ ratio, wrong_answers: answers, rss_mib: rss, descriptors }, crowd) {
  const wrong = [];
  const peakMax = (crowd.connections * crowd.kibMax) / 1_024 + KEPT_MIB_MAX;
  if (ratio > RATIO_MAX) wrong.push(`p99 is ${ratio.toFixed(2)} times that without them`);
  if (answers > 0) wrong.push(`${answers} answers were wrong or missing`);
  if (rss.peak - rss.before > peakMax) wrong.push(`memory grew by more than ${peakMax} MiB`);
  if (rss.after - rss.before > KEPT_MIB_MAX) wrong.push(`more than ${KEPT_MIB_MAX} MiB were kept`);
  if (descriptors.after > descriptors.before + DESCRIPTORS_SLACK) {
    wrong.push(`${descriptors.after - descriptors.before} descriptors were kept`);
  }
  return wrong;
}

/** Until the worker has no more descriptors than that, or, `most` 0, as long as they become fewer. */
async function settled(pid, most) {
  const since = performance.now();
  let last = Infinity;
  for (;;) {
    const { descriptors } = figuresOf(pid);
    if (most === 0 ? descriptors >= last : descriptors <= most) return;
    if (performance.now() - since > SETTLE_MS_MAX) return;
    last = descriptors;
    await delay(most === 0 ? 5_000 : 200);
  }
}

function print({ commit, machine, background, rows }) {
  console.log(
    `\ncommit ${commit}; ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}`,
  );
  const used = `${(background * 100).toFixed(0)} % of a core was in use before the start`;
  console.log(
    background > QUIET_BUSY_MAX ? `${used}: the figures are worth little\n` : `${used}\n`,
  );
  const head = [
    'p99 alone',
    'past',
    'beside',
    'ratio',
    'late',
    'answers',
    'wrong',
    'RSS MiB',
    'descriptors',
  ];
  const widths = [11, 9, 9, 7, 7, 9, 7, 18, 13];
  const line = (cells) => cells.map((cell, at) => String(cell).padStart(widths[at])).join('');
  console.log(`${''.padEnd(34)}${line(head)}`);
  for (const row of rows) {
    const { before, peak, after } = row.rss_mib;
    const cells = [
      ...[row.p99_alone_us, row.p99_past_us, row.p99_beside_us].map((us) =>
        us === null ? '' : `${us.toFixed(0)} µs`,
      ),
      ...[row.ratio.toFixed(2), row.late_p99_us.toFixed(0), row.answers, row.wrong_answers],
      [before, peak, after].map((mib) => mib.toFixed(0)).join(' / '),
      `${row.descriptors.before} / ${row.descriptors.after}`,
    ];
    console.log(`${row.what.padEnd(34)}${line(cells)}`);
  }
  console.log(
    '\npast: with the crowd at the replica itself; RSS before / peak / after; descriptors before / after',
  );
  for (const { crowd, wrong } of rows) {
    for (const text of wrong) console.log(`WRONG: ${crowd}: ${text}`);
  }
}
