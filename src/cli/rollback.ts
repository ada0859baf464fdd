/**
 * `pointsman rollback ENDPOINT [VERSION]`: has an earlier config accepted again and waits until it
 * serves. Without a version it is the one that served before the active one.
 */
import { InvalidArgumentError, type Command } from 'commander';
import type { ConfigHistoryItem, ShareStatus } from '../control/control-plane.js';
import { API, createClient, type AdminClient } from './client.js';
import { CliError, EXIT_OK, type Io } from './io.js';
import { addExamples, addPreemptOption, addTargetOptions, parseSeconds } from './options.js';
import { anything, flag, listOf, number, objectOf, orNull, text, time } from './shape.js';
import { modelText, renderTable } from './table.js';
import type { TargetOptions } from './target.js';
import { acceptedVersion, seeThrough, versionsShape } from './wait-live.js';

interface RollbackOptions extends TargetOptions {
  readonly json?: true;
  readonly list?: true;
  readonly preempt?: true;
  readonly timeout: number;
}

const historyShape = objectOf<{ readonly configs: ConfigHistoryItem[] }>({
  configs: listOf(
    objectOf<ConfigHistoryItem>({
      config_version: number,
      accepted_at: time,
      principal: text,
      activated_at: orNull(number),
      active: flag,
      equals_active: flag,
      pending: flag,
      split: listOf(
        objectOf<ShareStatus>({
          name: text,
          entity_name: orNull(text),
          entity_version: orNull(text),
          traffic_percentage: number,
        }),
      ),
    }),
  ),
});

export function addRollbackCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('rollback')
    .description('Bring an endpoint back to an earlier config')
    .argument('<endpoint>')
    .argument('[version]', 'config version; default: the one that served before', parseVersion)
    .option('--list', 'show the config versions that are kept, change nothing')
    .option('--timeout <seconds>', 'wait this long for the change to be live', parseSeconds, 60)
    .action(async (name: string, version: number | undefined, options: RollbackOptions) => {
      onExit(await runRollback(name, version, options, io));
    });
  addPreemptOption(command);
  addTargetOptions(command);
  addExamples(command, [
    'pointsman rollback iris',
    'pointsman rollback iris --list',
    'pointsman rollback iris 3 --preempt',
  ]);
}

function parseVersion(text: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a config version, e.g. 3');
}

async function runRollback(
  name: string,
  given: number | undefined,
  options: RollbackOptions,
  io: Io,
): Promise<number> {
  const client = await createClient(options, io);
  const path = `${API}/pointsman/endpoints/${encodeURIComponent(name)}`;
  // Read before the history, so that a change after it is refused instead of undone.
  const own = `${API}/serving-endpoints/${encodeURIComponent(name)}`;
  const { etag } = await client.call('GET', own, anything);
  const history = await readHistory(client, path);
  if (options.list) {
    io.out(options.json ? JSON.stringify({ configs: history }, null, 2) : describe(history));
    return EXIT_OK;
  }
  const say = options.json ? (): void => undefined : io.out.bind(io);
  const version = given ?? previousVersion(client, name, history);
  const active = history.find((item) => item.active);
  const target = history.find((item) => item.config_version === version);
  if (target !== undefined) say(describeChange(name, active, target));
  const startMs = io.nowMs();
  const { body } = await client.call('POST', `${path}/rollback`, versionsShape, {
    body: { config_version: version },
    ifMatch: etag,
    preempt: options.preempt ?? false,
  });
  say(`${name}: config version ${String(version)} again.`);
  const accepted = { name, version: acceptedVersion(body), startMs };
  const before = active?.config_version;
  const whatToSay = {
    timeoutMs: options.timeout * 1000,
    json: options.json ?? false,
    undo: before === undefined ? null : client.line(`rollback ${name} ${String(before)}`),
    report: { endpoint: name, rolled_back_to: version },
  };
  await seeThrough(client, io, accepted, whatToSay, (live) => ({
    config_version: live.version,
    live: true,
    revision: live.revision,
    live_after_ms: live.liveAfterMs,
  }));
  return EXIT_OK;
}

async function readHistory(client: AdminClient, path: string): Promise<ConfigHistoryItem[]> {
  const { body } = await client.call('GET', `${path}/history`, historyShape);
  return body.configs;
}

/** What served last before the active config and differs from it. */
function previousVersion(
  client: AdminClient,
  name: string,
  history: readonly ConfigHistoryItem[],
): number {
  const served = history.filter(
    ({ equals_active: same, activated_at: at }) => !same && at !== null,
  );
  served.sort((a, b) => Number(b.activated_at) - Number(a.activated_at));
  const [previous] = served;
  if (previous !== undefined) return previous.config_version;
  throw new CliError(
    `${name} has no config that served before and differs from the active one.`,
    `See what is kept with "${client.line(`rollback ${name} --list`)}".`,
  );
}

function describe(history: readonly ConfigHistoryItem[]): string {
  if (history.length === 0) return 'No config was accepted yet.';
  const rows = history.map((item) => [
    String(item.config_version),
    stateOf(item),
    new Date(item.accepted_at).toISOString(),
    item.principal,
    item.split
      .map(({ name, traffic_percentage: share }) => `${name} ${String(share)} %`)
      .join(', '),
    item.split.map(modelOf).join(', '),
  ]);
  return renderTable(['version', 'state', 'accepted', 'by', 'split', 'model'], rows);
}

function stateOf({ active, pending, activated_at: at }: ConfigHistoryItem): string {
  if (active) return 'active';
  if (pending) return 'waits';
  return at === null ? 'never served' : '';
}

/** Old and new shares with their models, as the same name may stand for another version. */
function describeChange(
  name: string,
  active: ConfigHistoryItem | undefined,
  target: ConfigHistoryItem,
): string {
  const before = active?.split ?? [];
  const added = target.split.filter((share) => !before.some((one) => one.name === share.name));
  const rows = [...before, ...added].map(({ name: entity }) => [
    entity,
    shareIn(before, entity),
    shareIn(target.split, entity),
  ]);
  const table = renderTable([name, 'old', 'new'], rows);
  if (!target.equals_active) return table;
  const version = String(target.config_version);
  return `${table}\nConfig version ${version} is the same as the active one.`;
}

function shareIn(split: readonly ShareStatus[], entity: string): string {
  const share = split.find(({ name }) => name === entity);
  if (share === undefined) return '-';
  return `${String(share.traffic_percentage)} % ${modelOf(share)}`.trim();
}

function modelOf({ entity_name: name, entity_version: version }: ShareStatus): string {
  return modelText(name, version);
}
