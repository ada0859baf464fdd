/** A result as one HTML page that needs nothing else: plots, and the tables behind them. */
import { writeFileSync } from 'node:fs';
import { METRICS } from './metrics.mjs';
import { escapeText, plotBars } from './plot.mjs';
import { groupByCase, ratioTo, referenceOf, summaryOf } from './results.mjs';
import { describeResult, describeRun } from './tables.mjs';

const STYLE = `
:root { color-scheme: light dark; --ours: #0b7a5b; --other: #9aa5b1; --line: #8884; --ink: #1b1f24; --page: #fff; }
@media (prefers-color-scheme: dark) { :root { --ours: #35c598; --other: #66717d; --ink: #e6e9ec; --page: #14171a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1400px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin: 1.5rem 0 0.5rem; }
figure { margin: 0 0 1rem; } figcaption { font-size: 0.85rem; opacity: 0.8; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 0.5rem 2rem; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg line { stroke: var(--line); } svg circle { fill: var(--ink); opacity: 0.55; }
.ours { fill: var(--ours); } .other { fill: var(--other); }
pre { overflow-x: auto; font-size: 13px; } .note { opacity: 0.8; } .failed { color: #c0392b; }
`;

/** Writes the page and answers its path. */
export function writeReport(result, file) {
  writeFileSync(file, renderReport(result));
  return file;
}

function renderReport(result) {
  const title = `pointsman, benchmarks of ${result.commit}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeText(title)}</h1>
<p>${describeRun(result).split('\n').map(escapeText).join('<br>')}</p>
<p class="note">Bars are medians, dots are rounds. × is the median over the rounds of
the ratio to the better of nginx and HAProxy, or to the first variant.
CPU is that of the proxy's process, which had a core to itself. A bar much longer than all others is cut off.</p>
${result.warnings.map((warning) => `<p class="note">Note: ${escapeText(warning)}.</p>`).join('\n')}
${result.failures.map(renderFailure).join('\n')}
${renderCases(result)}
${renderMicro(result.micro)}
<h2>All figures</h2>
<pre>${escapeText(describeResult(result))}</pre>
</body>
</html>
`;
}

function renderFailure({ scenario, case: one, target, message }) {
  return `<p class="failed">Failed: ${escapeText(`${one ?? scenario}, ${target}: ${message}`)}</p>`;
}

function renderCases(result) {
  const parts = [];
  let scenario = '';
  for (const entries of groupByCase(result).values()) {
    const [{ scenario: name, title, case_title: caseTitle }] = entries;
    if (name !== scenario) parts.push(`<h2>${escapeText(`${name}: ${title}`)}</h2>`);
    scenario = name;
    const plots = Object.keys(METRICS).map((metric) => renderPlot(entries, metric));
    parts.push(`<h3>${escapeText(caseTitle)}</h3>`, `<div class="plots">${plots.join('\n')}</div>`);
  }
  return parts.join('\n');
}

function renderPlot(entries, metric) {
  const { label, unit, better } = METRICS[metric];
  if (better === '') return '';
  const reference = referenceOf(entries, metric, better);
  const isOurs = entries.some(({ target }) => target === 'pointsman');
  const rows = entries.flatMap((entry) => {
    const summary = summaryOf(entry, metric);
    if (summary === null) return [];
    const times =
      reference === null || reference === entry ? null : ratioTo(reference, entry, metric);
    return {
      label: entry.target,
      median: summary.median,
      rounds: summary.rounds,
      note: times === null ? '' : `×${times.toFixed(2)}`,
      isOurs: !isOurs || entry.target === 'pointsman',
    };
  });
  if (rows.length === 0) return '';
  const caption = `${label}${unit === '' ? '' : `, ${unit}`} (${better} is better)`;
  return `<figure><figcaption>${escapeText(caption)}</figcaption>${plotBars(metric, rows)}</figure>`;
}

function renderMicro(micro) {
  if (micro.length === 0) return '';
  const rows = micro.map((entry) => {
    const { median, rounds } = summaryOf(entry, 'ns_per_operation');
    return { label: entry.case, median, rounds, note: '', isOurs: true };
  });
  const plot = plotBars('ns_per_operation', rows);
  return `<h2>Single operations</h2><figure><figcaption>nanoseconds</figcaption>${plot}</figure>`;
}
