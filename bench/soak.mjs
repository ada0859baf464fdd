/**
 * Soak: everything at once for a long time, every byte of every answer checked.
 *
 *   npm run soak -- [--minutes 10] [--callers 48] [--workers 3] [--seed 1]
 *
 * Answers of all sizes, streams, uploads, clients that read slowly or leave, replicas that reset in the middle, one
 * replica that comes and goes, a change of the split twice a second, and a worker killed every 15 s (never that of slot
 * 0, whose memory is watched). Prints a line every 10 s and a table at the end. Exit code 1 when an answer was not the
 * one to its request, a request was stuck, one failed without a reason, or descriptors or memory did not stay flat.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { build, checkPlatform, install, runMain, say, SetupError } from '../tools/setup.mjs';
import { Caller } from './soak/callers.mjs';
import { randomFrom } from './soak/content.mjs';
import { figuresOf, SoakDaemon } from './soak/daemon.mjs';
import { Record } from './soak/record.mjs';
import { flap, startReplica } from './soak/replicas.mjs';

const PROGRESS_MS = 10_000;
const SAMPLE_MS = 1_000;
const CHANGE_MS = 500;
const KILL_MS = 15_000;
const FLAP_MS = 500;
const SETTLE_MS_MAX = 20_000;
const SPLITS = [90, 50, 10, 100, 0, 99];

await runMain(async () => {
  const options = readOptions();
  checkPlatform();
  await install();
  await build();
  const record = new Record();
  const replicas = await Promise.all(['a1', 'a2', 'b1'].map((name) => startReplica(name, record)));
  const daemon = new SoakDaemon();
  await daemon.start(options.workers);
  let exitCode = null;
  try {
    await configure(daemon, replicas);
    const before = await figures(daemon);
    await soak(daemon, replicas, record, options);
    const after = await settled(daemon, before);
    exitCode = await daemon.stop();
    record.table();
    const wrong = record.verdict(before, after, exitCode);
    for (const line of wrong) console.log(`WRONG: ${line}`);
    say(wrong.length === 0 ? 'the soak is passed' : 'the soak has failed');
    process.exitCode = wrong.length === 0 ? 0 : 1;
  } finally {
    if (exitCode === null) await daemon.stop();
    for (const { server } of replicas) {
      server.close();
      server.closeAllConnections();
    }
  }
});

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      callers: { type: 'string', default: '48' },
      workers: { type: 'string', default: '3' },
      seed: { type: 'string', default: '1' },
    },
  });
  const numbers = Object.entries(values).map(([name, text]) => [name, Number(text)]);
  const bad = numbers.find(([, value]) => !(value > 0));
  if (bad !== undefined) throw new SetupError(`--${bad[0]} takes a number above 0`);
  const options = Object.fromEntries(numbers);
  if (options.workers < 2) throw new SetupError('--workers: at least 2, since one is killed');
  return options;
}

function deploymentOf(name, replicas) {
  return {
    name,
    protocol: 'raw',
    serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }],
    replicas: replicas.map(({ url }) => ({ url })),
    health: { type: 'http', interval_ms: 200, timeout_ms: 1_000, unhealthy_after: 2 },
    timeouts: { response_header_ms: 10_000, keepalive_idle_ms: 2_000 },
  };
}

function configOf(shareOfA) {
  return {
    served_entities: ['a', 'b'].map((name) => ({
      name,
      entity_name: `lab.ml.${name}`,
      entity_version: '1',
      workload_size: 'Small',
    })),
    traffic_config: {
      routes: [
        { served_model_name: 'a', traffic_percentage: shareOfA },
        { served_model_name: 'b', traffic_percentage: 100 - shareOfA },
      ],
    },
  };
}

async function configure(daemon, [a1, a2, b1]) {
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest?wait=all', {
    deployments: [deploymentOf('a', [a1, a2]), deploymentOf('b', [b1])],
    endpoints: [{ name: 'soak', config: configOf(90) }],
  });
}

/** Figures of the supervisor and of every worker, by name. */
async function figures(daemon) {
  const rows = [['supervisor', daemon.pid]];
  for (const { slot, pid } of await daemon.workers()) rows.push([`worker ${slot}`, pid]);
  return new Map(
    rows.map(([name, pid]) => [name, figuresOf(pid)]).filter(([, found]) => found !== null),
  );
}

async function soak(daemon, replicas, record, { minutes, callers, seed }) {
  const begun = performance.now();
  const ending = new AbortController();
  const { signal } = ending;
  const random = randomFrom(seed);
  const ids = { last: 0 };
  const { target } = daemon;
  const all = Array.from(
    { length: callers },
    (_, number) =>
      new Caller({
        target,
        ids,
        random: randomFrom(seed * 1_000 + number),
        onOutcome: (outcome) => record.note(outcome),
      }),
  );
  const running = [
    ...all.map((caller) => caller.run(signal)),
    flap(replicas[1], FLAP_MS, signal),
    every(CHANGE_MS, signal, () => change(daemon, record, random)),
    every(KILL_MS, signal, () => kill(daemon, record, random)),
    every(SAMPLE_MS, signal, async () => record.samples.push(await watched(daemon))),
    every(PROGRESS_MS, signal, async () => {
      record.progress(performance.now() - begun, [...(await figures(daemon)).values()]);
    }),
  ];
  await pause(minutes * 60_000);
  ending.abort();
  await Promise.all(running);
}

/** The supervisor and the worker that is never killed. */
async function watched(daemon) {
  const now = await figures(daemon);
  return new Map([...now].filter(([name]) => name === 'supervisor' || name === 'worker 0'));
}

async function every(periodMs, signal, work) {
  while (!signal.aborted) {
    await pause(periodMs, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await work();
  }
}

async function change(daemon, record, random) {
  const share = SPLITS[Math.floor(random() * SPLITS.length)];
  try {
    await daemon.admin('PUT', '/api/2.0/serving-endpoints/soak/config', configOf(share));
    record.changes += 1;
  } catch {
    // A change that waits for the replica that is away refuses the next one.
    record.failedChanges += 1;
  }
}

async function kill(daemon, record, random) {
  const others = (await daemon.workers()).filter(({ slot, pid }) => slot > 0 && pid > 0);
  const victim = others[Math.floor(random() * others.length)];
  if (victim === undefined) return;
  record.noteKill();
  try {
    process.kill(victim.pid, 'SIGKILL');
  } catch (error) {
    // It has ended by itself meanwhile.
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Figures when nothing is under way any more and idle connections have had their time. */
async function settled(daemon, before) {
  const since = performance.now();
  for (;;) {
    const now = await figures(daemon);
    const isQuiet = [...now].every(
      ([name, { descriptors }]) => descriptors <= (before.get(name)?.descriptors ?? 0),
    );
    if (isQuiet || performance.now() - since > SETTLE_MS_MAX) return now;
    await pause(200);
  }
}
