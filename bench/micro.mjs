/** Runs the micro benches (bench/micro/*_bench.cc) on the proxy core and hands back one entry per operation. */
import { judge } from './limits.mjs';
import { MICRO } from './scenarios.mjs';
import { runOn } from './processes.mjs';
import { buildPrograms, microBenchNames } from './programs.mjs';

const TIMEOUT_MS = 60_000;
/** Most nanoseconds of the operations whose names begin so. */
const LIMITS_NS = {
  'alias draw, 2 ': 5,
  'alias draw, 100 ': 5,
  'alias draw, 10000 ': 10,
  'token lookup': 500,
};

/** Answers entries as those of scenarios: `rounds` holds the median of each run of the program. */
export async function runMicro(core, rounds, progress) {
  const names = microBenchNames();
  const programs = await buildPrograms(names);
  const entries = new Map();
  for (let round = 1; round <= rounds; round += 1) {
    for (const name of names) {
      const output = await runOn(core, programs[name], [], TIMEOUT_MS);
      for (const line of output.trim().split('\n')) {
        const { name: operation, ns } = JSON.parse(line);
        if (!entries.has(operation)) entries.set(operation, newEntry(operation));
        entries.get(operation).metrics.ns_per_operation.rounds.push(ns);
      }
    }
    progress(`  ${MICRO} ${round}/${rounds}`);
  }
  for (const entry of entries.values()) judge([entry], limitsOf(entry.case));
  return [...entries.values()];
}

function limitsOf(operation) {
  return Object.entries(LIMITS_NS)
    .filter(([start]) => operation.startsWith(start))
    .map(([, max]) => ({ metric: 'ns_per_operation', target: 'pointsman', max }));
}

function newEntry(operation) {
  return {
    scenario: MICRO,
    case: operation,
    target: 'pointsman',
    metrics: { ns_per_operation: { rounds: [] } },
  };
}
