/** How often a worker asks its supervisor for an issuer's keys, and who waits for the answer. */
import t from 'tap';
import {
  ANSWER_TIMEOUT_MS,
  ASK_INTERVAL_MS,
  KeyRefreshes,
} from '../../../src/worker/key-refreshes.js';
import { TestClock } from '../auth/token-kit.js';

const ISSUER = 'https://a.test';

function create() {
  const clock = new TestClock();
  const asked: string[] = [];
  const refreshes = new KeyRefreshes({ clock, ask: (issuer) => asked.push(issuer) });
  return { clock, asked, refreshes };
}

t.test('many who wait are one question', async (t) => {
  const { asked, refreshes } = create();
  const waiting = Array.from({ length: 10 }, () => refreshes.refresh(ISSUER));
  t.same(asked, [ISSUER], 'asked at once');
  const other = refreshes.refresh('https://b.test');
  t.equal(asked.length, 2, 'issuers do not wait for each other');
  refreshes.onAnswer(ISSUER);
  await Promise.all(waiting);
  refreshes.onAnswer('https://b.test');
  await other;
  refreshes.onAnswer(ISSUER);
  t.equal(asked.length, 2, 'an answer that nobody waits for does nothing');
});

t.test('a flood of unknown keys asks once per interval', async (t) => {
  const { clock, asked, refreshes } = create();
  const done = refreshes.refresh(ISSUER);
  refreshes.onAnswer(ISSUER);
  await done;
  const next = [refreshes.refresh(ISSUER), refreshes.refresh(ISSUER)];
  clock.advance(ASK_INTERVAL_MS - 1);
  t.equal(asked.length, 1);
  clock.advance(1);
  t.equal(asked.length, 2);
  refreshes.onAnswer(ISSUER);
  await Promise.all(next);
  clock.advance(ASK_INTERVAL_MS);
  const late = refreshes.refresh(ISSUER);
  t.equal(asked.length, 3, 'at once after a pause');
  refreshes.onAnswer(ISSUER);
  await late;
});

t.test('a clock that is set back makes nobody wait for long', (t) => {
  const { clock, asked, refreshes } = create();
  void refreshes.refresh(ISSUER);
  refreshes.onAnswer(ISSUER);
  clock.advance(-1_000_000);
  void refreshes.refresh(ISSUER);
  clock.advance(ASK_INTERVAL_MS);
  t.equal(asked.length, 2);
  t.end();
});

t.test('a supervisor that does not answer holds nobody up for ever', async (t) => {
  const { clock, asked, refreshes } = create();
  const first = refreshes.refresh(ISSUER);
  clock.advance(ANSWER_TIMEOUT_MS);
  await first;
  const second = refreshes.refresh(ISSUER);
  t.equal(asked.length, 2);
  clock.advance(ANSWER_TIMEOUT_MS);
  await second;
});
