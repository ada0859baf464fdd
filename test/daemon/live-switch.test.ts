/** Configuration changed in full traffic: no request fails, none sees a mixture, none sees the past. */
import t from 'tap';
import { startDaemon } from './harness.js';
import { changeSplit, configure, FOUR_WORKERS, Load, type Sample } from './live.js';

const CHANGES = 200;
const AFTER_EACH = 1_000;
const CONNECTIONS = 8;
/** Shares of 100 tell by the entity alone which config an answer was given under. */
const SPLITS = [
  { a: 100, b: 0 },
  { a: 0, b: 100 },
];

t.test('200 changes, 8 connections, 4 workers', { timeout: 300_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  await configure(t, daemon, SPLITS[0] ?? {});
  /** Entity that has all traffic, by revision; filled in as changes are answered. */
  const owner = new Map<number, string>();
  const seen = new Map<number, string>();
  let newest = 0;
  let expected = 'a';
  let switchedAt = 0;
  const wrong: string[] = [];
  const newestAt = new NewestSeen();

  const load = new Load(t, daemon, CONNECTIONS, (sample: Sample) => {
    const { revision, entity, served, sentAt } = sample;
    if (entity !== served) wrong.push(`header ${entity}, body ${served}`);
    const before = seen.get(revision) ?? entity;
    if (before !== entity) wrong.push(`revision ${String(revision)} gave ${before} and ${entity}`);
    seen.set(revision, entity);
    const known = newestAt.before(sentAt);
    if (revision < known) wrong.push(`revision ${String(revision)} after ${String(known)}`);
    if (sentAt > switchedAt && switchedAt > 0 && entity !== expected) {
      wrong.push(`${entity} after the change to ${expected} was answered`);
    }
    if (revision > newest) {
      newest = revision;
      newestAt.add(revision, performance.now());
    }
  });
  await load.more(100);
  for (let change = 1; change <= CHANGES; change += 1) {
    const split = SPLITS[change % 2] ?? {};
    switchedAt = Number.POSITIVE_INFINITY;
    const status = await changeSplit(daemon, split);
    if (status !== 200) wrong.push(`change ${String(change)}: ${String(status)}`);
    expected = change % 2 === 0 ? 'a' : 'b';
    switchedAt = performance.now();
    await load.more(AFTER_EACH + CONNECTIONS);
    owner.set(newest, expected);
  }
  await load.stop();
  for (const [revision, entity] of owner) {
    if (seen.get(revision) !== entity) wrong.push(`revision ${String(revision)} is not ${entity}`);
  }
  t.same(load.failures, [], 'no request failed');
  t.same(wrong.slice(0, 10), [], 'no mixture, nothing of the past');
  t.equal(owner.size, CHANGES, 'every change was seen');
  t.comment(`${String(load.answers)} answers`);
});

/** The newest revision that any client had seen at a moment. */
class NewestSeen {
  readonly #steps: { revision: number; at: number }[] = [];

  add(revision: number, at: number): void {
    this.#steps.push({ revision, at });
  }

  before(at: number): number {
    for (let index = this.#steps.length - 1; index >= 0; index -= 1) {
      const step = this.#steps[index];
      if (step !== undefined && step.at < at) return step.revision;
    }
    return 0;
  }
}
