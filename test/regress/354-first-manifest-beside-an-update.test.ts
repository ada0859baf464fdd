/**
 * A start that found a config waiting could not compare the manifest of the configuration with what is active: the log said that the
 * manifest is not usable, because the endpoint is being updated.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import { applyFirstManifest } from '../../src/cli/first-manifest.js';
import {
  deployment,
  MIA,
  split,
  startControl,
  tempDir,
  TWO_VERSIONS,
} from '../unit/control/harness.js';

t.test('a manifest is compared while an update waits', async (t) => {
  const { control } = await startControl(t);
  const nowhere = deployment('m', TWO_VERSIONS, ['http://127.0.0.1:1']);
  await control.putDeployment('m', nowhere, MIA);
  await control.createEndpoint({ name: 'e', config: split(90) }, MIA);
  const before = control.getEndpoint('e');
  t.match(before.value, { state: { config_update: 'IN_PROGRESS' } });
  const file = join(tempDir(t), 'manifest.json');
  const endpoints = [{ name: 'e', config: split(50) }];
  writeFileSync(file, JSON.stringify({ deployments: [nowhere], endpoints }));
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => lines.push(line) });
  await applyFirstManifest(control, file, false, logger);
  t.equal(lines.length, 1);
  t.match(lines[0], /differs from the active configuration: endpoint e"/);
  t.same(control.getEndpoint('e'), before, 'and nothing else happens');
});
