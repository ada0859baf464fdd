import t from 'tap';
import { ADDRESSES_MAX, LoginThrottle } from '../../../src/auth/login-throttle.js';
import { ManualClock } from '../control/harness.js';

/** Fails with different credentials until the address is throttled; how often that took. */
function guessUntilThrottled(throttle: LoginThrottle, address: string): number {
  let count = 0;
  while (throttle.retryAfterS(address) === null) {
    throttle.failed(address, `guess ${String(count)}`);
    count += 1;
  }
  return count;
}

t.test('twenty guesses at once, then one each 2.5 s; another address is not concerned', (t) => {
  const clock = new ManualClock();
  const throttle = new LoginThrottle(clock);
  t.equal(guessUntilThrottled(throttle, 'a'), 20);
  t.equal(throttle.retryAfterS('a'), 3);
  t.equal(throttle.retryAfterS('b'), null);
  clock.advance(2_500);
  t.equal(throttle.retryAfterS('a'), null);
  throttle.failed('a', 'one more');
  t.ok(throttle.retryAfterS('a'));
  clock.advance(60_000);
  t.equal(guessUntilThrottled(throttle, 'a'), 20, 'the budget fills up again, and no further');
  t.end();
});

t.test('the same bad credential again costs little', (t) => {
  const throttle = new LoginThrottle(new ManualClock());
  for (let count = 0; count < 900; count += 1) throttle.failed('a', 'old token');
  t.equal(throttle.retryAfterS('a'), null);
  for (let count = 0; count < 100; count += 1) throttle.failed('a', 'old token');
  t.ok(throttle.retryAfterS('a'));
  t.end();
});

t.test('addresses are forgotten when there are too many, the longest unused first', (t) => {
  const throttle = new LoginThrottle(new ManualClock());
  guessUntilThrottled(throttle, 'first');
  for (let count = 0; count < ADDRESSES_MAX - 1; count += 1) {
    throttle.failed(`address ${String(count)}`, 'x');
  }
  throttle.failed('first', 'again');
  throttle.failed('one more', 'x');
  t.equal(throttle.size, ADDRESSES_MAX);
  t.ok(throttle.retryAfterS('first'), 'used since');
  t.end();
});
