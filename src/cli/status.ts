/** `pointsman status`: one look at the daemon. */
import type { Command } from 'commander';
import type { Status } from '../control/control-plane.js';
import { createClient } from './client.js';
import { describeDeployments } from './deployments.js';
import { describeEndpoints } from './endpoints.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import { formatDuration, renderTable } from './table.js';
import type { TargetOptions } from './target.js';

type Options = TargetOptions & { readonly json?: true };

export function addStatusCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('status')
    .description('Show the daemon: version, revision, workers, endpoints, deployments')
    .action(async (options: Options) => {
      const client = await createClient(options, io);
      const status = await client.status();
      io.out(options.json ? JSON.stringify(status, null, 2) : describe(status, client.target.url));
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, [
    'pointsman status',
    'pointsman status --json',
    'pointsman status --host http://gpu1:8081',
  ]);
}

const WORKER_HEAD = [
  'worker',
  'pid',
  'state',
  'mode',
  'revision',
  'held',
  'heartbeat',
  'connections',
  'turned away',
  'in flight',
  'restarts',
];

function describe(status: Status, url: string): string {
  const workers = status.workers.map((worker) => [
    String(worker.slot),
    worker.pid === null ? '-' : String(worker.pid),
    worker.degraded ? `${worker.state} degraded` : worker.state,
    worker.mode,
    String(worker.revision),
    String(worker.revisions_held),
    worker.heartbeat_age_ms === null ? '-' : `${String(Math.round(worker.heartbeat_age_ms))} ms`,
    String(worker.connections),
    String(worker.connections_refused),
    String(worker.in_flight),
    String(worker.restarts),
  ]);
  const uptime = formatDuration(status.uptime_s);
  const revision = `revision ${String(status.revision)}`;
  const parts = [
    `pointsman ${status.version} at ${url}, up ${uptime}, ${revision}`,
    renderTable(WORKER_HEAD, workers),
    status.endpoints.length === 0 ? 'No endpoints.' : describeEndpoints(status.endpoints),
    status.deployments.length === 0 ? 'No deployments.' : describeDeployments(status.deployments),
  ];
  return parts.join('\n\n');
}
