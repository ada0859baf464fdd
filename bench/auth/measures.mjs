/** Measurements with many tokens: cold ones in a crowd and alone, floods of bad ones, more than anybody can remember. */
import { readFileSync } from 'node:fs';
import { closedLoop, generate, generateTokens } from '../load/load.mjs';
import { latencies, loadOf, underWatch } from '../measures.mjs';
import { delay } from '../processes.mjs';

/** Cold tokens before those that count: code is compiled and connections are open. */
const COLD_WARM = 1_024;
const COLD = 4_096;
/** For as many requests as there are tokens: ends by itself long before. */
const COUNTED_SECONDS = 600;
/** Of a flood before and behind the measurement in it. */
const MARGIN_MS = 400;
const FLOOD_CONNECTIONS = 64;
const REFUSED = [401, 503];

/** CPU of all processes of the target per token that it sees for the first time. */
export async function measureCold(run) {
  const { target, tokenAlgorithm } = run;
  const warm = await run.issuer().fileOf(tokenAlgorithm, COLD_WARM);
  const tokens = await run.issuer().fileOf(tokenAlgorithm, COLD);
  await sendAll(run, warm, COLD_WARM, [200]);
  const pids = [...target.proxyPids, ...target.supportPids];
  const { result, used, core } = await underWatch(
    run,
    () => sendAll(run, tokens, COLD, [200]),
    pids,
  );
  return {
    cpu_us_per_request: used.totalUs / result.answers,
    user_us_per_request: used.userUs / result.answers,
    requests_per_second: result.answers / result.seconds,
    ...core,
  };
}

/** Latency of tokens that come one by one, each for the first time. */
export async function measureLone(run) {
  const count = Math.round(run.rate * run.seconds);
  const tokens = await run.issuer().fileOf(run.tokenAlgorithm, count);
  const { result, core } = await underWatch(run, () =>
    generateTokens(run.programs.generator, run.target, run.cores.load, {
      ...loadOf(run),
      tokens,
      expected: [200],
    }),
  );
  return { ...latencies(result), ...core };
}

/**
 * Latency of requests with a cached token at a fixed rate, while other tokens come at `floodRate` per second (0: none):
 * variants of `badToken`, or good ones when there is no such thing.
 */
export async function measureFlood(run) {
  const { target, programs, cores, floodRate, badToken } = run;
  const flood = { ...loadOf(run), connections: FLOOD_CONNECTIONS, rate: floodRate };
  const sendFlood = async (seconds) => {
    if (floodRate === 0) return null;
    if (badToken === undefined) {
      await generate(programs.generator, target, cores.load, { ...flood, seconds });
      return null;
    }
    const tokens = run.issuer().write([badToken(run.issuer())]);
    const load = { ...flood, seconds, tokens, varied: true, expected: REFUSED };
    return generateTokens(programs.generator, target, cores.load, load);
  };
  const { result, beside, core } = await measureBeside(run, sendFlood);
  return { ...latencies(result), ...(beside === null ? {} : refusalsOf(beside)), ...core };
}

/** Measures the run's own load while `work`, called with the seconds it has to last, goes on around it. */
async function measureBeside(run, work) {
  const { target, programs, cores, seconds } = run;
  const working = work(seconds + (2 * MARGIN_MS) / 1_000);
  // Observed below; until then a failure must not end the process.
  working.catch(() => {});
  await delay(MARGIN_MS);
  const measured = await underWatch(run, () =>
    generate(programs.generator, target, cores.load, loadOf(run)),
  );
  return { ...measured, beside: await working };
}

function refusalsOf({ answers, statuses, seconds }) {
  return {
    refused_per_second: answers / seconds,
    busy_percent: (100 * (statuses[503] ?? 0)) / answers,
  };
}

/** Latency at a fixed rate by the target's own URL, while `crowd` connections ask another endpoint, `crowdRate` in all. */
export async function measureCrowd(run) {
  const { target, programs, cores, crowd, crowdRate } = run;
  const others = { ...target, path: target.standardPath, headers: target.standardHeaders };
  const load = { ...loadOf(run), connections: crowd, rate: crowdRate };
  const { result, beside, core } = await measureBeside(run, async (seconds) =>
    crowd === 0
      ? null
      : generate(programs.generator, others, cores.load, { ...load, seconds, split: false }),
  );
  return {
    ...latencies(result),
    ...(beside === null ? {} : { others_per_second: beside.answers / beside.seconds }),
    ...core,
  };
}

/**
 * Resident memory of worker and supervisor before, halfway through and after a million distinct tokens: bad ones, and
 * good ones more than any cache keeps.
 */
export async function measureMemory(run) {
  const { target, badTokens, goodTokens } = run;
  const before = residentMiB(target);
  await sendMany(run, badTokens / 2, goodTokens / 2);
  const halfway = residentMiB(target);
  await sendMany(run, badTokens / 2, goodTokens / 2);
  const after = residentMiB(target);
  // The daemon still does what it is there for.
  const { answers } = await closedLoop(target, run.cores.load, { ...loadOf(run), seconds: 1 });
  return {
    distinct_tokens: badTokens + goodTokens,
    worker_before_mib: before.worker,
    worker_halfway_mib: halfway.worker,
    worker_after_mib: after.worker,
    worker_growth_mib: after.worker - halfway.worker,
    supervisor_before_mib: before.supervisor,
    supervisor_after_mib: after.supervisor,
    supervisor_growth_mib: after.supervisor - halfway.supervisor,
    requests_per_second: answers,
  };
}

async function sendMany(run, bad, good) {
  const { issuer, tokenAlgorithm, tokensPerFile } = run;
  const base = issuer().write([issuer().token(tokenAlgorithm)]);
  await sendAll({ ...run, varied: true }, base, bad, REFUSED);
  for (let sent = 0; sent < good; sent += tokensPerFile) {
    const count = Math.min(tokensPerFile, good - sent);
    const file = await issuer().fileOf(tokenAlgorithm, count);
    await sendAll(run, file, count, [200]);
    issuer().forget(file);
  }
}

function sendAll(run, tokens, requests, expected) {
  return generateTokens(run.programs.generator, run.target, run.cores.load, {
    ...loadOf(run),
    rate: 0,
    seconds: COUNTED_SECONDS,
    requests,
    tokens,
    varied: run.varied ?? false,
    expected,
  });
}

function residentMiB({ proxyPids, supportPids }) {
  const sum = (pids) => pids.map(residentOf).reduce((all, one) => all + one, 0);
  return { worker: sum(proxyPids), supervisor: sum(supportPids) };
}

function residentOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1_024;
}
