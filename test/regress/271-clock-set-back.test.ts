/** A clock that is set back made the deadline of an update as much longer. */
import t from 'tap';
import { Deadlines } from '../../src/control/deadlines.js';
import type { EndpointRecord } from '../../src/control/records.js';
import { ManualClock } from '../unit/control/harness.js';

const DEADLINE_MS = 1_000;
const HOUR_MS = 3_600_000;

t.test('an update has its deadline and no more', (t) => {
  const clock = new ManualClock();
  const expired: string[] = [];
  const deadlines = new Deadlines(clock, DEADLINE_MS, (name) => expired.push(name));
  const pending = { startedAt: clock.nowMs() + HOUR_MS };
  const record = { update: 'IN_PROGRESS', pending } as unknown as EndpointRecord;
  deadlines.follow('e', record);
  clock.advance(DEADLINE_MS - 1);
  t.same(expired, []);
  clock.advance(1);
  t.same(expired, ['e']);
  t.end();
});
