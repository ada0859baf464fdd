/**
 * The process as commands see it. Commands write, read the environment and end through this alone,
 * so that a test can run them in-process and main.ts stays the only place that exits.
 */

export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
/** Accepted and stored, but it does not serve yet; the daemon goes on with it. */
export const EXIT_NOT_LIVE = 3;
/** 128 + SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True: standard output is a terminal, and so is standard input. */
  readonly interactive: boolean;
  /** Aborts at the first Ctrl-C, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Adds the line end. */
  out(line: string): void;
  err(line: string): void;
  /** One line of standard input. */
  ask(question: string): Promise<string>;
  /** All of standard input. */
  readInput(): Promise<Buffer>;
  /** Milliseconds that only grow; for durations. */
  nowMs(): number;
  /** Resolves early, without error, when `signal` aborts. */
  sleep(delayMs: number): Promise<void>;
}

/** How a command ends that Ctrl-C or SIGTERM has ended. */
export function interrupted(): CliError {
  return new CliError('Interrupted.', '', EXIT_INTERRUPTED);
}

/** A failure that the user can act on: shown without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  /** What to do next; empty when the message says it all. */
  readonly hint: string;
  readonly exitCode: number;

  constructor(message: string, hint = '', exitCode: number = EXIT_FAILED) {
    super(message);
    this.hint = hint;
    this.exitCode = exitCode;
  }
}
