/** What the arguments of `split` mean, and what its counters say. */
import t from 'tap';
import { observe, parseShares, planSplit, splitBack } from '../../../src/cli/split-plan.js';
import type { EntityStatus } from '../../../src/control/control-plane.js';

const CONFIG = {
  served_entities: [{ name: 'current' }, { name: 'challenger' }, { name: 'shadow' }],
  traffic_config: {
    routes: [
      { served_model_name: 'current', traffic_percentage: 90 },
      { served_model_name: 'challenger', traffic_percentage: 10 },
    ],
  },
};

t.test('shares are integers that sum to 100', (t) => {
  t.strictSame(parseShares(['a=0', 'b=100%']), [
    { name: 'a', percent: 0 },
    { name: 'b', percent: 100 },
  ]);
  for (const [args, message] of [
    [['a'], /^a: write NAME=PERCENT/],
    [['a=1.5'], /^a=1\.5: write/],
    [['a=101'], /^a=101: write/],
    [['a=-1'], /^a=-1: write/],
    [['=5'], /^=5: write/],
    [['a=50', 'a=50'], /^a is given twice/],
    [['a=50', 'b=40'], /^a=50 b=40 sums to 90, not 100/],
  ] as const) {
    t.throws(() => parseShares(args), { message, exitCode: 2 });
  }
  t.end();
});

t.test('the plan keeps the order of the endpoint and names what is wrong', (t) => {
  const plan = planSplit('iris', CONFIG, parseShares(['challenger=50', 'current=50']));
  t.strictSame(
    plan.before.map(({ percent }) => percent),
    [90, 10, 0],
  );
  t.strictSame(
    plan.after.map(({ percent }) => percent),
    [50, 50, 0],
  );
  t.equal(splitBack(plan), 'split iris current=90 challenger=10 shadow=0');
  t.throws(() => planSplit('iris', CONFIG, parseShares(['curent=100'])), {
    message:
      'iris has no served entity curent; it has current, challenger, shadow. Did you mean current?',
    exitCode: 2,
  });
  t.throws(() => planSplit('iris', CONFIG, parseShares(['current=100'])), {
    message: 'challenger has 10 % now and is not named; add challenger=0 to stop its traffic',
  });
  t.end();
});

t.test('observation counts since the change, and anew after a worker was replaced', (t) => {
  const entity = (name: string, requests: number, errors: number): EntityStatus => ({
    name,
    entity_name: 'lab.m',
    entity_version: '1',
    requests,
    errors,
    traffic_percentage: 0,
    deployment: '',
    in_flight: 0,
    latency_p50_ms: null,
    latency_p90_ms: null,
    latency_p99_ms: null,
  });
  const base = [entity('a', 100, 5), entity('b', 50, 0)];
  t.strictSame(
    observe(base, base).map(({ share_percent: share }) => share),
    [null, null],
  );
  t.strictSame(observe(base, [entity('a', 102, 6), entity('b', 51, 0)]), [
    { name: 'a', requests: 2, share_percent: 66.7, errors: 1 },
    { name: 'b', requests: 1, share_percent: 33.3, errors: 0 },
  ]);
  t.match(observe(base, [entity('a', 3, 0), entity('b', 1, 0)]), [
    { requests: 3 },
    { requests: 1 },
  ]);
  t.end();
});
