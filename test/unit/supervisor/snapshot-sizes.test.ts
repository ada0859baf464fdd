/** The size of a whole snapshot, by its parts: never less than its frame, and the same however it was made. */
import t from 'tap';
import { deltaOf } from '../../../src/control/delta.js';
import { encodeFrame, Protocol, type Snapshot } from '../../../src/control/messages.js';
import { SNAPSHOT_BYTES_MAX } from '../../../src/core/limits.js';
import { SnapshotSizes } from '../../../src/supervisor/snapshot-sizes.js';

const PARTS = 200;

/** A deployment with a header of so many bytes, an endpoint that routes to it, and its address. */
function partsOf(number: number, bytes: number): Omit<Snapshot, 'revision'> {
  const name = `d${String(number)}`;
  const deployment = {
    ...{ name, protocol: Protocol.MLFLOW, headers: [{ name: 'x', value: 'v'.repeat(bytes) }] },
    ...{ connectMs: 1, responseHeaderMs: 1, bodyIdleMs: 1, totalMs: 0, keepaliveIdleMs: 1 },
    ...{ replaySafe: false, limitSlot: number, maxInFlight: 0, queueMax: 0, queueMs: 0 },
  };
  const entity = { name: 'e', sharePpm: 1_000_000, deployment: name, statsSlot: number };
  const endpoint = {
    ...{ name: `e${String(number)}`, id: 'f'.repeat(32), configVersion: 1, readers: [1, 300] },
    ...{ entities: [{ ...entity, maxInFlight: 0 }], routeOptimized: false },
  };
  const address = {
    ...{ host: '127.0.0.1', port: 80, authority: 'a:80', basePath: '', weight: 1, ready: true },
    ...{ statsSlot: number, recoveredAtMs: 0 },
  };
  return {
    endpoints: [endpoint],
    deployments: [deployment],
    addresses: [{ deployment: name, addresses: [address] }],
  };
}

function joined(revision: number, parts: readonly Omit<Snapshot, 'revision'>[]): Snapshot {
  return {
    revision,
    endpoints: parts.flatMap(({ endpoints }) => endpoints),
    deployments: parts.flatMap(({ deployments }) => deployments),
    addresses: parts.flatMap(({ addresses }) => addresses),
  };
}

t.test('the parts are the whole', (t) => {
  const sizes = new SnapshotSizes();
  const parts = Array.from({ length: PARTS }, (_, number) => partsOf(number, number));
  let base: Snapshot | null = null;
  for (let count = 0; count <= PARTS; count += 20) {
    // What was first goes, what is new comes.
    const next = joined(count, parts.slice(count / 4, count));
    const bytes = sizes.of(next, base);
    t.equal(bytes, new SnapshotSizes().of(next, null), 'as if counted anew');
    const frame = encodeFrame({ prepare: { delta: deltaOf(null, next) } }).length;
    const slack = 3 * 5 * (count + 1);
    t.ok(bytes + slack >= frame && bytes <= frame + slack, `${String(bytes)} of ${String(frame)}`);
    base = next;
  }
  t.end();
});

t.test('what is too large is refused, what is served already goes on', (t) => {
  const half = SNAPSHOT_BYTES_MAX / 2;
  const [one, other, third] = [0, 1, 2].map((number) => partsOf(number, half)) as [
    ReturnType<typeof partsOf>,
    ReturnType<typeof partsOf>,
    ReturnType<typeof partsOf>,
  ];
  const sizes = new SnapshotSizes();
  const small = joined(1, [one]);
  const large = joined(2, [one, other]);
  sizes.check(small, null);
  t.throws(
    () => {
      sizes.check(large, small);
    },
    { code: 'INVALID_PARAMETER_VALUE', message: /would take 32\.0 MiB: at most 32 MiB fit/ },
  );
  const stored = joined(3, [one, other, third]);
  sizes.check(stored, null);
  sizes.check(large, stored);
  t.pass('a start takes what is stored, and then it may become smaller');
  t.throws(() => {
    sizes.check(joined(4, [one, other, third, partsOf(4, 1)]), stored);
  });
  t.end();
});
