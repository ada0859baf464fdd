import t from 'tap';
import { CATCH_UP_MS } from '../../../src/auth/access-book.js';
import { WANTED_USERS_MAX, WantedUsers } from '../../../src/worker/wanted-users.js';
import { ManualClock } from '../control/harness.js';

function startWanted() {
  const clock = new ManualClock();
  const asked: string[] = [];
  return { clock, asked, wanted: new WantedUsers(clock, (name) => asked.push(name)) };
}

t.test('each is asked for once, while it may come', (t) => {
  const { clock, asked, wanted } = startWanted();
  t.ok(wanted.want('mia', 'issuer'));
  clock.advance(CATCH_UP_MS - 1);
  t.ok(wanted.want('mia', 'issuer'));
  t.same(asked, ['mia']);
  clock.advance(1);
  t.ok(wanted.want('mia', 'issuer'));
  t.same(asked, ['mia', 'mia'], 'the supervisor could not make it, and may now');
  wanted.clear();
  t.ok(wanted.want('mia', 'issuer'));
  t.equal(asked.length, 3);
  t.end();
});

t.test('so many at a time, whoever came to nothing', (t) => {
  const { clock, asked, wanted } = startWanted();
  for (let n = 0; n < WANTED_USERS_MAX; n += 1) t.ok(wanted.want(`user-${String(n)}`, 'issuer'));
  t.notOk(wanted.want('mia', 'issuer'));
  t.equal(asked.length, WANTED_USERS_MAX);
  clock.advance(CATCH_UP_MS);
  t.ok(wanted.want('mia', 'issuer'));
  clock.advance(-60_000);
  t.ok(wanted.want('mia', 'issuer'));
  t.equal(asked.length, WANTED_USERS_MAX + 2, 'the clock may be set back');
  t.end();
});
