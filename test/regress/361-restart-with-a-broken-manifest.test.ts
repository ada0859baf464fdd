/**
 * A manifest that was empty, half-written or gone stopped every restart of a daemon that had its
 * state already and only compares. And the refusal of a first start did not say which file it was.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { applyFirstManifest } from '../../src/cli/first-manifest.js';
import { loadConfig } from '../../src/config/config.js';
import { startControl, tempDir } from '../unit/control/harness.js';

t.test('at a restart it is a warning', async (t) => {
  const { control } = await startControl(t);
  const file = join(tempDir(t), 'manifest.yaml');
  const warnings: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line) => void warnings.push(line) });
  for (const text of ['', 'endpoints: [', 'endpoints: 1', null]) {
    if (text === null) rmSync(file);
    else writeFileSync(file, text);
    await applyFirstManifest(control, file, false, logger);
    t.match(warnings.pop(), /manifest .*manifest\.yaml is not usable: /, String(text));
  }
  const named = loadConfig({ flags: { manifest: file }, env: {} });
  t.equal(named.manifest, file, 'only who reads it needs it');
});

t.test('a first start is refused with the name of the file and the nearest key', async (t) => {
  const { control } = await startControl(t);
  const file = join(tempDir(t), 'manifest.yaml');
  const logger = pino({ level: 'silent' });
  const start = (): Promise<void> => applyFirstManifest(control, file, true, logger);
  await t.rejects(start(), { message: /Cannot read the manifest .*manifest\.yaml/ });
  writeFileSync(
    file,
    "deployments: [{ name: a, serves: [{ entity_name: x }], replicas: [{ url: 'http://a', wieght: 1 }] }]",
  );
  const problem = 'deployments[0].replicas[0].wieght: unknown key; did you mean weight?';
  await t.rejects(start(), { message: `Manifest ${file}: ${problem}` });
});
