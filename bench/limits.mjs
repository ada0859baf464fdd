/**
 * What a figure is held to. A limit: `metric`; `target`, whose figure it is; and either `max`, or `times` what `of` has:
 * another target, or `the better peer` of nginx and HAProxy. The median of the rounds counts, or that of their ratios.
 */
import { formatValue, METRICS } from './metrics.mjs';
import { ratioTo, referenceOf, summaryOf } from './results.mjs';

export const BETTER_PEER = 'the better peer';

/** Adds `limits` to the entries of a case, a list of { metric, text, value, met }. A limit without both figures is left out. */
export function judge(entries, limits) {
  for (const limit of limits) {
    const entry = entries.find(({ target }) => target === limit.target);
    const judged = entry === undefined ? null : judgeOne(entries, entry, limit);
    if (judged !== null) (entry.limits ??= []).push(judged);
  }
}

function judgeOne(entries, entry, { metric, max, times, of }) {
  const figure = summaryOf(entry, metric)?.median;
  if (figure === undefined) return null;
  const { label, unit, better } = METRICS[metric];
  if (max !== undefined) {
    const shown = `${formatValue(metric, figure)} ${unit}`.trim();
    const text = `${label} at most ${max} ${unit}`.trim();
    return { metric, text: `${text}: ${shown}`, value: figure, met: figure <= max };
  }
  const reference =
    of === BETTER_PEER
      ? referenceOf(entries, metric, better)
      : entries.find(({ target }) => target === of);
  const value = reference == null ? null : ratioTo(reference, entry, metric);
  if (value === null) return null;
  const met = better === 'higher' ? value >= times : value <= times;
  const bound = better === 'higher' ? 'at least' : 'at most';
  const text = `${label} ${bound} ${times} × that of ${of}: ${value.toFixed(2)}`;
  return { metric, text, value, met };
}

/** Lines for people about the entries of a case, or about single operations, which stand under their names. */
export function describeLimits(entries) {
  return entries.flatMap(({ target, case: name, scenario, limits = [] }) =>
    limits.map(
      ({ text, met }) =>
        `${met ? 'met' : 'MISSED'}: ${scenario === 'micro' ? name : target}, ${text}`,
    ),
  );
}
