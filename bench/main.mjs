/** `npm run bench`: see `--help` (options.mjs). */
import './quiet.mjs';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { Issuer } from './auth/issuer.mjs';
import { BenchError } from './bench-error.mjs';
import { compareResults, describeComparison } from './compare.mjs';
import { missingLoad } from './load/load.mjs';
import {
  assignCores,
  backgroundLoad,
  describeCommit,
  describeMachine,
  QUIET_BUSY_MAX,
} from './machine.mjs';
import { FOREIGN_PERCENT_MAX } from './metrics.mjs';
import { runMicro } from './micro.mjs';
import { HELP, parseOptions } from './options.mjs';
import { pointsman } from './peers/pointsman.mjs';
import { findProgram, pin, stopAll } from './processes.mjs';
import { buildPrograms, ROOT } from './programs.mjs';
import { fillReadme } from './readme.mjs';
import { writeReport } from './report.mjs';
import { FORMAT, readResult, summaryOf, writeResult } from './results.mjs';
import { Runner } from './runner.mjs';
import { MICRO, selectScenarios } from './scenarios.mjs';
import { startStub } from './stub/stub.mjs';
import { describeResult } from './tables.mjs';

const COMMANDS = { help: () => print(HELP), run, compare, report, readme };
/** Of the time before each measurement. */
const WARM_SECONDS = { first: 2, other: 0.5 };
const QUICK_WARM_SECONDS = { first: 0.5, other: 0.3 };

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    stopAll().finally(() => process.exit(130));
  });
}

try {
  const options = parseOptions(process.argv.slice(2));
  await COMMANDS[options.command](options);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof BenchError ? error.message : error.stack}\n`);
  process.exitCode = 1;
} finally {
  await stopAll();
}

async function run(options) {
  const started = Date.now();
  const scenarios = selectScenarios(options.only, options.quick);
  const isMicroWanted = options.only.length === 0 || options.only.includes(MICRO);
  requirePrograms(scenarios, options.peers);
  buildDaemon();
  const cores = assignCores();
  const warnings = await lookAround(cores);
  const machine = describeMachine();
  pin(process.pid, cores.support);
  const measurable = scenarios.filter(({ needsTwoCores }) => !(needsTwoCores && cores.isShared));
  for (const { name } of scenarios) {
    if (measurable.some((one) => one.name === name)) continue;
    warnings.push(`${name} was not measured: it needs two cores`);
  }
  const { cases, failures } =
    measurable.length === 0
      ? { cases: [], failures: [] }
      : await runScenarios(measurable, options, cores);
  warnings.push(...disturbances(cases));
  const micro = isMicroWanted ? await runMicroOrFail(cores.proxy, options.rounds, failures) : [];
  const result = {
    format: FORMAT,
    started_at: new Date(started).toISOString(),
    took_s: Math.round((Date.now() - started) / 1_000),
    ...describeCommit(),
    machine,
    cores,
    peers: versionsOf([pointsman, ...(measurable.length > 0 ? options.peers : [])]),
    options: { rounds: options.rounds, seconds: options.seconds, quick: options.quick },
    warnings,
    cases,
    micro,
    failures,
  };
  const file = writeResult(result, options.output);
  const page = writeReport(result, file.replace(/(\.json)?$/, '.html'));
  print(options.json ? `${JSON.stringify(result)}\n` : `\n${describeResult(result)}`);
  say(`written: ${relative(file)}, ${relative(page)}`);
  if (failures.length > 0) process.exitCode = 1;
}

async function runScenarios(scenarios, options, cores) {
  say('building the load programs');
  const programs = await buildPrograms(['stub', 'generator', 'sse_client', 'caller']);
  const stub = await startStub(programs.stub, cores.replica);
  const warm = options.quick ? QUICK_WARM_SECONDS : WARM_SECONDS;
  let issuer = null;
  const context = {
    cores,
    programs,
    ports: stub.ports,
    rounds: options.rounds,
    seconds: options.seconds,
    warmSeconds: warm.other,
    firstWarmSeconds: warm.first,
    peers: options.peers,
    issuer: () => (issuer ??= new Issuer()),
  };
  try {
    return await new Runner(context, say).run(scenarios);
  } finally {
    issuer?.remove();
    await stub.stop();
  }
}

/** What was measured before must not be lost to a program that cannot be built. */
async function runMicroOrFail(core, rounds, failures) {
  try {
    return await runMicro(core, rounds, say);
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    say(`  ${MICRO}: FAILED: ${error.message}`);
    failures.push({ scenario: MICRO, target: pointsman.name, message: error.message });
    return [];
  }
}

function requirePrograms(scenarios, peers) {
  const missing = [];
  const need = (name, command) => {
    if (command !== null) missing.push(`${name} is missing; on Debian and Ubuntu: ${command}`);
  };
  need('taskset', findProgram('taskset') === null ? 'apt-get install util-linux' : null);
  if (scenarios.some(({ usesWrk }) => usesWrk)) need('wrk', missingLoad());
  const needed = new Set(
    scenarios.flatMap(({ targets }) => targets?.map(({ proxy }) => proxy ?? pointsman) ?? peers),
  );
  for (const proxy of needed) need(proxy.name, proxy.missing());
  if (missing.length === 0) return;
  throw new BenchError(`${missing.join('\n')}\n(--peers chooses which proxies are measured)`);
}

async function lookAround(cores) {
  const warnings = [];
  if (cores.isShared) {
    warnings.push(
      'there is one core only: proxy and load share it, and what depends on time is left out',
    );
  }
  const busy = await backgroundLoad(cores);
  if (busy > QUIET_BUSY_MAX) {
    warnings.push(
      `the machine was not quiet: ${Math.round(busy * 100)} % of a core was in use before the start`,
    );
  }
  warnings.forEach((warning) => say(`note: ${warning}`));
  return warnings;
}

/** A note on measurements during which the proxy core did much for others. */
function disturbances(cases) {
  const disturbed = cases.filter(
    (entry) => (summaryOf(entry, 'core_foreign')?.median ?? 0) > FOREIGN_PERCENT_MAX,
  );
  if (disturbed.length === 0) return [];
  return [
    `others used the proxy core in ${disturbed.length} of ${cases.length} figures (more than ${FOREIGN_PERCENT_MAX} % of it): they are worth little`,
  ];
}

function versionsOf(proxies) {
  return Object.fromEntries(proxies.map((proxy) => [proxy.name, proxy.version()]));
}

function compare({ names, threshold, json }) {
  const [before, after] = names.map(readResult);
  const comparison = compareResults(before, after, threshold);
  print(
    json
      ? `${JSON.stringify(comparison)}\n`
      : describeComparison(before, after, comparison, threshold),
  );
  if (comparison.worse > 0) process.exitCode = 1;
}

function report({ names: [name], output }) {
  const result = readResult(name);
  say(
    `written: ${relative(writeReport(result, output ?? result.file.replace(/(\.json)?$/, '.html')))}`,
  );
}

function readme({ names: [name] }) {
  say(`written: ${relative(fillReadme(readResult(name)))}`);
}

/** What that prints goes to standard error, or it would get into the JSON. */
function buildDaemon() {
  const { status } = spawnSync(process.execPath, [path.join(ROOT, 'tools', 'build.mjs')], {
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new BenchError('the daemon could not be built');
}

function relative(file) {
  const shown = path.relative(process.cwd(), file);
  return existsSync(shown) && !shown.startsWith('..') ? shown : file;
}

function print(text) {
  process.stdout.write(text);
}

/** Progress: to standard error, so that standard output holds the result alone. */
function say(line) {
  process.stderr.write(`${line}\n`);
}
