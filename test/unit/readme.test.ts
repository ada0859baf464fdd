/** The README's configuration table says what the schema says. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { CONFIG_LEAVES } from '../../src/config/schema.js';
import { projectFile } from './project-file.js';

const ROW = /^\| `([a-z_.]+)` +\| `([^`]*)` +\|/gm;

t.test('every row of the configuration table names a key and its default', (t) => {
  const readme = readFileSync(projectFile('README.md'), 'utf8');
  const rows = [...readme.matchAll(ROW)];
  t.ok(rows.length >= 10, 'the table is there');
  for (const [, key = '', shown = ''] of rows) {
    const leaf = CONFIG_LEAVES.find((one) => one.key === key);
    t.ok(leaf !== undefined, `${key} is a key`);
    t.equal(shown, JSON.stringify(leaf?.schema.default), `${key} has this default`);
  }
  t.end();
});
