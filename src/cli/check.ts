/**
 * `pointsman check`: everything that can be found wrong without starting: the configuration, and a
 * manifest by the same code that would apply it, against an empty store in a temporary folder.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { formatListenAddress } from '../config/listen-address.js';
import type { ManifestResult } from '../control/control-plane.js';
import type { NamedPrincipal } from '../control/grants.js';
import type { DataPlane } from '../control/data-plane.js';
import { PointsmanError } from '../core/errors.js';
import { systemClock } from '../core/clock.js';
import { AssumedPrincipals } from './assumed-principals.js';
import { CliError, EXIT_OK, type Io } from './io.js';
import { addExamples } from './options.js';
import { readManifest } from './read-manifest.js';
import { addConfigFlags, readConfigFlags } from './serve-flags.js';
import { counted } from './table.js';
import { unservedEntities } from './unserved-entities.js';

export function addCheckCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const command = program
    .command('check')
    .description('Check a configuration file and a manifest without starting anything')
    .option('-f, --file <manifest>', 'manifest to check; "-" reads standard input')
    .option('--json', 'print JSON for scripts')
    .action(async (options: Options) => {
      const found = await runCheck(readConfigFlags(command, io), options.file, io);
      io.out(options.json ? JSON.stringify(found, null, 2) : describe(found));
      onExit(EXIT_OK);
    });
  addConfigFlags(command);
  addExamples(command, [
    'pointsman check --config pointsman.yaml',
    'pointsman check --config pointsman.yaml -f manifest.yaml',
  ]);
}

interface Options {
  readonly file?: string;
  readonly json?: true;
}

/** What stands in `--json`. */
interface Found {
  readonly data_plane: { readonly listen: readonly string[] };
  readonly admin: { readonly listen: readonly string[] };
  readonly state_dir: string;
  readonly warnings: readonly string[];
  /** Null: none was given. */
  readonly manifest: FoundManifest | null;
}

interface FoundManifest {
  readonly file: string;
  readonly deployments: number;
  readonly endpoints: number;
  /** Sentences about entities that nothing in it serves. */
  readonly notes: readonly string[];
  /** `kind:name` of those that only the daemon knows. */
  readonly unchecked_principals: readonly string[];
}

async function runCheck(config: Config, given: string | undefined, io: Io): Promise<Found> {
  const file = given ?? config.manifest;
  return {
    data_plane: { listen: config.data_plane.listen.map(formatListenAddress) },
    admin: { listen: config.admin.listen.map(formatListenAddress) },
    state_dir: config.state_dir,
    warnings: config.warnings,
    manifest: file === '' ? null : await checkManifest(config, file, io),
  };
}

async function checkManifest(config: Config, file: string, io: Io): Promise<FoundManifest> {
  const given = await readManifest(file, io);
  const { result, assumed } = await tryManifest(given, file, config);
  const count = (kind: string): number =>
    result.changes.filter((change) => change.kind === kind).length;
  return {
    file,
    deployments: count('deployment'),
    endpoints: count('endpoint'),
    notes: unservedEntities(given),
    unchecked_principals: assumed.map(({ kind, name }) => `${kind.replace('_', '-')}:${name}`),
  };
}

function describe({
  data_plane: data,
  admin,
  state_dir: stateDir,
  warnings,
  manifest,
}: Found): string {
  const ports = `Data port ${data.listen.join(', ')}, admin port ${admin.listen.join(', ')}`;
  const lines = [`Configuration: good. ${ports}, state in ${stateDir}.`];
  lines.push(...warnings.map((warning) => `Note: ${warning}`));
  if (manifest === null) return lines.join('\n');
  const deployments = counted(manifest.deployments, 'deployment');
  const endpoints = counted(manifest.endpoints, 'endpoint');
  lines.push(`Manifest ${manifest.file}: good. ${deployments}, ${endpoints}.`);
  lines.push(...manifest.notes.map((note) => `Note: ${note}`));
  const names = manifest.unchecked_principals.join(', ');
  if (names !== '') lines.push(`Not checked, as only the daemon knows its principals: ${names}.`);
  return lines.join('\n');
}

interface Trial {
  readonly result: ManifestResult;
  /** Principals that the manifest names and nobody could look up. */
  readonly assumed: readonly NamedPrincipal[];
}

async function tryManifest(manifest: unknown, name: string, config: Config): Promise<Trial> {
  // Loaded here, because the other commands need neither SQLite nor the control plane.
  const { Store } = await import('../store/store.js');
  const { IdentityBook } = await import('../auth/identity-book.js');
  const { createControlPlane } = await import('../control/create-control-plane.js');
  const folder = mkdtempSync(join(tmpdir(), 'pointsman-check-'));
  const store = Store.open(folder);
  try {
    const directory = new AssumedPrincipals(new IdentityBook(store.identities, systemClock));
    const control = await createControlPlane({
      store,
      directory,
      dataPlane: NO_DATA_PLANE,
      clock: systemClock,
      logger: SILENT,
      workspaceId: config.workspace_id,
      publicUrl: config.data_plane.public_url || 'http://127.0.0.1:8080',
      updateDeadlineMs: config.update_deadline_ms,
    });
    const options = { principal: 'check', mode: 'replace', dryRun: true } as const;
    const result = await control.applyManifest(manifest, options);
    return { result, assumed: directory.assumed };
  } catch (error) {
    if (error instanceof PointsmanError) throw new CliError(`Manifest ${name}: ${error.message}`);
    throw error;
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A dry run publishes nothing; the daemon's own trial build repeats what is skipped here. */
const NO_DATA_PLANE: DataPlane = {
  trialBuild: () => undefined,
  publish: () => Promise.resolve(),
  updateAddresses: () => undefined,
  counters: {
    entitySlotsMax: Number.MAX_SAFE_INTEGER,
    addressSlotsMax: Number.MAX_SAFE_INTEGER,
    deploymentSlotsMax: Number.MAX_SAFE_INTEGER,
    entity: () => ({
      statusClasses: [],
      nativeClasses: [],
      latencyBuckets: [],
      latencySumMs: 0,
      inFlight: 0,
    }),
    address: () => ({
      inFlight: 0,
      idleConnections: 0,
      connects: 0,
      connectFailures: 0,
      requests: 0,
      retries: 0,
      failures: 0,
      ejections: 0,
      ejectedWorkers: 0,
      ejectedForMs: 0,
    }),
    deployment: () => ({ inFlight: 0, waiting: 0, refusedFull: 0, refusedDeadline: 0 }),
    oldestRevision: () => 0,
    clearEntity: () => undefined,
    clearAddress: () => undefined,
    clearDeployment: () => undefined,
  },
};

const SILENT = {
  info: (): void => undefined,
  warn: (): void => undefined,
  error: (): void => undefined,
};
