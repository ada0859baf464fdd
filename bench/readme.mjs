/** Writes the README's table of figures from a result, between two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BenchError } from './bench-error.mjs';
import { ROOT } from './programs.mjs';
import { describeRun, formatMarkdown, readmeRows } from './tables.mjs';

const BEGIN = '<!-- bench: begin -->';
const END = '<!-- bench: end -->';

/** Answers the path of the file. */
export function fillReadme(result) {
  const file = path.join(ROOT, 'README.md');
  const text = readFileSync(file, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new BenchError(`${file} has no ${BEGIN} … ${END}`);
  const notes = result.warnings.map((warning) => `note: ${warning}`);
  const run = [...describeRun(result).split('\n'), ...notes].join(';\n');
  const section = `${BEGIN}\n\n${formatMarkdown(readmeRows(result))}\n\n${run}.\n\n`;
  writeFileSync(file, text.slice(0, begin) + section + text.slice(end));
  return file;
}
