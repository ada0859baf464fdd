/** docs/configuration.md says what the schema says, both ways; its file example is the defaults. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadConfig } from '../../../src/config/config.js';
import { CONFIG_LEAVES, rangeOf } from '../../../src/config/schema.js';
import { parseYaml } from '../../../src/config/yaml-text.js';
import { projectFile } from '../project-file.js';

const text = readFileSync(projectFile('docs/configuration.md'), 'utf8');

t.test('the table lists exactly the settings', (t) => {
  const section = text.slice(text.indexOf('## Keys'), text.indexOf('## The same as a file'));
  const documented = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const real = CONFIG_LEAVES.map((leaf) => [
    `\`${leaf.key}\``,
    `\`${JSON.stringify(leaf.schema.default)}\``,
    rangeOf(leaf),
    leaf.schema.description,
  ]);
  t.strictSame(documented, real);
  t.end();
});

t.test('the example file names every setting and is what an empty file gives', (t) => {
  const yaml = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
  const folder = t.testdir({ 'manifest.yaml': '' });
  const load = (content: string): ReturnType<typeof loadConfig> => {
    const file = join(folder, 'pointsman.yaml');
    writeFileSync(file, content);
    return loadConfig({ file, flags: {}, env: {} });
  };
  const example = load(yaml);
  for (const leaf of CONFIG_LEAVES) {
    t.equal(example.sources.get(leaf.key), 'file', leaf.key);
    const value = leaf.path.reduce<unknown>(
      (inner, name) => (inner as Record<string, unknown>)[name],
      parseYaml(yaml),
    );
    t.strictSame(value, leaf.schema.default, leaf.key);
  }
  t.end();
});
