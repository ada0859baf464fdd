/** A log line that could not be written, to a terminal that was gone or a disk that was full, ended the process. */
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import t from 'tap';
import { projectFile } from '../unit/project-file.js';

for (const readable of [false, true]) {
  t.test(`who cannot log goes on: ${readable ? 'lines for people' : 'JSON'}`, async (t) => {
    const script = `
      const { createLogger } = await import(${JSON.stringify(projectFile('dist/telemetry/logger.js'))});
      const logger = createLogger({ level: 'info', readable: ${String(readable)} });
      for (let line = 0; line < 2_000; line += 1) logger.info('x'.repeat(1_000));
      setTimeout(() => process.exit(7), 50);`;
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', full, 'inherit'],
      env: {},
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    t.equal(code, 7);
  });
}
