import t from 'tap';
import { CATCH_UP_MS } from '../../../src/auth/access-book.js';
import { WANTED_USERS_MAX, WantedUsers } from '../../../src/worker/wanted-users.js';
import { ManualClock } from '../control/harness.js';

function startWanted() {
  const clock = new ManualClock();
  const asked: string[] = [];
  const wanted = new WantedUsers(clock, ({ name }) => asked.push(name));
  const want = (name: string) => wanted.want({ name, issuer: 'issuer', issuedAtS: 0 });
  return { clock, asked, wanted, want };
}

t.test('each is asked for once, while it may come', (t) => {
  const { clock, asked, wanted, want } = startWanted();
  t.ok(want('mia'));
  clock.advance(CATCH_UP_MS - 1);
  t.ok(want('mia'));
  t.same(asked, ['mia']);
  clock.advance(1);
  t.ok(want('mia'));
  t.same(asked, ['mia', 'mia'], 'the supervisor could not make it, and may now');
  wanted.clear();
  t.ok(want('mia'));
  t.equal(asked.length, 3);
  t.end();
});

t.test('so many at a time, whoever came to nothing', (t) => {
  const { clock, asked, want } = startWanted();
  for (let n = 0; n < WANTED_USERS_MAX; n += 1) t.ok(want(`user-${String(n)}`));
  t.notOk(want('mia'));
  t.equal(asked.length, WANTED_USERS_MAX);
  clock.advance(CATCH_UP_MS);
  t.ok(want('mia'));
  clock.advance(-60_000);
  t.ok(want('mia'));
  t.equal(asked.length, WANTED_USERS_MAX + 2, 'the clock may be set back');
  t.end();
});
