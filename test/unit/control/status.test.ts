import t from 'tap';
import { LATENCY_BUCKETS_MS } from '../../../src/core/limits.js';
import type { EntityStats, Stats } from '../../../src/control/messages.js';
import { mergeStats, quantileMs } from '../../../src/control/status.js';

const BUCKETS = LATENCY_BUCKETS_MS.length + 1;

function buckets(...filled: (readonly [index: number, count: number])[]): number[] {
  const counts = new Array<number>(BUCKETS).fill(0);
  for (const [index, count] of filled) counts[index] = count;
  return counts;
}

function stats(...entities: EntityStats[]): Stats {
  return {
    requestId: 1,
    revision: 1,
    entities,
    addresses: [],
    refusals: [],
    connectionsOpen: 0,
    requestsInFlight: 0,
  };
}

t.test('quantiles lie inside their bucket', (t) => {
  t.equal(quantileMs(buckets(), 0.5), null);
  t.equal(quantileMs(buckets([0, 10]), 0.5), 0.5);
  t.equal(quantileMs(buckets([3, 100]), 0.5), 7.5, 'half way from 5 to 10 ms');
  t.equal(quantileMs(buckets([3, 99], [5, 1]), 0.99), 10);
  t.equal(quantileMs(buckets([3, 98], [5, 2]), 0.99), 37.5);
  t.equal(quantileMs(buckets([BUCKETS - 1, 5]), 0.5), 300_000, 'no bound: the last one');
  t.end();
});

t.test('counters of all workers are added up by endpoint and entity', (t) => {
  const one = {
    endpoint: 'e',
    entity: 'a',
    statusClasses: [0, 5, 0, 1, 2],
    latencyBuckets: buckets([3, 8]),
    latencySumMs: 1,
    inFlight: 3,
  };
  const merged = mergeStats([stats(one, { ...one, entity: 'b' }), stats(one)]);
  t.match(merged.get('e/a'), { requests: 16, errors: 4, inFlight: 6 });
  t.match(merged.get('e/b'), { requests: 8, errors: 2, inFlight: 3 });
  t.equal(merged.get('e/a')?.buckets[3], 16);
  t.end();
});
