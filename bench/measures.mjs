/**
 * One measurement: load on one target for some seconds, and what its process used meanwhile. Each answers values by
 * metric (metrics.mjs) and throws when an answer was wrong.
 *
 * `run`: { target, cores, programs, seconds, workload, …the fields of the case and of the target }.
 */
import { performance } from 'node:perf_hooks';
import { BenchError } from './bench-error.mjs';
import { busySince, readCore, readProcesses, usedSince } from './cpu.mjs';
import { callAtPace, closedLoop, generate, readEvents } from './load/load.mjs';
import { WORKLOADS } from './stub/stub.mjs';

const BODY_BYTES = 100;
const MIB = 2 ** 20;
/** Shares of entity `a` that pushes switch between, and the one it has otherwise. */
const PUSHED_SHARES = [50, 80];
const SHARE = 90;

/** Load for which every byte of every answer is checked; its figures are thrown away. */
export async function warmUp(run) {
  const { target, cores, programs } = run;
  if (run.workload === 'events') {
    await readEvents(programs.sse_client, target, cores.load, run);
    return;
  }
  const load = { ...loadOf(run), rate: 0, split: target.isSplit !== false };
  await generate(programs.generator, target, cores.load, load);
}

export async function measureSmall(run) {
  const { result, used, core } = await underWatch(run, () =>
    closedLoop(run.target, run.cores.load, loadOf(run)),
  );
  return {
    cpu_us_per_request: used.totalUs / result.answers,
    user_us_per_request: used.userUs / result.answers,
    requests_per_second: result.answers / result.seconds,
    ...core,
  };
}

export async function measureBytes(run) {
  const load = loadOf(run);
  const { result, used, core } = await underWatch(run, () =>
    closedLoop(run.target, run.cores.load, load),
  );
  const bytes = result.answers * Math.max(load.bodyBytes, load.answerBytes);
  return {
    mib_per_cpu_second: bytes / MIB / (used.totalUs / 1e6),
    requests_per_second: result.answers / result.seconds,
    ...core,
  };
}

export async function measureLatency(run) {
  const { result, used, core } = await underWatch(run, () =>
    generate(run.programs.generator, run.target, run.cores.load, {
      ...loadOf(run),
      split: run.target.isSplit !== false,
    }),
  );
  return { ...perUnit('cpu_us_per_request', used, result.answers), ...latencies(result), ...core };
}

export async function measureEvents(run) {
  const { result, used, core } = await underWatch(run, () =>
    readEvents(run.programs.sse_client, run.target, run.cores.load, run),
  );
  return {
    ...perUnit('cpu_us_per_event', used, result.events),
    delay_p50_us: result.delay_us.p50,
    delay_p99_us: result.delay_us.p99,
    events_per_second: result.events / result.seconds,
    ...core,
  };
}

/**
 * Latency at a fixed rate, with `pushEveryMs` between the beginnings of two pushes (0: none). The pushes come from a
 * program of a few microseconds per call: on two cores it shares one with the load.
 */
export async function measurePushes(run) {
  const { target, cores, programs, seconds, pushEveryMs } = run;
  const isPushing = pushEveryMs > 0;
  try {
    const { result, core } = await underWatch(run, async () => {
      const load = { ...loadOf(run), split: !isPushing };
      const [generated, called] = await Promise.all([
        generate(programs.generator, target, cores.load, load),
        isPushing
          ? callAtPace(programs.caller, cores.load, {
              port: target.adminPort,
              files: target.writePushes(PUSHED_SHARES),
              perSecond: 1_000 / pushEveryMs,
              seconds,
            })
          : null,
      ]);
      return { ...generated, called };
    });
    const { called } = result;
    const pushes = called === null ? {} : { push_ms: called.call_us.p50 / 1_000 };
    return { ...latencies(result), pushes: called?.calls ?? 0, ...pushes, ...core };
  } finally {
    if (isPushing) await target.push(SHARE);
  }
}

/** After a round of events: what each target added to the delay of events that came without a proxy. */
export function addDelays(valuesByTarget) {
  const floor = valuesByTarget.direct;
  if (floor === undefined) return;
  for (const values of Object.values(valuesByTarget)) {
    if (values === floor) continue;
    values.added_p50_us = values.delay_p50_us - floor.delay_p50_us;
    values.added_p99_us = values.delay_p99_us - floor.delay_p99_us;
  }
}

function perUnit(metric, used, count) {
  return used.totalUs === 0 ? {} : { [metric]: used.totalUs / count };
}

export function loadOf(run) {
  return {
    connections: run.connections,
    seconds: run.seconds,
    rate: run.rate,
    endpoints: run.endpoints,
    bodyBytes: run.bodyBytes ?? BODY_BYTES,
    answerBytes: WORKLOADS[run.workload].answerBytes,
  };
}

export function latencies({ latency_us: latency, late_us: late }) {
  return {
    p50_us: latency.p50,
    p99_us: latency.p99,
    p999_us: latency.p999,
    late_p99_us: late.p99,
  };
}

/** Answers { result, used, core }: what `work` answered, CPU time of `pids`, and how busy the proxy's core was. */
export async function underWatch({ target, cores }, work, pids = target.proxyPids) {
  const startedAt = performance.now();
  const processes = readProcesses(pids);
  const before = readCore(cores.proxy);
  const result = await work();
  const { busy, steal } = busySince(before, cores.proxy);
  const used = usedSince(processes, pids);
  const elapsedUs = (performance.now() - startedAt) * 1_000;
  // Without a proxy the core has nothing to do, and no figure of it means anything.
  if (pids.length === 0) return { result, used, core: {} };
  if (used.totalUs === 0) throw new BenchError('the proxy used no CPU: its process was not found');
  const core = {
    core_busy: busy * 100,
    core_foreign: Math.max(0, busy * 100 - (used.totalUs / elapsedUs) * 100),
    core_stolen: steal * 100,
  };
  return { result, used, core };
}
