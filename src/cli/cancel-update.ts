/** `pointsman cancel-update ENDPOINT`: ends an update that waits; what serves goes on serving. */
import type { Command } from 'commander';
import { API, createClient } from './client.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples, addTargetOptions } from './options.js';
import type { TargetOptions } from './target.js';
import { versionsShape, type ConfigVersions } from './wait-live.js';

type Options = TargetOptions & { readonly json?: true };

export function addCancelUpdateCommand(
  program: Command,
  io: Io,
  onExit: (code: number) => void,
): void {
  const command = program
    .command('cancel-update')
    .description('End the update in progress of an endpoint')
    .argument('<endpoint>')
    .action(async (name: string, options: Options) => {
      const client = await createClient(options, io);
      const path = `${API}/pointsman/endpoints/${encodeURIComponent(name)}/cancel-update`;
      const { body } = await client.call('POST', path, versionsShape);
      io.out(options.json ? JSON.stringify(body, null, 2) : describe(name, body));
      onExit(EXIT_OK);
    });
  addTargetOptions(command);
  addExamples(command, ['pointsman cancel-update iris']);
}

function describe(name: string, { config, pending_config: canceled }: ConfigVersions): string {
  const ended = `${name}: the update to config version ${String(canceled?.config_version)} is canceled`;
  if (config === undefined) return `${ended}; the endpoint has never served.`;
  return `${ended}; config version ${String(config.config_version)} goes on serving.`;
}
