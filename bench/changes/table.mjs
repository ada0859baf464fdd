/** Text in columns, aligned to the right. */

/** `columns`: [title, row -> cell] each. */
export function table(rows, columns) {
  const lines = [columns.map(([title]) => title)];
  for (const row of rows) lines.push(columns.map(([, cell]) => cell(row)));
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index].length)));
  return lines
    .map((line) => `${line.map((cell, index) => cell.padStart(widths[index])).join('  ')}\n`)
    .join('');
}
