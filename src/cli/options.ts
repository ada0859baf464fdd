/** Options that several commands share. */
import { Command, InvalidArgumentError } from 'commander';

/** For commands that talk to a daemon; the result fits TargetOptions. */
export function addTargetOptions(command: Command): Command {
  return command
    .option(
      '--host <url>',
      'admin port, e.g. http://127.0.0.1:8081 (POINTSMAN_HOST, DATABRICKS_HOST)',
    )
    .option('--token <token>', 'admin token (POINTSMAN_ADMIN_TOKEN, DATABRICKS_TOKEN)')
    .option('--state-dir <dir>', 'state directory of the local daemon')
    .option('--config <file>', 'configuration file of the local daemon')
    .option('--json', 'print JSON for scripts');
}

/** For commands that may start an update of an endpoint. */
export function addPreemptOption(command: Command): Command {
  return command.option('--preempt', 'replace an update in progress instead of being refused');
}

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^[0-9]+(\.[0-9]+)?$/.test(text) && seconds <= SECONDS_MAX) return seconds;
  throw new InvalidArgumentError(`must be a number of seconds from 0 to ${String(SECONDS_MAX)}`);
}

const SECONDS_MAX = 86_400;

/** Examples below the options of `--help`; each is a whole line to copy. */
export function addExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText(
    'after',
    `\nExamples:\n${examples.map((line) => `  ${line}`).join('\n')}`,
  );
}
