/**
 * docs/manifest.md lists exactly the keys of the schema and of an endpoint's config, and its
 * example applies.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import { ManifestSchema } from '../../../src/config/manifest.js';
import { CONFIG_KEYS, ROUTE_KEYS } from '../../../src/control/config-input.js';
import { ENTITY_FORM, entityKeys } from '../../../src/control/entity-input.js';
import { REPLACE, startControl } from '../control/harness.js';
import { projectFile } from '../project-file.js';

const text = readFileSync(projectFile('docs/manifest.md'), 'utf8');

interface Node {
  type?: string | string[];
  enum?: string[];
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  default?: unknown;
  description?: string;
  required?: string[];
  properties?: Record<string, Node>;
  items?: Node;
}

function rowsOf(schema: Node, path: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, node]) => {
    const key = path === '' ? name : `${path}.${name}`;
    const below =
      node.type === 'array' && node.items !== undefined
        ? rowsOf(node.items, `${key}[]`)
        : rowsOf(node, key);
    return [
      [`\`${key}\``, byDefault(node, schema, name), range(node), node.description ?? ''],
      ...below,
    ];
  });
}

function byDefault(node: Node, parent: Node, name: string): string {
  if (node.default !== undefined) return `\`${JSON.stringify(node.default)}\``;
  return parent.required?.includes(name) === true ? 'required' : '';
}

function range(node: Node): string {
  if (node.enum !== undefined) return node.enum.map((value) => `\`${value}\``).join(', ');
  if (Array.isArray(node.type)) return 'text or integer';
  switch (node.type) {
    case 'integer':
      return node.maximum === undefined
        ? `integer from ${String(node.minimum)}`
        : `${String(node.minimum)} to ${String(node.maximum)}`;
    case 'boolean':
      return '`true`, `false`';
    case 'array':
      if (node.maxItems === undefined) return 'list';
      return `${String(node.minItems ?? 0)} to ${String(node.maxItems)} items`;
    case 'object':
      return 'object';
    default:
      return 'text';
  }
}

function tableUnder(heading: string): string[][] {
  const start = text.indexOf(`## ${heading}\n`);
  t.not(start, -1, `docs/manifest.md has ${heading}`);
  const end = text.indexOf('\n## ', start + 1);
  return text
    .slice(start, end === -1 ? undefined : end)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

t.test('the table of keys is the schema', (t) => {
  t.strictSame(tableUnder('Keys'), rowsOf(ManifestSchema as Node, ''));
  t.end();
});

t.test('the tables of a config are what is read', (t) => {
  const keys = (heading: string) => tableUnder(heading).map((row) => row[0]?.replaceAll('`', ''));
  t.strictSame(keys("An endpoint's config"), [...CONFIG_KEYS]);
  t.strictSame(keys('A served entity'), entityKeys(ENTITY_FORM));
  t.strictSame(keys('A route'), [...ROUTE_KEYS]);
  t.end();
});

t.test('the example is a manifest that applies', async (t) => {
  const yaml = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
  const { control } = await startControl(t);
  const result = await control.applyManifest(parse(yaml), { ...REPLACE, dryRun: true });
  t.ok(result.changes.length >= 3);
});
