/** The split that clients see over keep-alive connections is the configured one, and every answer says who gave it. */
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startNamedReplica,
  type TestDaemon,
} from './harness.js';
import { jsonOf, post, valuesOf, WireClient } from './wire.js';

const REQUESTS = 20_000;
const CONNECTIONS = 16;

/** Chi-square above this has p < 0.001, by degrees of freedom. */
const CRITICAL: Readonly<Record<number, number>> = { 1: 10.828, 2: 13.816 };

const SPLITS: readonly Readonly<Record<string, number>>[] = [
  { a: 90, b: 10 },
  { a: 1, b: 99 },
  { a: 33, b: 33, c: 34 },
  { a: 60, b: 0, c: 40 },
];

/** Answers by entity; every answer must be a 200 of the replica that its field names. */
async function sample(t: Test, daemon: TestDaemon, path: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const bytes = Buffer.from(post(daemon, path, '{}'));
  let left = REQUESTS;
  let wrong = '';
  async function run(): Promise<void> {
    const client = new WireClient(t, daemon.dataPort);
    while (left > 0) {
      left -= 1;
      const answer = await client.send(bytes).answer();
      const served = String(jsonOf(answer)['served']);
      const [named] = valuesOf(answer, 'served-model-name');
      if (answer.status !== 200 || named !== served) wrong ||= `${answer.head}${served}`;
      counts.set(served, (counts.get(served) ?? 0) + 1);
    }
    client.socket.end();
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, run));
  t.equal(wrong, '', 'every answer is a 200 of the replica it names');
  return counts;
}

function chiSquare(
  counts: ReadonlyMap<string, number>,
  split: Readonly<Record<string, number>>,
): number {
  return Object.entries(split)
    .filter(([, percent]) => percent > 0)
    .reduce((sum, [name, percent]) => {
      const expected = (REQUESTS * percent) / 100;
      return sum + ((counts.get(name) ?? 0) - expected) ** 2 / expected;
    }, 0);
}

const daemon = await startDaemon(t);
const urls: Record<string, string> = {};
for (const name of ['a', 'b', 'c']) urls[name] = (await startNamedReplica(t, name)).url;
const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
  deployments: deploymentsOf(urls),
  endpoints: SPLITS.map((split, index) => endpointOf(`split-${String(index)}`, split)),
});
// Not an assertion: the first one would let the root test end with it.
if (applied.status !== 200) throw new Error(applied.text);

for (const [index, split] of SPLITS.entries()) {
  const endpoint = `split-${String(index)}`;
  await t.test(JSON.stringify(split), async (t) => {
    await daemon.settled(endpoint);
    const path = `/serving-endpoints/${endpoint}/invocations`;
    const weighted = Object.values(split).filter((percent) => percent > 0).length;
    const critical = CRITICAL[weighted - 1] ?? 0;
    // A right split fails once in a thousand samples, a wrong one every time.
    let counts = await sample(t, daemon, path);
    if (chiSquare(counts, split) > critical) counts = await sample(t, daemon, path);
    t.ok(chiSquare(counts, split) <= critical, JSON.stringify([...counts]));
    for (const [name, percent] of Object.entries(split)) {
      if (percent === 0) t.notOk(counts.has(name), `${name} has no traffic`);
    }
  });
}

await t.test('a named entity gets all, whatever its share', async (t) => {
  for (const name of ['a', 'b', 'c']) {
    const path = `/serving-endpoints/split-3/served-models/${name}/invocations`;
    for (let count = 0; count < 50; count += 1) {
      const answer = await daemon.invoke(path, {});
      t.equal(answer.status, 200);
      t.equal(answer.headers.get('served-model-name'), name);
      t.same(answer.body, { served: name });
    }
  }
});
