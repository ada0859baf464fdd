/** One chart as SVG text: a bar per target at the median, a dot per round, and the value in figures. */
import { formatValue, METRICS } from './metrics.mjs';

const ROW_HEIGHT = 26;
const BAR_HEIGHT = 14;
const LABEL_WIDTH = 170;
const PLOT_WIDTH = 360;
const VALUE_WIDTH = 150;
const TOP = 8;
const AXIS_HEIGHT = 22;
const TICKS = 4;
const OUTLIER_RATIO = 4;
const CUT_OFF_RATIO = 2;

/** `rows`: { label, median, rounds, note, isOurs }. The axis begins at 0, or below where values do. */
export function plotBars(metric, rows) {
  const values = rows.flatMap(({ rounds }) => rounds);
  const low = Math.min(0, ...values);
  const high = niceBound(axisEnd(rows, values) || 1);
  const x = (value) => LABEL_WIDTH + ((Math.min(value, high) - low) / (high - low)) * PLOT_WIDTH;
  const height = TOP + rows.length * ROW_HEIGHT + AXIS_HEIGHT;
  const width = LABEL_WIDTH + PLOT_WIDTH + VALUE_WIDTH;
  const { label, unit } = METRICS[metric];
  return [
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(label)}">`,
    ...axis(metric, low, high, x, TOP + rows.length * ROW_HEIGHT),
    ...rows.flatMap((row, index) => plotRow(metric, row, x, TOP + index * ROW_HEIGHT)),
    `<title>${escapeText(`${label} ${unit}`.trim())}</title>`,
    '</svg>',
  ].join('\n');
}

function plotRow(metric, row, x, top) {
  const middle = top + ROW_HEIGHT / 2;
  const [from, to] = [x(0), x(row.median)].sort((a, b) => a - b);
  const kind = row.isOurs ? 'ours' : 'other';
  const value = `${formatValue(metric, row.median)}${row.note === '' ? '' : `  ${row.note}`}`;
  return [
    text(LABEL_WIDTH - 8, middle, row.label, 'end'),
    `<rect class="${kind}" x="${round(from)}" y="${middle - BAR_HEIGHT / 2}" width="${round(to - from)}" height="${BAR_HEIGHT}" rx="2"/>`,
    ...row.rounds.map((one) => `<circle cx="${round(x(one))}" cy="${middle}" r="2.5"/>`),
    text(LABEL_WIDTH + PLOT_WIDTH + 10, middle, value, 'start'),
  ];
}

function axis(metric, low, high, x, bottom) {
  return Array.from({ length: TICKS + 1 }, (_, index) => {
    const value = low + ((high - low) * index) / TICKS;
    const at = round(x(value));
    return (
      `<line x1="${at}" y1="${TOP}" x2="${at}" y2="${bottom}"/>` +
      text(at, bottom + 12, formatValue(metric, value), 'middle')
    );
  });
}

/** Where one row would dwarf all others it is cut off; its value stands beside it in figures. */
function axisEnd(rows, values) {
  const [largest = 0, second = 0] = rows.map((row) => row.median).sort((a, b) => b - a);
  const isOutlier = second > 0 && largest > OUTLIER_RATIO * second;
  return isOutlier ? CUT_OFF_RATIO * second : Math.max(0, ...values);
}

/** The next of 1, 2, 2.5, 4, 5, 8 times a power of ten: ticks at its quarters are short numbers. */
function niceBound(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 4, 5, 8, 10].find((one) => one * power >= value);
  return (factor ?? 10) * power;
}

function text(x, y, content, anchor) {
  return `<text x="${round(x)}" y="${y}" text-anchor="${anchor}" dominant-baseline="middle">${escapeText(content)}</text>`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}

export function escapeText(value) {
  return String(value)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
