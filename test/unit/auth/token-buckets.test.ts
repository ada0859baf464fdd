/** Buckets and remembered things stay bounded, whatever keys come. */
import t from 'tap';
import { ExpiringMap } from '../../../src/auth/expiring-map.js';
import { TokenBuckets } from '../../../src/auth/token-buckets.js';
import { TestClock } from './token-kit.js';

t.test('a bucket gives its burst, then its rate, each key its own', (t) => {
  const clock = new TestClock();
  const buckets = new TokenBuckets({ burst: 3, perSecond: 0.5, keysMax: 10, clock });
  t.strictSame(
    [1, 2, 3, 4].map(() => buckets.take('a')),
    [0, 0, 0, 2],
  );
  t.equal(buckets.take('b'), 0);
  clock.advance(1999);
  t.equal(buckets.take('a'), 1);
  clock.advance(1);
  t.equal(buckets.take('a'), 0);
  clock.advance(1_000_000);
  t.strictSame(
    [1, 2, 3, 4].map(() => buckets.take('a')),
    [0, 0, 0, 2],
    'never more than the burst',
  );
  clock.advance(-500_000);
  t.equal(buckets.take('a'), 2, 'a clock that goes back gives nothing');
  t.end();
});

t.test('the key that was idle longest is forgotten', (t) => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 1, keysMax: 3, clock: new TestClock() });
  for (const key of ['a', 'b', 'c']) buckets.take(key);
  buckets.take('a');
  buckets.take('d');
  t.equal(buckets.size, 3);
  t.equal(buckets.take('a'), 1, 'used a moment ago');
  t.equal(buckets.take('b'), 0, 'forgotten');
  t.end();
});

t.test('what is remembered is forgotten in time and in number', (t) => {
  const map = new ExpiringMap<string, number>(2, 100);
  map.set('a', 1, 0);
  t.equal(map.get('a', 99), 1);
  t.equal(map.get('a', 100), undefined);
  t.equal(map.size, 0);
  map.set('a', 1, 0);
  map.set('b', 2, 0);
  map.set('a', 3, 50);
  map.set('c', 4, 50);
  t.strictSame([map.get('a', 60), map.get('b', 60), map.get('c', 60)], [3, undefined, 4]);
  t.equal(map.size, 2);
  t.end();
});
