/**
 * `pointsman split ENDPOINT a=50 b=50`: changes the shares, waits until the change is live, then
 * shows what the traffic really does. Whatever happens after the change was accepted, the last line
 * says how to undo it.
 */
import type { Command } from 'commander';
import type { EntityStatus } from '../control/control-plane.js';
import { API, createClient, type AdminClient } from './client.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples, addPreemptOption, addTargetOptions, parseSeconds } from './options.js';
import {
  observe,
  parseShares,
  planSplit,
  toTrafficConfig,
  splitBack,
  configShape,
  type ConfigView,
  type ObservedEntity,
  type SplitPlan,
} from './split-plan.js';
import { objectOf, optional } from './shape.js';
import { renderTable } from './table.js';
import type { TargetOptions } from './target.js';
import {
  acceptedVersion,
  seeThrough,
  versionsShape,
  wasDeleted,
  type LiveUpdate,
} from './wait-live.js';

interface SplitOptions extends TargetOptions {
  readonly json?: true;
  readonly preempt?: true;
  readonly watch: number;
  readonly timeout: number;
}

interface EndpointView {
  readonly config?: ConfigView;
  readonly pending_config?: ConfigView;
}

const endpointShape = objectOf<EndpointView>({
  config: optional(configShape),
  pending_config: optional(configShape),
});

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
  addPreemptOption(command);
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
  const { body, etag } = await client.call('GET', path, endpointShape);
  const { config, pending_config: pending } = body;
  const plan = planSplit(endpoint, config ?? pending ?? {}, wanted);
  const say = options.json ? (): void => undefined : io.out.bind(io);
  say(describePlan(plan));

  const startMs = io.nowMs();
  const change = { traffic_config: toTrafficConfig(plan.after) };
  const { body: view } = await client.call('PUT', `${path}/config`, versionsShape, {
    body: change,
    ifMatch: etag,
    preempt: options.preempt ?? false,
  });
  const accepted = { name: plan.endpoint, version: acceptedVersion(view), startMs };
  const { before, after } = plan;
  const whatToSay = {
    timeoutMs: options.timeout * 1000,
    json: options.json ?? false,
    undo: client.line(splitBack(plan)),
    report: { endpoint, before, after },
  };
  await seeThrough(client, io, accepted, whatToSay, async (live) =>
    liveReport(live, await watch(client, plan, options.watch, io, say), options.watch),
  );
  return EXIT_OK;
}

/**
 * One line per second; the totals since the change are what is returned, none when nobody looked.
 */
async function watch(
  client: AdminClient,
  plan: SplitPlan,
  watchS: number,
  io: Io,
  say: (line: string) => void,
): Promise<ObservedEntity[]> {
  if (watchS === 0) return [];
  const base = await tryCounters(client, plan.endpoint);
  if (base === null) {
    say('Not watched: what each entity gets is shown to admins alone.');
    return [];
  }
  let observed = observe(base, base);
  say(`Watching for ${String(watchS)} s; Ctrl-C ends the watch and leaves the change in place.`);
  const startMs = io.nowMs();
  let elapsedMs = 0;
  while (elapsedMs < watchS * 1000 && !isInterrupted(io)) {
    await io.sleep(Math.min(WATCH_STEP_MS, watchS * 1000 - elapsedMs));
    if (isInterrupted(io)) break;
    elapsedMs = io.nowMs() - startMs;
    try {
      observed = observe(base, (await tryCounters(client, plan.endpoint)) ?? base);
    } catch (error) {
      if (isInterrupted(io)) break;
      throw error;
    }
    say(describeObserved(elapsedMs, observed));
  }
  if (isInterrupted(io)) say('The watch has ended; the change stays in place.');
  return observed;
}

/** Null: the caller may not see them. */
async function tryCounters(client: AdminClient, name: string): Promise<EntityStatus[] | null> {
  const status = await client.tryStatus();
  if (status === null) return null;
  const endpoint = status.endpoints.find((candidate) => candidate.name === name);
  if (endpoint === undefined) throw wasDeleted(name);
  return endpoint.entities;
}

/**
 * A call, because it changes between two looks at it, which the compiler does not expect of a
 * property.
 */
function isInterrupted(io: Io): boolean {
  return io.signal.aborted;
}

function describePlan(plan: SplitPlan): string {
  const rows = plan.before.map(({ name, percent }, index) => [
    name,
    `${String(percent)} %`,
    `${String(plan.after[index]?.percent)} %`,
  ]);
  return renderTable([plan.endpoint, 'old', 'new'], rows);
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

function liveReport(live: LiveUpdate, observed: readonly ObservedEntity[], watchS: number): object {
  return {
    config_version: live.version,
    live: true,
    revision: live.revision,
    live_after_ms: live.liveAfterMs,
    watched_s: observed.length === 0 ? 0 : watchS,
    observed,
  };
}
