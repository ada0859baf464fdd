/**
 * Tables for people: columns as wide as their content, numbers to the right, no frames to copy
 * around.
 */

import { oneLine } from './printable.js';

const GAP = '  ';

export function renderTable(
  head: readonly string[],
  given: readonly (readonly string[])[],
): string {
  const rows = given.map((row) => row.map(oneLine));
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const numeric = head.map((_, column) => rows.every((row) => isNumeric(row[column] ?? '')));
  const render = (row: readonly string[]): string =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? '';
        return numeric[column] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join(GAP)
      .trimEnd();
  return [head, ...rows].map(render).join('\n');
}

function isNumeric(cell: string): boolean {
  return /^-?[0-9][0-9.,]*( ?%| ms| s)?$|^-?$/.test(cell);
}

/** `lab.ml.churn v4`; a feature spec has no version. */
export function modelText(name: string | null, version: string | null): string {
  return [name ?? '', version === null ? '' : `v${version}`].join(' ').trim();
}

/** `1 address`, `3 addresses`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${String(count)} ${count === 1 ? one : many}`;
}

/** `2 d 3 h`, `4 min 5 s`, `12 s`. */
export function formatDuration(seconds: number): string {
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const parts: string[] = [];
  let rest = Math.floor(seconds);
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${String(count)} ${unit}`);
  }
  return parts.slice(0, 2).join(' ') || '0 s';
}
