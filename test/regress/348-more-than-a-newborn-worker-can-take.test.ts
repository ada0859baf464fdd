/**
 * A worker that has nothing gets everything in one message of at most 64 MiB. Changes that were small by themselves made it
 * larger: no worker that was born later could serve, and one after the other ended.
 */
import t from 'tap';
import { call, configOf, startDaemon, startNamedReplica } from '../daemon/harness.js';
import { configure, PATH, until, workersOf } from '../daemon/live.js';

const BATCHES = 6;
const ENDPOINTS = 4;
const ENTITIES = 15;
const HEADERS = 32;
const HEADER_BYTES = 8_192;

t.test('changes end before that', { timeout: 120_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  await configure(t, daemon, { a: 100 });
  const { url } = await startNamedReplica(t, 'x');
  const names = Array.from({ length: HEADERS }, (_, index) => `x-${String(index)}`);
  const headers = Object.fromEntries(names.map((name) => [name, 'v'.repeat(HEADER_BYTES)]));
  /** Some 15 MiB. */
  const batch = (number: number): unknown => {
    const endpoints = Array.from({ length: ENDPOINTS }, (_, endpoint) =>
      Array.from({ length: ENTITIES }, (_, entity) => [number, endpoint, entity].join('-')),
    );
    return {
      deployments: endpoints.flat().map((name) => ({
        ...{ name, serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }], headers },
        ...{ replicas: [{ url }], health: { type: 'tcp', interval_ms: 100 } },
      })),
      endpoints: endpoints.map((entities, endpoint) => {
        const shares = entities.map((name, entity) => [name, entity === 0 ? 100 : 0] as const);
        const config = configOf(Object.fromEntries(shares));
        return { name: `e${String(number)}-${String(endpoint)}`, config };
      }),
    };
  };
  let refused = '';
  for (let number = 0; number < BATCHES && refused === ''; number += 1) {
    const path = `${daemon.adminUrl}/api/2.0/pointsman/manifest?wait=all`;
    const answer = await call(path, 'PATCH', daemon.adminToken, batch(number), {});
    if (answer.status !== 200) refused = answer.text;
  }
  t.match(refused, /INVALID_PARAMETER_VALUE.*at most 32 MiB fit/);
  for (const { pid } of await workersOf(daemon)) process.kill(pid, 'SIGKILL');
  await until(async () => (await workersOf(daemon)).every(({ restarts }) => restarts > 0));
  await until(async () => (await workersOf(daemon)).every(({ state }) => state === 'SERVING'));
  t.equal((await daemon.invoke(PATH, { inputs: [1] })).status, 200);
  t.same(
    (await workersOf(daemon)).map(({ restarts }) => restarts),
    [1, 1],
  );
});
