/** docs/data-port.md has the limits and times of the front as its headers have them, and leaves none of them out. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { projectFile } from '../project-file.js';

const CONSTANT = /^(?:inline )?constexpr \w+ (k\w+) = ([^;]+);/gm;
/** Sizes of our own buffers, which no client can tell. */
const INTERNAL = new Set(['kRequestTargetBytesMax', 'kRequestHeadBytesMax', 'kRequestFieldsMax']);

/** Products of integers, with C++'s separators and casts. */
function valueOf(expression: string): number {
  const factors = expression.replaceAll("'", '').split('*');
  return factors.map((one) => Number(/\d+/.exec(one)?.[0])).reduce((a, b) => a * b, 1);
}

function constantsOf(file: string): Map<string, number> {
  const text = readFileSync(projectFile(file), 'utf8');
  const found = [...text.matchAll(CONSTANT)].map(
    ([, name = '', value = '']) => [name, valueOf(value)] as const,
  );
  return new Map(found.filter(([name]) => !INTERNAL.has(name)));
}

t.test('limits and times of the data port', (t) => {
  const text = readFileSync(projectFile('docs/data-port.md'), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('|') && line.includes('`k'));
  const constants = new Map([
    ...constantsOf('native/front/client_connection.h'),
    ...constantsOf('native/http1/request_parser.h'),
    ...constantsOf('native/net/request_head.h'),
    ...constantsOf('native/net/socket_buffers.h'),
  ]);
  t.ok(constants.size >= 16, 'the headers were understood');
  for (const [name, value] of constants) {
    const row = rows.find((line) => line.includes(`\`${name}\``));
    t.ok(row !== undefined, `${name} is documented`);
    t.match(row, new RegExp(`\\b${String(value)}\\b`), `${name} is ${String(value)}`);
  }
  for (const [, name = ''] of rows.join('\n').matchAll(/`(k\w+)`/g)) {
    t.ok(constants.has(name), `${name} exists`);
  }
  t.end();
});
