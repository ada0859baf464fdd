/** Runs the load programs against a target and hands back what they counted; a wrong answer is an error. */
import { fileURLToPath } from 'node:url';
import { BenchError } from '../bench-error.mjs';
import { findProgram, runOn } from '../processes.mjs';

const LUA = fileURLToPath(new URL('wrk.lua', import.meta.url));
/** Beyond the time the load itself takes. */
const PATIENCE_MS = 30_000;
/** Shares of entity `a` that a split of 90 to 10 gives; narrow bounds are for long runs. */
const SPLIT_SHARE = 0.9;
const SPLIT_DEVIATIONS_MAX = 6;

export function missingLoad() {
  return findProgram('wrk') === null ? 'apt-get install wrk' : null;
}

/**
 * Closed loop with wrk: every connection sends when it has its answer. It checks statuses only, so that it costs little;
 * bodies are checked by `generate`.
 */
export async function closedLoop(target, core, options) {
  const { connections, seconds, bodyBytes, endpoints = 1 } = options;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '5s', '-s', LUA];
  const headers = target.headers.flatMap((header) => {
    const colon = header.indexOf(':');
    return [header.slice(0, colon), header.slice(colon + 1).trim()];
  });
  const url = `http://127.0.0.1:${target.port}${target.path}`;
  const output = await runOn(
    core,
    findProgram('wrk'),
    [...args, url, '--', String(bodyBytes), String(endpoints), ...headers],
    seconds * 1_000 + PATIENCE_MS,
  );
  const result = JSON.parse(output.slice(output.lastIndexOf('\n{')));
  refuseFailures('wrk', result.failed);
  return result;
}

/** The native generator; `rate` per second makes it an open loop. Every answer is checked, and the split. */
export async function generate(program, target, core, { split = true, ...options }) {
  const result = await runGenerator(program, target, core, options);
  refuseFailures('generator', result.failed);
  if (split) refuseWrongSplit(result.entities);
  return result;
}

/**
 * The same with a file of bearer `tokens`, each sent once, or with `varied` the first one for ever, each time with
 * another wrong signature. Answers of other statuses than `expected` are an error.
 */
export async function generateTokens(program, target, core, { expected, ...options }) {
  const headers = target.headers.filter((header) => !/^authorization:/i.test(header));
  const result = await runGenerator(program, { ...target, headers }, core, options);
  const failed = { ...result.failed, status: 0 };
  const unexpected = Object.entries(result.statuses)
    .filter(([status]) => !expected.includes(Number(status)))
    .map(([status, count]) => [`with status ${status}`, count]);
  refuseFailures('generator', { ...failed, ...Object.fromEntries(unexpected) });
  return result;
}

function runGenerator(program, target, core, options) {
  const { connections, seconds, bodyBytes, answerBytes, rate = 0 } = options;
  const { requests = 0, tokens, varied = false } = options;
  return runClient(program, target, core, {
    connections,
    rate,
    'duration-ms': Math.round(seconds * 1_000),
    'body-bytes': bodyBytes,
    'answer-bytes': answerBytes,
    requests,
    ...(tokens === undefined ? {} : { tokens, varied: varied ? 1 : 0 }),
  });
}

export async function readEvents(program, target, core, { connections, seconds }) {
  const result = await runClient(program, target, core, {
    connections,
    'duration-ms': Math.round(seconds * 1_000),
  });
  refuseFailures('sse_client', { stream: result.failures });
  return result;
}

/**
 * The native caller of an admin port: `files` in turn, each a request as it is sent, for as long as a load takes. A call
 * that fails is an error.
 */
export async function callAtPace(program, core, { port, files, perSecond, seconds }) {
  const output = await runOn(
    core,
    program,
    [
      ...['--port', String(port), '--per-second', String(perSecond)],
      ...['--duration-ms', String(Math.round(seconds * 1_000))],
      ...files.flatMap((file) => ['--request', file]),
    ],
    seconds * 1_000 + PATIENCE_MS,
  );
  const result = JSON.parse(output);
  refuseFailures('caller', { calls: result.failures });
  return result;
}

async function runClient(program, target, core, options) {
  const args = Object.entries({ port: target.port, path: target.path, ...options });
  const output = await runOn(
    core,
    program,
    [
      ...args.flatMap(([name, value]) => [`--${name}`, String(value)]),
      ...target.headers.flatMap((header) => ['--header', header]),
    ],
    options['duration-ms'] + PATIENCE_MS,
  );
  return JSON.parse(output);
}

function refuseFailures(who, failed) {
  const wrong = Object.entries(failed).filter(([, count]) => count > 0);
  if (wrong.length === 0) return;
  const list = wrong.map(([what, count]) => `${count} ${what}`).join(', ');
  throw new BenchError(`${who}: answers were wrong or missing: ${list}`);
}

function refuseWrongSplit({ a = 0, b = 0 }) {
  const all = a + b;
  const deviation = Math.sqrt((SPLIT_SHARE * (1 - SPLIT_SHARE)) / all);
  if (all > 0 && Math.abs(a / all - SPLIT_SHARE) <= SPLIT_DEVIATIONS_MAX * deviation) return;
  throw new BenchError(`the split is not 90 to 10: ${a} answers of a, ${b} of b`);
}
