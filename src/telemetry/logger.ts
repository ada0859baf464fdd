/**
 * The process's log: JSON lines on standard output for machines, one readable line per entry on a
 * terminal. Writes are synchronous, so that nothing is lost when the process ends; no request of
 * the data plane is logged here, so the rate is low.
 */
import pino, { type DestinationStream, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';

export interface LoggerOptions {
  readonly level: string;
  /** Readable lines instead of JSON. */
  readonly readable: boolean;
  /** Default: standard output. */
  readonly destination?: DestinationStream;
}

/** Of lines that could not be written. */
const HELD_BACK_BYTES_MAX = 1024 * 1024;

/** Fields that could carry a credential are cut out whatever the caller logs. */
const REDACTED = ['authorization', '*.authorization', 'token', '*.token', 'headers', '*.headers'];

export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level,
    redact: REDACTED,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const destination = options.destination ?? standardOutput();
  if (!options.readable) return pino(settings, destination);
  const format = prettyFactory({
    colorize: options.destination === undefined && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
  });
  return pino(settings, {
    write(line) {
      destination.write(format(line));
    },
  });
}

/** The terminal may be gone, the disk full: who cannot log goes on, and what was held back comes later or never. */
function standardOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: true, maxLength: HELD_BACK_BYTES_MAX });
  output.on('error', () => undefined);
  return output;
}
