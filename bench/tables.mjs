/** Results as tables: for a terminal, and in the form the README has them (Markdown as prettier writes it). */
import { describeLimits } from './limits.mjs';
import { formatValue, METRICS } from './metrics.mjs';
import { groupByCase, ratioTo, referenceOf, summaryOf } from './results.mjs';

/** `rows` of cells, the first row a heading; the first column is text, the others are numbers. */
export function formatTable(rows) {
  const widths = columnWidths(rows);
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function formatMarkdown(rows) {
  const widths = columnWidths(rows).map((width) => Math.max(width, 4));
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const [head, ...body] = rows.map((row) =>
    line(row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at])))),
  );
  const rule = line(
    widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)),
  );
  return [head, rule, ...body].join('\n');
}

function columnWidths(rows) {
  return rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
}

/** All of a result for people. */
export function describeResult(result) {
  const parts = [`${describeRun(result)}; in parentheses least and most; × against the reference`];
  let scenario = '';
  for (const entries of groupByCase(result).values()) {
    const [{ scenario: name, title, case_title: caseTitle }] = entries;
    if (name !== scenario) parts.push(`${name}: ${title}`);
    scenario = name;
    const doors = entries.map(describeDoors).filter((line) => line !== '');
    const limits = describeLimits(entries).map(indent);
    const lines = [caseTitle, indent(formatTable(caseRows(entries))), ...limits, ...doors];
    parts.push(indent(lines.join('\n')));
  }
  if (result.micro.length > 0) {
    const lines = [formatTable(microRows(result.micro)), ...describeLimits(result.micro)];
    parts.push(`micro: time per operation\n${indent(lines.join('\n'))}`);
  }
  for (const { scenario: name, case: one, target, message } of result.failures) {
    parts.push(`FAILED ${one ?? name}, ${target}: ${message}`);
  }
  parts.push(...result.warnings.map((warning) => `note: ${warning}`));
  return `${parts.join('\n\n')}\n`;
}

export function describeRun(result) {
  const { machine, options } = result;
  const peers = Object.entries(result.peers).map(([name, version]) => `${name} ${version}`);
  return [
    `commit ${result.commit}${result.has_changes ? ' with changes' : ''}, ${result.started_at}`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`,
    `${peers.join(', ')}; median of ${options.rounds} rounds of ${options.seconds} s`,
  ].join('\n');
}

/** One row per target: medians with the spread, and the ratio to what it is held against. */
function caseRows(entries) {
  const metrics = Object.keys(METRICS).filter((metric) =>
    entries.some((entry) => summaryOf(entry, metric) !== null),
  );
  const head = ['', ...metrics.map((metric) => withUnit(metric))];
  return [
    head,
    ...entries.map((entry) => [
      entry.target,
      ...metrics.map((metric) => cellOf(entries, entry, metric)),
    ]),
  ];
}

function cellOf(entries, entry, metric) {
  const summary = summaryOf(entry, metric);
  if (summary === null) return '';
  const value = formatValue(metric, summary.median);
  const { better } = METRICS[metric];
  if (better === '') return value;
  const spread =
    summary.rounds.length > 1
      ? ` (${formatValue(metric, summary.min)}-${formatValue(metric, summary.max)})`
      : '';
  const reference = referenceOf(entries, metric, better);
  const times =
    reference === null || reference === entry ? null : ratioTo(reference, entry, metric);
  const ratio = times === null ? '' : ` ×${times.toFixed(2)}`;
  return `${value}${spread}${ratio}`;
}

export function withUnit(metric) {
  const { label, unit } = METRICS[metric];
  return unit === '' ? label : `${label}, ${unit}`;
}

function microRows(micro) {
  const rows = micro.map((entry) => {
    const { median, min, max } = summaryOf(entry, 'ns_per_operation');
    const shown = [median, min, max].map((value) => formatValue('ns_per_operation', value));
    return [entry.case, ...shown];
  });
  return [['', 'median, ns', 'least', 'most'], ...rows];
}

/** Which of pointsman's doors served the requests of the scenario, by its own count. */
function describeDoors({ target, doors }) {
  if (doors === undefined) return '';
  const all = Object.values(doors).reduce((sum, count) => sum + count, 0);
  const shares = Object.entries(doors)
    .filter(([, count]) => count > 0)
    .map(([door, count]) => `${door} ${((count / all) * 100).toFixed(1)} %`);
  return `  ${target}, requests by door: ${shares.join(', ')}`;
}

/** The README's table: one row per case and metric that matters, one column per proxy. */
export function readmeRows(result) {
  const targets = [
    'pointsman',
    ...Object.keys(result.peers).filter((name) => name !== 'pointsman'),
  ];
  const rows = [];
  for (const entries of groupByCase(result).values()) {
    if (!entries.some(({ target }) => target === 'pointsman')) continue;
    for (const [metric, { better }] of Object.entries(METRICS)) {
      if (better === '' || summaryOf(entries[0], metric) === null) continue;
      const cells = targets.map((name) => {
        const entry = entries.find(({ target }) => target === name);
        const summary = entry === undefined ? null : summaryOf(entry, metric);
        return summary === null ? '' : formatValue(metric, summary.median);
      });
      rows.push([`${caseLabel(entries[0])}: ${withUnit(metric)}`, ...cells]);
    }
  }
  return [['', ...targets], ...rows];
}

function caseLabel({ scenario, case_title: title }) {
  const kinds = {
    small: 'small requests',
    latency: '10,000 requests/s',
    answers: 'answers',
    'large-answers': 'answers',
    requests: 'requests',
    sse: 'events',
  };
  return `${kinds[scenario] ?? scenario}, ${title}`;
}

function indent(text) {
  return text.replace(/^(?=.)/gm, '  ');
}
