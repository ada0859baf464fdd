/**
 * `pointsman split ENDPOINT a=50 b=50`: changes the shares, waits until the change is live, then
 * shows what the traffic really does. Whatever happens after the change was accepted, the last line
 * says how to undo it.
 */
import type { Command } from 'commander';
import type { EndpointStatus, Status } from '../control/control-plane.js';
import { API, createClient, type AdminClient } from './client.js';
import { CliError, EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions, parseSeconds } from './options.js';
import {
  observe,
  parseShares,
  planSplit,
  toTrafficConfig,
  undoLine,
  type ConfigView,
  type ObservedEntity,
  type SplitPlan,
} from './split-plan.js';
import { renderTable } from './table.js';
import type { TargetOptions } from './target.js';

interface SplitOptions extends TargetOptions {
  readonly json?: true;
  readonly watch: number;
  readonly timeout: number;
}

interface EndpointView {
  readonly config?: ConfigView;
  readonly pending_config?: ConfigView;
}

/** What is known once the change is live. */
interface LiveSplit {
  readonly status: Status;
  readonly endpoint: EndpointStatus;
  readonly liveAfterMs: number;
}

const POLL_MS = 100;
const WATCH_STEP_MS = 1000;

export function addSplitCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('split')
    .description('Change the traffic split of an endpoint and watch what it does')
    .argument('<endpoint>')
    .argument('<name=percent...>', 'share of each served entity; the sum is 100')
    .option('--watch <seconds>', 'watch the traffic this long; 0: not at all', parseSeconds, 10)
    .option('--timeout <seconds>', 'wait this long for the change to be live', parseSeconds, 60)
    .action(async (endpoint: string, args: string[], options: SplitOptions) => {
      onExit(await runSplit(endpoint, args, options, io));
    });
  addTargetOptions(command);
  addExamples(command, [
    'pointsman split iris current=50 challenger=50',
    'pointsman split iris current=0 challenger=100 --watch 60',
    'pointsman split iris current=90 challenger=10 --watch 0 --json',
  ]);
}

async function runSplit(
  endpoint: string,
  args: readonly string[],
  options: SplitOptions,
  io: Io,
): Promise<number> {
  const wanted = parseShares(args);
  const client = await createClient(options, io);
  const path = `${API}/serving-endpoints/${encodeURIComponent(endpoint)}`;
  const { body, etag } = await client.call('GET', path);
  const { config, pending_config: pending } = body as EndpointView;
  const plan = planSplit(endpoint, config ?? pending ?? {}, wanted);
  const say = options.json ? (): void => undefined : io.out.bind(io);
  say(describePlan(plan));

  const startMs = io.nowMs();
  const change = { traffic_config: toTrafficConfig(plan.after) };
  await client.call('PUT', `${path}/config`, { body: change, ifMatch: etag });
  try {
    const live = await waitLive(client, plan, startMs, options.timeout * 1000, io);
    say(describeLive(live));
    const observed = await watch(client, plan, live, options.watch, io, say);
    if (options.json)
      io.out(JSON.stringify(toReport(plan, live, observed, options.watch), null, 2));
  } finally {
    // On standard error with --json, so that a script's output stays one object.
    const sayUndo = options.json ? io.err.bind(io) : io.out.bind(io);
    sayUndo(`Undo: ${undoLine(plan)}`);
  }
  return EXIT_OK;
}

async function waitLive(
  client: AdminClient,
  plan: SplitPlan,
  startMs: number,
  timeoutMs: number,
  io: Io,
): Promise<LiveSplit> {
  for (;;) {
    const status = await client.status();
    const endpoint = endpointIn(status, plan.endpoint);
    const elapsedMs = io.nowMs() - startMs;
    if (endpoint.config_update === 'NOT_UPDATING') {
      return { status, endpoint, liveAfterMs: Math.round(elapsedMs) };
    }
    if (endpoint.config_update !== 'IN_PROGRESS') {
      throw new CliError(`The change failed (${endpoint.config_update}): ${endpoint.message}`);
    }
    if (elapsedMs >= timeoutMs || io.signal.aborted) {
      throw new CliError(
        `The change was accepted but is not live yet: ${endpoint.message || 'it is in progress'}`,
        `It goes on without this command; look with "pointsman endpoints ${plan.endpoint}".`,
      );
    }
    await io.sleep(POLL_MS);
  }
}

/** One line per second; the totals since the change are what is returned. */
async function watch(
  client: AdminClient,
  plan: SplitPlan,
  live: LiveSplit,
  watchS: number,
  io: Io,
  say: (line: string) => void,
): Promise<ObservedEntity[]> {
  const base = live.endpoint.entities;
  let observed = observe(base, base);
  if (watchS === 0) return observed;
  say(`Watching for ${String(watchS)} s; Ctrl-C ends the watch and leaves the change in place.`);
  const startMs = io.nowMs();
  let elapsedMs = 0;
  while (elapsedMs < watchS * 1000 && !isInterrupted(io)) {
    await io.sleep(Math.min(WATCH_STEP_MS, watchS * 1000 - elapsedMs));
    if (isInterrupted(io)) break;
    elapsedMs = io.nowMs() - startMs;
    try {
      observed = observe(base, endpointIn(await client.status(), plan.endpoint).entities);
    } catch (error) {
      if (isInterrupted(io)) break;
      throw error;
    }
    say(describeObserved(elapsedMs, observed));
  }
  if (isInterrupted(io)) say('The watch has ended; the change stays in place.');
  return observed;
}

/**
 * A call, because it changes between two looks at it, which the compiler does not expect of a
 * property.
 */
function isInterrupted(io: Io): boolean {
  return io.signal.aborted;
}

function endpointIn(status: Status, name: string): EndpointStatus {
  const endpoint = status.endpoints.find((candidate) => candidate.name === name);
  if (endpoint === undefined) throw new CliError(`${name} was deleted in the meantime.`);
  return endpoint;
}

function describePlan(plan: SplitPlan): string {
  const rows = plan.before.map(({ name, percent }, index) => [
    name,
    `${String(percent)} %`,
    `${String(plan.after[index]?.percent)} %`,
  ]);
  return renderTable([plan.endpoint, 'old', 'new'], rows);
}

function describeLive({ status, endpoint, liveAfterMs }: LiveSplit): string {
  const version = `config version ${String(endpoint.config_version)}`;
  return `Live after ${String(liveAfterMs)} ms: ${version}, revision ${String(status.revision)}.`;
}

function describeObserved(elapsedMs: number, observed: readonly ObservedEntity[]): string {
  const total = observed.reduce((sum, { requests }) => sum + requests, 0);
  const time = `${String(Math.round(elapsedMs / 1000))} s`.padStart(5);
  const parts = observed.map(({ name, share_percent: share, errors }) => {
    const percent = share === null ? '-' : `${share.toFixed(1)} %`;
    return `${name} ${percent} (${String(errors)} failed)`;
  });
  return `${time}  ${String(total)} requests  ${parts.join('  ')}`;
}

function toReport(
  plan: SplitPlan,
  live: LiveSplit,
  observed: readonly ObservedEntity[],
  watchS: number,
): object {
  return {
    endpoint: plan.endpoint,
    before: plan.before,
    after: plan.after,
    config_version: live.endpoint.config_version,
    revision: live.status.revision,
    live_after_ms: live.liveAfterMs,
    watched_s: watchS,
    observed,
    undo: undoLine(plan),
  };
}
