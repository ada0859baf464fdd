/** Entries go in the order in which they came, whatever happens to the map in between. */
import t from 'tap';
import { OldestKeys } from '../../../src/core/oldest-keys.js';

t.test('a full map loses its oldest entry, also after many', (t) => {
  const map = new Map<number, string>();
  const oldest = new OldestKeys(map);
  const size = 1_000;
  for (let key = 0; key < 10 * size; key += 1) {
    if (map.size >= size) oldest.removeOne();
    map.set(key, '');
  }
  const kept = [...map.keys()];
  t.equal(kept.length, size);
  t.equal(kept[0], 9 * size);
  t.equal(kept.at(-1), 10 * size - 1);
  t.end();
});

t.test('an entry that is removed and set again is young', (t) => {
  const map = new Map(['a', 'b', 'c', 'd'].map((key) => [key, key]));
  const oldest = new OldestKeys(map);
  oldest.removeOne();
  map.delete('b');
  map.set('b', 'again');
  map.delete('c');
  oldest.removeOne();
  t.strictSame([...map.keys()], ['b']);
  t.end();
});

t.test('an empty map stays empty, and what comes later is found', (t) => {
  const map = new Map([['a', 1]]);
  const oldest = new OldestKeys(map);
  oldest.removeOne();
  oldest.removeOne();
  t.equal(map.size, 0);
  map.set('b', 2).set('c', 3);
  oldest.removeOne();
  t.strictSame([...map.keys()], ['c']);
  map.clear();
  map.set('d', 4);
  oldest.removeOne();
  t.equal(map.size, 0);
  t.end();
});
