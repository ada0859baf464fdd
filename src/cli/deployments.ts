/** `pointsman deployments [NAME]`: where entities run, and which addresses are healthy. */
import type { Command } from 'commander';
import type { AddressStatus, DeploymentLoad, DeploymentView } from '../control/control-plane.js';
import { createClient, type AdminClient } from './client.js';
import { CliError, EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { formatDuration, renderTable } from './table.js';
import type { TargetOptions } from './target.js';

type Options = TargetOptions & { readonly json?: true };

export function addDeploymentsCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('deployments')
    .description('List deployments, or show one with its addresses')
    .argument('[name]')
    .action(async (name: string | undefined, options: Options) => {
      const client = await createClient(options, io);
      const { deployments } = await client.status();
      const shown = name === undefined ? deployments : [findDeployment(deployments, name)];
      const [first] = shown;
      if (options.json) {
        io.out(JSON.stringify(name === undefined ? { deployments } : first, null, 2));
      } else if (name === undefined) {
        io.out(deployments.length === 0 ? noneYet(client) : describeDeployments(deployments));
      } else if (first !== undefined) {
        io.out(describeDeployment(first));
      }
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, ['pointsman deployments', 'pointsman deployments model-a']);
}

function noneYet(client: AdminClient): string {
  return `No deployments yet. Create some with "${client.line('apply -f manifest.yaml')}".`;
}

function findDeployment(deployments: readonly DeploymentView[], name: string): DeploymentView {
  const found = deployments.find((deployment) => deployment.name === name);
  if (found !== undefined) return found;
  const names = deployments.map((deployment) => deployment.name).join(', ') || 'none';
  throw new CliError(`There is no deployment ${name}.`, `Deployments: ${names}.`);
}

/** The rows that `status` shows too. */
export function describeDeployments(deployments: readonly DeploymentView[]): string {
  const rows = deployments.map((deployment) => {
    const ready = deployment.addresses.filter(({ state }) => state === 'READY').length;
    return [
      deployment.name,
      deployment.state,
      `${String(ready)} of ${String(deployment.addresses.length)}`,
      deployment.used_by.join(', ') || 'nothing',
    ];
  });
  const notes = deployments
    .filter(({ message }) => message !== '')
    .map(({ name, message }) => `${name}: ${message}`);
  return [renderTable(['deployment', 'state', 'ready', 'used by'], rows), ...notes].join('\n');
}

function stateOf({ state, ejected_workers: workers, ejected_until: until }: AddressStatus): string {
  if (state !== 'EJECTED') return state;
  const leftS = Math.ceil(Math.max(0, (until ?? 0) - Date.now()) / 1000);
  const by = `${String(workers)} ${workers === 1 ? 'worker' : 'workers'}`;
  return `${state} by ${by}, ${formatDuration(leftS)} more`;
}

function describeLoad(load: DeploymentLoad): string {
  const limit = load.max_in_flight === 0 ? 'no limit' : `limit ${String(load.max_in_flight)}`;
  const turnedAway = String(load.refused_full + load.refused_deadline);
  const parts = [
    `${String(load.in_flight)} in flight (${limit})`,
    `${String(load.waiting)} waiting`,
  ];
  return `Load: ${[...parts, `${turnedAway} turned away since the start`].join(', ')}.`;
}

function describeDeployment(deployment: DeploymentView): string {
  const rows = deployment.addresses.map((address) => [
    address.address,
    address.replica_url,
    String(address.weight),
    stateOf(address),
    String(address.in_flight),
    formatDuration(Math.max(0, Date.now() - address.since) / 1000),
    address.last_error,
  ]);
  const head = ['address', 'replica', 'weight', 'state', 'in flight', 'since', 'last error'];
  const usedBy = deployment.used_by.join(', ') || 'nothing';
  const lines = [`${deployment.name}: ${deployment.state}, used by ${usedBy}`];
  if (deployment.message !== '') lines.push(deployment.message);
  lines.push(describeLoad(deployment.load));
  return [...lines, '', renderTable(head, rows)].join('\n');
}
