/** `pointsman endpoints [NAME]`: what is served, how it is split, and what waits. */
import type { Command } from 'commander';
import type { EndpointStatus, PendingStatus } from '../control/control-plane.js';
import { createClient, type AdminClient } from './client.js';
import { CliError, EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { modelText, renderTable } from './table.js';
import type { TargetOptions } from './target.js';
import { showViewedEndpoints } from './viewed-endpoints.js';

type Options = TargetOptions & { readonly json?: true };

export function addEndpointsCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('endpoints')
    .description('List endpoints, or show one with its served entities')
    .argument('[name]')
    .action(async (name: string | undefined, options: Options) => {
      const client = await createClient(options, io);
      const status = await client.tryStatus();
      if (status === null) {
        await showViewedEndpoints(client, name, options.json ?? false, io);
        onExit(EXIT_OK);
        return;
      }
      const { endpoints } = status;
      const shown = name === undefined ? endpoints : [findEndpoint(endpoints, name)];
      const [first] = shown;
      if (options.json) {
        io.out(JSON.stringify(name === undefined ? { endpoints } : first, null, 2));
      } else if (name === undefined) {
        io.out(endpoints.length === 0 ? noneYet(client) : describeEndpoints(endpoints));
      } else if (first !== undefined) {
        io.out(describeEndpoint(first));
      }
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, [
    'pointsman endpoints',
    'pointsman endpoints iris',
    'pointsman endpoints --json',
  ]);
}

function noneYet(client: AdminClient): string {
  return `No endpoints yet. Create some with "${client.line('apply -f manifest.yaml')}".`;
}

function findEndpoint(endpoints: readonly EndpointStatus[], name: string): EndpointStatus {
  const found = endpoints.find((endpoint) => endpoint.name === name);
  if (found !== undefined) return found;
  const names = endpoints.map((endpoint) => endpoint.name).join(', ') || 'none';
  throw new CliError(`There is no endpoint ${name}.`, `Endpoints: ${names}.`);
}

/** The rows that `status` shows too. */
export function describeEndpoints(endpoints: readonly EndpointStatus[]): string {
  const rows = endpoints.map((endpoint) => [
    endpoint.name,
    endpoint.ready,
    endpoint.config_update,
    versionOf(endpoint),
    endpoint.entities
      .map(({ name, traffic_percentage: percent }) => `${name} ${String(percent)} %`)
      .join(', '),
  ]);
  const notes = endpoints
    .filter(({ message }) => message !== '')
    .map(({ name, message }) => `${name}: ${message}`);
  const head = ['endpoint', 'ready', 'update', 'version', 'split'];
  return [renderTable(head, rows), ...notes].join('\n');
}

function describeEndpoint(endpoint: EndpointStatus): string {
  const rows = endpoint.entities.map((entity) => [
    entity.name,
    `${String(entity.traffic_percentage)} %`,
    modelText(entity.entity_name, entity.entity_version),
    entity.deployment || 'none',
    String(entity.requests),
    String(entity.errors),
    String(entity.in_flight),
    inMs(entity.latency_p50_ms),
    inMs(entity.latency_p90_ms),
    inMs(entity.latency_p99_ms),
  ]);
  const counters = ['requests', 'errors', 'in flight', 'p50', 'p90', 'p99'];
  const head = ['entity', 'share', 'model', 'deployment', ...counters];
  const version = `config version ${versionOf(endpoint)}`;
  const state = `${endpoint.ready}, ${endpoint.config_update}, ${version}`;
  const lines = [`${endpoint.name} (${endpoint.id}): ${state}`];
  if (endpoint.message !== '') lines.push(endpoint.message);
  lines.push('', renderTable(head, rows));
  if (endpoint.pending !== null) lines.push('', describePending(endpoint, endpoint.pending));
  return lines.join('\n');
}

function describePending(endpoint: EndpointStatus, pending: PendingStatus): string {
  const rows = pending.entities.map((entity) => [
    entity.name,
    `${String(entity.traffic_percentage)} %`,
    modelText(entity.entity_name, entity.entity_version),
    entity.deployment || 'none',
    entity.ready ? 'ready' : entity.reason,
  ]);
  const since = new Date(pending.started_at).toISOString();
  const state = PENDING_WORDS[endpoint.config_update];
  const title = `Config version ${String(pending.config_version)} ${state}, since ${since}:`;
  return `${title}\n${renderTable(['entity', 'share', 'model', 'deployment', 'state'], rows)}`;
}

const PENDING_WORDS = {
  NOT_UPDATING: 'waits',
  IN_PROGRESS: 'waits',
  UPDATE_FAILED: 'failed',
  UPDATE_CANCELED: 'was canceled',
} as const satisfies Record<EndpointStatus['config_update'], string>;

function versionOf(endpoint: EndpointStatus): string {
  const active = endpoint.config_version === null ? '-' : String(endpoint.config_version);
  const { pending_config_version: pending } = endpoint;
  if (pending === null) return active;
  return `${active} (${String(pending)} ${PENDING_WORDS[endpoint.config_update]})`;
}

/** Quantiles are interpolated in histogram buckets: more digits would be made up. */
function inMs(value: number | null): string {
  return value === null ? '-' : `${String(Number(value.toPrecision(2)))} ms`;
}
