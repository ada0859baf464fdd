import t from 'tap';
import { ShardedMap } from '../../../src/control/sharded-map.js';

const COUNT = 10_000;
const names = Array.from({ length: COUNT }, (_, index) => `endpoint-${String(index)}`);
const all = ShardedMap.of(names.map((name, index) => [name, index] as const));

t.test('holds what a map holds', (t) => {
  t.equal(all.size, COUNT);
  t.equal(all.get('endpoint-77'), 77);
  t.equal(all.get('absent'), undefined);
  t.ok(all.has('endpoint-0'));
  t.notOk(all.has('__proto__'));
  t.same([...all.keys()].sort(), [...names].sort());
  t.same(new Map(all), new Map(names.map((name, index) => [name, index])));
  let sum = 0;
  all.forEach((value, name, map) => {
    if (map.get(name) === value) sum += value;
  });
  t.equal(sum, (COUNT * (COUNT - 1)) / 2);
  t.equal([...all.values()].length, COUNT);
  t.end();
});

t.test('a change leaves the map as it was and copies only the shards it is in', (t) => {
  const changed = all.with([
    ['endpoint-1', -1],
    ['endpoint-2', null],
    ['fresh', 7],
    ['absent', null],
  ]);
  t.same([all.get('endpoint-1'), all.get('endpoint-2'), all.has('fresh')], [1, 2, false]);
  t.same(
    [changed.get('endpoint-1'), changed.has('endpoint-2'), changed.get('fresh')],
    [-1, false, 7],
  );
  t.equal(all.size, COUNT);
  t.equal(changed.size, COUNT);
  const copied = changed.shards.filter((shard, index) => shard !== all.shards[index]);
  t.ok(copied.length <= 4, `${String(copied.length)} shards were copied`);
  t.equal(all.with([]), all, 'no change is the same map');
  t.end();
});

t.test('names spread over the shards', (t) => {
  const largest = Math.max(...all.shards.map(({ size }) => size));
  t.equal(all.shards.length, 256);
  t.ok(largest < 4 * (COUNT / all.shards.length), `the largest shard holds ${String(largest)}`);
  t.end();
});
