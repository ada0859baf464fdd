/** Log lines: JSON for machines, no credential in either form. */
import t from 'tap';
import { createLogger } from '../../../src/telemetry/logger.js';

function collect(readable: boolean): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const destination = { write: (line: string): void => void lines.push(line) };
  return { lines, logger: createLogger({ level: 'info', readable, destination }) };
}

t.test('one JSON object per line, with level and time', (t) => {
  const { lines, logger } = collect(false);
  logger.info({ endpoint: 'iris' }, 'activated');
  logger.debug('not at this level');
  t.equal(lines.length, 1);
  const entry = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  t.match(entry, { level: 30, endpoint: 'iris', msg: 'activated', pid: process.pid });
  t.match(entry['time'], /^\d{4}-\d\d-\d\dT/);
  t.end();
});

t.test('credentials are cut out', (t) => {
  const { lines, logger } = collect(false);
  logger.info(
    { token: 'hush', request: { authorization: 'hush', headers: { cookie: 'hush' } } },
    'x',
  );
  t.notMatch(lines.join(''), /hush/);
  t.end();
});
