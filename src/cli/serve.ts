/** `pointsman serve`: the daemon itself, in this process, until a signal ends it. */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/config.js';
import { DEMO_STATE_FOLDER } from '../config/state-files.js';
import { createLogger } from '../telemetry/logger.js';
import { startDemo } from './demo.js';
import { EXIT_OK, type Io } from './io.js';
import { addExamples } from './options.js';
import { addConfigFlags, readConfigFlags } from './serve-flags.js';

export function addServeCommand(program: Command, io: Io, onExit: (code: number) => void): void {
  const version = program.version() ?? '';
  const command = program
    .command('serve')
    .description('Run the daemon until SIGTERM or Ctrl-C')
    .option(
      '--demo',
      'serve two versions of a small real model, with a state directory of their own',
    )
    .action(async (options: { demo?: true }) => {
      const demo = options.demo === true;
      const config = readConfigFlags(command, io);
      onExit(await runServe(demo ? withDemoState(command, io, config) : config, demo, version, io));
    });
  addConfigFlags(command);
  addExamples(command, [
    'pointsman serve --demo',
    'pointsman serve --config pointsman.yaml',
    'pointsman serve --data-plane-listen 0.0.0.0:8080 --state-dir /var/lib/pointsman',
    'POINTSMAN_LOG_LEVEL=debug pointsman serve',
  ]);
}

/**
 * The demo must not write into the state of a real daemon that was started in the same folder, and has no
 * load balancer that must see it leave.
 */
function withDemoState(command: Command, io: Io, config: Config): Config {
  const override: Record<string, string> = {};
  if (config.sources.get('state_dir') === 'default') {
    override['state-dir'] = join(config.state_dir, DEMO_STATE_FOLDER);
  }
  if (config.sources.get('data_plane.drain_delay_ms') === 'default') {
    override['data-plane-drain-delay-ms'] = '0';
  }
  return readConfigFlags(command, io, override);
}

async function runServe(config: Config, demo: boolean, version: string, io: Io): Promise<number> {
  // Loaded here, because the other commands need neither the addon nor SQLite.
  const { startDaemon } = await import('./daemon.js');
  const logger = createLogger({ level: config.log.level, readable: io.interactive });
  for (const warning of config.warnings) logger.warn(warning);
  const daemon = await startDaemon(config, {
    logger,
    logReadable: io.interactive,
    version,
    env: io.env,
    signal: io.signal,
  }).catch((error: unknown) => {
    if (error === io.signal.reason) return null;
    throw error;
  });
  if (daemon === null) return EXIT_OK;
  const stopDemo = demo ? await startDemo(daemon, config.state_dir, io).catch(abandon) : null;
  await aborted(io.signal);
  logger.info('draining');
  await daemon.stop();
  await stopDemo?.();
  return EXIT_OK;

  function abandon(error: unknown): never {
    daemon?.abort();
    throw error;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
