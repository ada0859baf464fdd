/**
 * Two results side by side: what changed by more than a threshold. A change within what the rounds of one result differ
 * among themselves is marked as such, but flagged all the same: it wants a longer run, not an excuse.
 */
import { formatValue, METRICS } from './metrics.mjs';
import { summaryOf } from './results.mjs';
import { formatTable, withUnit } from './tables.mjs';

/**
 * Answers `{ rows, worse, better, unmatched }`; a row: { case, target, metric, before, after, change, flag, overlaps }.
 * `change` is relative, above 0 for more; `flag`: 'worse', 'better' or ''.
 */
export function compareResults(before, after, threshold) {
  const all = (result) => [...result.cases, ...result.micro];
  const keyOf = (entry) => `${entry.case}\n${entry.target}`;
  const known = new Map(all(before).map((entry) => [keyOf(entry), entry]));
  const rows = [];
  let unmatched = 0;
  for (const entry of all(after)) {
    const other = known.get(keyOf(entry));
    if (other === undefined) {
      unmatched += 1;
      continue;
    }
    known.delete(keyOf(entry));
    for (const metric of Object.keys(METRICS)) {
      const row = compareMetric(metric, other, entry, threshold);
      if (row !== null) rows.push(row);
    }
  }
  return {
    rows,
    worse: rows.filter(({ flag }) => flag === 'worse').length,
    better: rows.filter(({ flag }) => flag === 'better').length,
    unmatched: unmatched + known.size,
  };
}

function compareMetric(metric, before, after, threshold) {
  const { better } = METRICS[metric];
  const [a, b] = [summaryOf(before, metric), summaryOf(after, metric)];
  if (better === '' || a === null || b === null || a.median === 0) return null;
  const change = b.median / a.median - 1;
  const isWorse = better === 'lower' ? change > 0 : change < 0;
  const isFlagged = Math.abs(change) > threshold;
  return {
    case: after.case,
    target: after.target,
    metric,
    before: a.median,
    after: b.median,
    change,
    flag: isFlagged ? (isWorse ? 'worse' : 'better') : '',
    overlaps: a.min <= b.max && b.min <= a.max,
  };
}

/** For people. */
export function describeComparison(before, after, comparison, threshold) {
  const head = ['', 'before', 'after', 'change', ''];
  const rows = comparison.rows.map((row) => [
    `${row.case}, ${row.target}, ${withUnit(row.metric)}`,
    formatValue(row.metric, row.before),
    formatValue(row.metric, row.after),
    `${row.change >= 0 ? '+' : ''}${(row.change * 100).toFixed(1)} %`,
    row.flag === '' ? '' : `${row.flag.toUpperCase()}${row.overlaps ? ' (rounds overlap)' : ''}`,
  ]);
  const parts = [
    `before: ${before.commit} ${before.started_at}\nafter:  ${after.commit} ${after.started_at}`,
    ...machineDifferences(before.machine, after.machine),
    formatTable([head, ...rows]),
    `${comparison.worse} worse and ${comparison.better} better by more than ${threshold * 100} %` +
      ` of ${rows.length} figures${geometricMeans(comparison.rows)}`,
  ];
  if (comparison.unmatched > 0) {
    parts.push(`${comparison.unmatched} cases are in one of the two only`);
  }
  return `${parts.join('\n\n')}\n`;
}

function machineDifferences(before, after) {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const different = keys.filter((key) => before[key] !== after[key]);
  if (different.length === 0) return [];
  const list = different.map((key) => `${key} ${before[key]} and ${after[key]}`);
  return [`note: the machines differ, changes may come from there: ${list.join('; ')}`];
}

/** Of pointsman's CPU figures: one number for "is it cheaper on the whole". */
function geometricMeans(rows) {
  const ratios = rows
    .filter(({ target, metric, after }) => isCpuOfPointsman(target, metric) && after > 0)
    .map(({ change }) => Math.log(1 + change));
  if (ratios.length === 0) return '';
  const mean = Math.exp(ratios.reduce((sum, one) => sum + one, 0) / ratios.length);
  return `; geometric mean of pointsman's CPU figures ×${mean.toFixed(3)}`;
}

function isCpuOfPointsman(target, metric) {
  return target === 'pointsman' && /^(?:cpu_us|ns_per)/.test(metric);
}
