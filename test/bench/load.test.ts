/** The load programs against the stub: counts are right, wrong answers are seen, stalls are not hidden. */
import t from 'tap';
import { loadSuite, type Target } from './suite.js';

const suite = await loadSuite();
const programs = await suite.buildPrograms(['stub', 'generator', 'sse_client']);
const { load: core } = suite.assignCores();
const stub = await suite.startStub(programs['stub'], core);
t.teardown(() => stub.stop());

function targetOf(workload: string): Target {
  return { port: stub.ports[workload]?.a ?? 0, path: '/invocations', headers: [] };
}

/** The stub is asked without a proxy, so one entity answers everything. */
const unsplit = { split: false, bodyBytes: 100, answerBytes: 64 };

t.test('an open loop sends what its rate says and gets an answer to each', async (t) => {
  const result = await suite.generate(programs['generator'], targetOf('small'), core, {
    ...unsplit,
    connections: 32,
    seconds: 1,
    rate: 2_000,
  });
  t.equal(result.answers, 2_000);
  t.same(result.entities, { a: 2_000 });
  const { p50, p90, p99, p999, max } = result.latency_us;
  t.ok(p50 > 0, 'time passes');
  const inOrder = [p50, p90, p99, p999, max];
  t.same(
    inOrder,
    [...inOrder].sort((a, b) => a - b),
    'quantiles rise',
  );
});

t.test('a stall makes every request late that was due in it', async (t) => {
  // A quarter of the requests is due while nothing answers. Were only those counted that a connection could send,
  // there would be 8 of 1,000.
  const stallAfterMs = 500;
  const stallMs = 500;
  const load = suite.generate(programs['generator'], targetOf('small'), core, {
    ...unsplit,
    connections: 8,
    seconds: 2,
    rate: 500,
  });
  setTimeout(() => process.kill(stub.pid, 'SIGSTOP'), stallAfterMs);
  setTimeout(() => process.kill(stub.pid, 'SIGCONT'), stallAfterMs + stallMs);
  const { answers, latency_us: latency } = await load;
  t.equal(answers, 1_000);
  t.ok(latency.max > 350_000, `the longest wait is that of the stall: ${String(latency.max)}`);
  t.ok(latency.p90 > 150_000, `a tenth waited long: ${String(latency.p90)}`);
});

t.test('every byte of an answer is held against what it should be', async (t) => {
  const options = { ...unsplit, connections: 4, seconds: 0.2 };
  const ask = (workload: string, answerBytes: number): Promise<unknown> =>
    suite.generate(programs['generator'], targetOf(workload), core, { ...options, answerBytes });
  await t.rejects(ask('small', 100), { message: /answers were wrong or missing: \d+ body/ });
  await t.rejects(ask('kib64', 64), { message: /answers were wrong or missing: \d+ body/ });
  await t.resolves(ask('kib64', 65_536));
  await t.resolves(ask('mib1', 1_048_576));
});

t.test('large requests arrive whole', async (t) => {
  // The answer repeats how many bytes came, which the generator checks.
  const options = { ...unsplit, connections: 4, seconds: 0.2, bodyBytes: 1_000_000 };
  await t.resolves(suite.generate(programs['generator'], targetOf('small'), core, options));
});

t.test('a split that is not 90 to 10 is refused', async (t) => {
  const options = { ...unsplit, split: true, connections: 4, seconds: 0.1 };
  const load = suite.generate(programs['generator'], targetOf('small'), core, options);
  await t.rejects(load, { message: /the split is not 90 to 10: \d+ answers of a, 0 of b/ });
});

t.test('events are counted, numbered and timed', async (t) => {
  const result = await suite.readEvents(programs['sse_client'], targetOf('events'), core, {
    connections: 10,
    seconds: 2.5,
  });
  // 10 streams of 100 events per second, which begin up to 10 ms late.
  t.ok(result.events > 2_000 && result.events <= 2_600, `${String(result.events)} events`);
  t.equal(result.streams, 10, 'streams of 200 events end and the next begins');
  t.ok(result.delay_us.p50 > 0 && result.delay_us.p50 < 1e6, 'the clocks are one');
});

t.test('a micro bench gives a figure per operation', async (t) => {
  const names = suite.microBenchNames();
  t.ok(names.includes('pick_bench'));
  // The second one is linked with the network's part and the kit of its tests.
  const built = await suite.buildPrograms(['pick_bench', 'pool_bench']);
  t.ok(built['pool_bench']);
  const output = await suite.runOn(core, built['pick_bench'] ?? '', [], 60_000);
  const lines = output.trim().split('\n');
  t.ok(lines.length >= 5);
  for (const line of lines) {
    const { name, ns } = JSON.parse(line) as { name: string; ns: number };
    t.ok(name !== '' && ns > 0.1 && ns < 100_000, line);
  }
});
