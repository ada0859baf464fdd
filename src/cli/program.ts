/** The command line: one table of commands, one way in which all of them fail. */
import { Command, CommanderError } from 'commander';
import { PointsmanError } from '../core/errors.js';
import { addApplyCommand } from './apply.js';
import { addCancelUpdateCommand } from './cancel-update.js';
import { addCheckCommand } from './check.js';
import { ANSWER_MIB, CALL_TIMEOUT_MS } from './client.js';
import { addDeploymentsCommand } from './deployments.js';
import { addEndpointsCommand } from './endpoints.js';
import { CliError, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from './io.js';
import { addPermissionsCommand } from './permissions.js';
import { addPrincipalsCommand } from './principals.js';
import { printable } from './printable.js';
import { addRollbackCommand } from './rollback.js';
import { addRotateKeysCommand } from './rotate-keys.js';
import { addServeCommand } from './serve.js';
import { addSplitCommand } from './split.js';
import { addStatusCommand } from './status.js';
import { addTokenCommand } from './token.js';

const COMMANDS = [
  addServeCommand,
  addCheckCommand,
  addApplyCommand,
  addSplitCommand,
  addRollbackCommand,
  addCancelUpdateCommand,
  addEndpointsCommand,
  addDeploymentsCommand,
  addPrincipalsCommand,
  addPermissionsCommand,
  addTokenCommand,
  addRotateKeysCommand,
  addStatusCommand,
];

const NOTES = `
Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 accepted and not live yet, 130 interrupted.
Credentials: --host and --token, else POINTSMAN_HOST and POINTSMAN_ADMIN_TOKEN, else DATABRICKS_HOST
and DATABRICKS_TOKEN, else the state directory of a daemon on this machine.
Limits: an answer of a daemon takes at most ${String(CALL_TIMEOUT_MS / 1000)} s and ${ANSWER_MIB} MiB.`;

/** Runs one command line (without node and script); resolves with the exit code, never rejects. */
export async function runCli(argv: readonly string[], version: string, given: Io): Promise<number> {
  const io: Io = {
    ...given,
    out: (text) => {
      given.out(printable(text));
    },
    err: (text) => {
      given.err(printable(text));
    },
  };
  let exitCode: number = EXIT_OK;
  const program = createProgram(version, io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return reportFailure(error, io);
  }
}

function createProgram(version: string, io: Io, onExit: (code: number) => void): Command {
  const program = new Command('pointsman')
    .description('Router daemon for model-serving endpoints')
    .version(version)
    .addHelpText('after', NOTES)
    .showHelpAfterError('(add --help for usage)');
  for (const addCommand of COMMANDS) addCommand(program, io, onExit);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => {
        io.out(text.trimEnd());
      },
      writeErr: (text) => {
        io.err(text.trimEnd());
      },
    });
  }
  return program;
}

function reportFailure(error: unknown, io: Io): number {
  // commander has written its message already; help and version end in code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof CliError) {
    io.err(`pointsman: ${error.message}`);
    if (error.hint !== '') io.err(error.hint);
    return error.exitCode;
  }
  if (error instanceof PointsmanError) {
    io.err(`pointsman: ${error.message}`);
    return EXIT_FAILED;
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  io.err(`pointsman: unexpected failure\n${detail}`);
  return EXIT_FAILED;
}
