/**
 * Results of a run: one JSON file with every round, the commit and the machine; reading them back, and the few sums that
 * tables, plots and comparisons have in common.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BenchError } from './bench-error.mjs';
import { median } from './metrics.mjs';
import { ROOT } from './programs.mjs';

/** Raised when files of before can no longer be read. */
export const FORMAT = 1;
const FOLDER = path.join(ROOT, 'bench', 'results');
/** What a proxy must be held against; the others are shown for orientation. */
const REFERENCES = ['nginx', 'haproxy'];

/** Writes the file and answers its path. */
export function writeResult(result, file) {
  const stamp = result.started_at.replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const target = file ?? path.join(FOLDER, `${stamp}-${result.commit || 'unknown'}.json`);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, `${JSON.stringify(result, null, 1)}\n`);
  return target;
}

/** `name`: a file, or the beginning of a commit whose newest result is meant, or `latest`. @throws {BenchError} */
export function readResult(name) {
  const file = existsSync(name) ? name : findResult(name);
  let result;
  try {
    result = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new BenchError(`${file}: ${error.message}`);
  }
  if (result.format !== FORMAT || !Array.isArray(result.cases)) {
    throw new BenchError(`${file} is no result of this suite (format ${FORMAT})`);
  }
  return { ...result, file };
}

function findResult(name) {
  const files = existsSync(FOLDER) ? readdirSync(FOLDER).sort() : [];
  const found = files.filter(
    (file) =>
      file.endsWith('.json') &&
      (name === 'latest' || file.replace(/^.*-/, '').startsWith(name.toLowerCase())),
  );
  const last = found.at(-1);
  if (last === undefined) {
    throw new BenchError(`${name}: neither a file nor the commit of a result in ${FOLDER}`);
  }
  return path.join(FOLDER, last);
}

/** Median and bounds of a metric of one entry of `cases`; null when it was not measured. */
export function summaryOf(entry, metric) {
  const rounds = entry.metrics[metric]?.rounds ?? [];
  if (rounds.length === 0) return null;
  return { median: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds), rounds };
}

/** Entries of `cases` by case, in the order of the run. */
export function groupByCase(result) {
  const groups = new Map();
  for (const entry of result.cases) {
    if (!groups.has(entry.case)) groups.set(entry.case, []);
    groups.get(entry.case).push(entry);
  }
  return groups;
}

/**
 * Which of the entries of a case the others are held against, per metric: the better of nginx and HAProxy, or the first
 * variant. Null when there is nothing of the kind.
 */
export function referenceOf(entries, metric, better) {
  const peers = entries.filter(({ target }) => REFERENCES.includes(target));
  const isOfPeers = entries.some(({ target }) => target === 'pointsman');
  const candidates = (isOfPeers ? peers : entries.slice(0, 1)).filter(
    (entry) => summaryOf(entry, metric) !== null,
  );
  if (candidates.length === 0) return null;
  return candidates.reduce((best, one) => {
    const times = ratioTo(best, one, metric) ?? 1;
    return (better === 'higher' ? times > 1 : times < 1) ? one : best;
  });
}

/**
 * How many times the figure of `reference` an entry has: the median of the ratios of the rounds, not the ratio of the
 * medians, since a host that changes its speed between rounds gives two medians of different speeds. Null when there is
 * no round with both figures, and of something to the reference's.
 */
export function ratioTo(reference, entry, metric) {
  const held = reference.metrics[metric]?.rounds ?? [];
  const ratios = (entry.metrics[metric]?.rounds ?? [])
    .map((value, round) => value / held[round])
    .filter((ratio, round) => held[round] > 0 && Number.isFinite(ratio));
  return ratios.length === 0 ? null : median(ratios);
}
