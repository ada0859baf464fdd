/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';
import { BenchError } from './bench-error.mjs';
import { PEERS } from './peers/peers.mjs';
import { selectableNames } from './scenarios.mjs';

export const HELP = `usage: npm run bench -- [options]
       npm run bench -- compare BEFORE AFTER [--threshold PERCENT] [--json]
       npm run bench -- report RESULT [--output FILE]
       npm run bench -- readme RESULT

Measures pointsman beside ${PEERS.map(({ name }) => name).join(', ')}: CPU per request, latency at a fixed rate,
large bodies, event streams, many endpoints, changes under load, signed tokens and floods of bad ones; and single
operations of the native core. Prints tables with the limits of figures, and writes every round, the commit and the
machine to bench/results/ with a report (HTML) beside it.

options
  --quick            one short round of the main cases: does all work? (two minutes; its figures mean little)
  --only NAMES       ${selectableNames().join(', ')}
  --rounds N         rounds per case, interleaved; the median counts (default 5)
  --seconds N        length of a measurement (default 4)
  --peers NAMES      proxies to measure beside pointsman, or "none" (default: all)
  --json             print the result as JSON instead of tables; progress goes to standard error
  --output FILE      where to write the result or report
  --threshold N      compare: flag changes past N percent (default 5); exit code 1 when something became worse
  --help             this text

compare, report and readme take a file, the beginning of a commit that has a result, or "latest".

examples
  npm run bench                                     everything, about 35 minutes on a quiet machine
  npm run bench -- --quick
  npm run bench -- --only small,latency --peers nginx,haproxy
  npm run bench -- --only micro --rounds 3
  npm run --silent bench -- --only small-64 --json > small.json
  npm run bench -- compare 4a5b6c7 latest --threshold 3
`;

const DEFAULTS = { rounds: 5, seconds: 4, threshold: 5 };
const QUICK = { rounds: 1, seconds: 1 };
const ROUNDS_MAX = 1_000;
const SECONDS_MAX = 3_600;

/** Answers `{ command, names, … }`. @throws {BenchError} that names the option */
export function parseOptions(argv) {
  const { values, positionals } = parse(argv);
  if (values.help === true) return { command: 'help' };
  const [command = 'run', ...names] = positionals;
  const wanted = { run: 0, compare: 2, report: 1, readme: 1 }[command];
  if (wanted === undefined) throw new BenchError(`${command}: no command; see --help`);
  if (names.length !== wanted) {
    throw new BenchError(`${command} takes ${wanted} names, not ${names.length}; see --help`);
  }
  const standard = values.quick === true ? { ...DEFAULTS, ...QUICK } : DEFAULTS;
  return {
    command,
    names,
    quick: values.quick === true,
    json: values.json === true,
    output: values.output,
    only: listOf('only', values.only, selectableNames()),
    peers: peersOf(values.peers),
    rounds: integerOf('rounds', values.rounds, standard.rounds, ROUNDS_MAX),
    seconds: integerOf('seconds', values.seconds, standard.seconds, SECONDS_MAX),
    threshold: percentOf(values.threshold),
  };
}

function parse(args) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        only: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        peers: { type: 'string' },
        output: { type: 'string' },
        threshold: { type: 'string' },
      },
    });
  } catch (error) {
    throw new BenchError(`${error.message}; see --help`);
  }
}

function peersOf(text) {
  if (text === undefined) return PEERS;
  if (text === 'none') return [];
  const names = listOf(
    'peers',
    text,
    PEERS.map(({ name }) => name),
  );
  return PEERS.filter(({ name }) => names.includes(name));
}

function listOf(option, text, known) {
  const names = (text ?? '').split(',').filter((name) => name !== '');
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new BenchError(`--${option}: ${name} is none of ${known.join(', ')}`);
  }
  return names;
}

function integerOf(option, text, standard, max) {
  if (text === undefined) return standard;
  if (/^\d{1,6}$/.test(text) && Number(text) >= 1 && Number(text) <= max) return Number(text);
  throw new BenchError(`--${option}: ${text} is no integer from 1 to ${max}`);
}

function percentOf(text) {
  const percent = text === undefined ? DEFAULTS.threshold : Number(text);
  if (text !== '' && percent >= 0 && percent <= 1_000) return percent / 100;
  throw new BenchError(`--threshold: ${text} is no percentage from 0 to 1000`);
}
