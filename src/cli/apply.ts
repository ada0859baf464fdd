/**
 * `pointsman apply -f MANIFEST`: brings the daemon to what a manifest says and stays until it is
 * true. With
 * --replace whatever the manifest does not name is deleted, so that is shown first and asked for.
 */
import type { Command } from 'commander';
import type {
  EndpointStatus,
  ManifestChange,
  ManifestResult,
  Status,
} from '../control/control-plane.js';
import { API, createClient, type AdminClient } from './client.js';
import { CliError, EXIT_NOT_LIVE, EXIT_OK, EXIT_USAGE, type Io } from './io.js';
import { addExamples, addPreemptOption, addTargetOptions, parseSeconds } from './options.js';
import { readManifest } from './read-manifest.js';
import { anything, listOf, objectOf, text } from './shape.js';
import { counted, renderTable } from './table.js';
import type { TargetOptions } from './target.js';

interface ApplyOptions extends TargetOptions {
  readonly json?: true;
  readonly file: string;
  readonly replace?: true;
  readonly yes?: true;
  readonly dryRun?: true;
  readonly preempt?: true;
  readonly timeout: number;
}

const MANIFEST = `${API}/pointsman/manifest`;
const resultShape = objectOf<ManifestResult>({
  changes: listOf(
    objectOf<ManifestChange>({ kind: text, name: text, action: text, fields: listOf(text) }),
  ),
});
const POLL_MS = 250;
/** Fields of one changed resource that are listed; the rest is a number. */
const FIELDS_SHOWN = 4;

export function addApplyCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('apply')
    .description('Bring deployments and endpoints to what a manifest says')
    .requiredOption('-f, --file <manifest>', 'YAML or JSON; "-" reads standard input')
    .option('--dry-run', 'show what would change, change nothing')
    .option('--replace', 'delete what the manifest does not name')
    .option('--yes', 'do not ask before --replace deletes')
    .option('--timeout <seconds>', 'wait this long for endpoints to be ready', parseSeconds, 600)
    .action(async (options: ApplyOptions) => {
      onExit(await runApply(options, io));
    });
  addPreemptOption(command);
  addTargetOptions(command);
  addExamples(command, [
    'pointsman apply -f manifest.yaml',
    'pointsman apply -f manifest.yaml --dry-run',
    'pointsman apply -f manifest.yaml --replace --yes --timeout 60',
  ]);
}

async function runApply(options: ApplyOptions, io: Io): Promise<number> {
  const manifest = await readManifest(options.file, io);
  const client = await createClient(options, io);
  const say = options.json ? (): void => undefined : io.out.bind(io);
  if (options.dryRun) {
    const plan = await send(client, manifest, options, '?dry_run=true', null);
    say(`${describeChanges(plan.changes)}\nDry run: nothing was changed.`);
    if (options.json) io.out(JSON.stringify(plan, null, 2));
    return EXIT_OK;
  }
  const etag = options.replace ? await confirmDeletions(client, manifest, options, io) : null;
  const result = await send(client, manifest, options, '', etag);
  say(describeChanges(result.changes));
  const { status, waiting, failed } = await waitSettled(client, result, options, io, say);
  if (options.json) {
    const settled = waiting.length + failed.length === 0;
    const { revision } = status;
    const open = { waiting: waiting.map(reasonOf), failed: failed.map(reasonOf) };
    io.out(JSON.stringify({ ...result, revision, settled, ...open }, null, 2));
  }
  if (failed.length > 0) {
    const lines = failed.map(({ name, message }) => `${name} failed: ${message}`);
    throw new CliError(lines.join('\n'));
  }
  if (waiting.length > 0) {
    const names = waiting.map(({ name }) => name).join(', ');
    const hint = `The daemon goes on without this command; look with "${client.line('status')}".`;
    const message = `The manifest is stored, but not ready yet: ${names}.`;
    throw new CliError(message, hint, EXIT_NOT_LIVE);
  }
  for (const line of [...servesAsBefore(status, result), ...withoutReplica(status, result)])
    say(line);
  say(`Applied: revision ${String(status.revision)}.`);
  return EXIT_OK;
}

/** A deployment that waits for a ready address serves on as it was before its change. */
function servesAsBefore(status: Status, { changes }: ManifestResult): string[] {
  const changed = changes.filter(({ kind }) => kind === 'deployment').map(({ name }) => name);
  return status.deployments
    .filter(({ name, pending }) => pending && changed.includes(name))
    .map(({ name, message }) => `${name}: ${message}`);
}

/** What serves by the manifest is not held back by replicas that went down since, so it is said. */
function withoutReplica(status: Status, { changes }: ManifestResult): string[] {
  const names = changes.filter(({ kind }) => kind === 'endpoint').map(({ name }) => name);
  return status.endpoints
    .filter(({ name }) => names.includes(name))
    .flatMap(({ name, entities }) =>
      entities.flatMap(({ name: entity, deployment }) => {
        const found = status.deployments.find((candidate) => candidate.name === deployment);
        if (found === undefined || found.state === 'READY') return [];
        return [`${name}: ${entity} has no ready replica: ${found.message || 'no probe yet'}`];
      }),
    );
}

function reasonOf({ name, message }: EndpointStatus): object {
  return { name, message };
}

async function send(
  client: AdminClient,
  manifest: unknown,
  options: ApplyOptions,
  query: string,
  ifMatch: string | null,
): Promise<ManifestResult> {
  const method = options.replace ? 'PUT' : 'PATCH';
  const { body } = await client.call(method, MANIFEST + query, resultShape, {
    body: manifest,
    ifMatch,
    preempt: options.preempt ?? false,
  });
  return body;
}

/** The tag of the state that was looked at, so that nothing is deleted that was not shown. */
async function confirmDeletions(
  client: AdminClient,
  manifest: unknown,
  options: ApplyOptions,
  io: Io,
): Promise<string | null> {
  const { etag } = await client.call('GET', MANIFEST, anything);
  const plan = await send(client, manifest, options, '?dry_run=true', null);
  const deleted = plan.changes.filter(({ action }) => action === 'delete');
  if (deleted.length === 0) return etag;
  const tell = options.json ? io.err.bind(io) : io.out.bind(io);
  tell(`Not in the manifest, so --replace deletes:\n${describeChanges(deleted)}`);
  if (options.yes) return etag;
  if (!io.interactive) {
    throw new CliError(
      'Nothing was changed.',
      'Add --yes to delete without being asked.',
      EXIT_USAGE,
    );
  }
  const answer = await io.ask(`Delete ${counted(deleted.length, 'resource')}? [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('Nothing was changed.');
  return etag;
}

const ENDED_OTHERWISE: readonly string[] = ['UPDATE_FAILED', 'UPDATE_CANCELED'];

/** Whether the change made the daemon accept a config. */
function startsUpdate({ action, fields }: ManifestChange): boolean {
  if (action !== 'update') return action === 'create';
  return fields.some((field) => field === 'config' || field.startsWith('config.'));
}

/** How a manifest's endpoints stand when the wait ends. */
interface Outcome {
  readonly status: Status;
  readonly waiting: readonly EndpointStatus[];
  readonly failed: readonly EndpointStatus[];
}

/**
 * Stays until no endpoint of the change waits, the time is up, or Ctrl-C; says once per reason what
 * each one waits for.
 */
async function waitSettled(
  client: AdminClient,
  result: ManifestResult,
  { timeout }: ApplyOptions,
  io: Io,
  say: (line: string) => void,
): Promise<Outcome> {
  const changes = result.changes.filter(({ kind }) => kind === 'endpoint');
  const names = changes.map(({ name }) => name);
  const started = new Set(changes.filter(startsUpdate).map(({ name }) => name));
  const said = new Map<string, string>();
  const startMs = io.nowMs();
  for (;;) {
    const status = await client.status();
    const endpoints = status.endpoints.filter(({ name }) => names.includes(name));
    const waiting = endpoints.filter(({ config_update: update }) => update === 'IN_PROGRESS');
    const ended = endpoints.filter(({ config_update: update }) => ENDED_OTHERWISE.includes(update));
    // One that ended before this command is none of its business.
    const failed = ended.filter(({ name }) => started.has(name) || said.has(name));
    for (const { name, message } of waiting) {
      if (said.get(name) === message) continue;
      said.set(name, message);
      say(`${name} waits: ${message || 'in progress'}`);
    }
    if (waiting.length === 0 && failed.length === 0) {
      for (const { name, config_update: update, message } of ended) {
        say(`${name} serves what the manifest says; ${update} is of an earlier update: ${message}`);
      }
    }
    const isOver = waiting.length === 0 || io.nowMs() - startMs >= timeout * 1000;
    if (!isOver) await io.sleep(POLL_MS);
    if (isOver || io.signal.aborted) return { status, waiting, failed };
  }
}

function describeChanges(changes: readonly ManifestChange[]): string {
  const shown = changes.filter(({ action }) => action !== 'unchanged');
  const unchanged = changes.length - shown.length;
  const rows = shown.map(({ kind, name, action, fields }) => {
    const more = fields.length - FIELDS_SHOWN;
    const listed = fields.slice(0, FIELDS_SHOWN).join(', ');
    return [action, kind, name, more > 0 ? `${listed} and ${String(more)} more` : listed];
  });
  if (rows.length === 0)
    return `Nothing to change; ${counted(unchanged, 'resource')} as in the manifest.`;
  const table = renderTable(['action', 'kind', 'name', 'fields'], rows);
  return unchanged === 0 ? table : `${table}\n${counted(unchanged, 'resource')} unchanged.`;
}
