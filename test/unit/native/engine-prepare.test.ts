/**
 * Prepares of the real engine: bytes that nobody would send give an error or a table, never a crash; and when what
 * was prepared takes over.
 */
import t, { type Test } from 'tap';
import { encodeFrame, envelopeIn, type SnapshotDelta } from '../../../src/control/messages.js';
import { loadAddon, READ_BUFFER_BYTES } from '../../../src/native/addon.js';
import type { Engine, OnEvent } from '../../../src/native/contract.js';
import { WORKER_NUMBERS, type SharedBlock } from '../../../src/native/shared-block.js';

const ROUNDS = 3_000;
const NO_ENDPOINT = -2;
const NO_DEPLOYMENT = -4;
const METHOD_NOT_ALLOWED = -5;

interface Setup {
  readonly engine: Engine;
  readonly block: SharedBlock;
  /** What a GET to the endpoint meets; nothing is relayed. */
  readonly meets: (endpoint: string) => number;
}

function setUp(t: Test, onEvent: OnEvent = () => undefined): Setup {
  const addon = loadAddon();
  const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(1);
  addon.closeDescriptor(controlDescriptor);
  addon.closeDescriptor(columnsDescriptor);
  const engine = new addon.Engine(
    onEvent,
    new Uint8Array(READ_BUFFER_BYTES),
    new Float64Array(1),
    block,
    0,
    [],
  );
  t.teardown(() => {
    engine.close();
    block.close();
  });
  const meets = (endpoint: string): number =>
    engine.start(endpoint, '', 'GET', '', '', '', '', 0, new ArrayBuffer(0), true, null, false, '');
  return { engine, block, meets };
}

function deltaOf(revision: number, baseRevision: number): SnapshotDelta {
  return {
    revision,
    baseRevision,
    endpoints: ['one', 'two'].map((name) => ({
      name,
      id: name,
      configVersion: 1,
      readers: [],
      routeOptimized: false,
      entities: [
        { name: 'a', sharePpm: 300_000, deployment: 'd', statsSlot: 0, maxInFlight: 0 },
        { name: 'b', sharePpm: 700_000, deployment: 'd', statsSlot: 1, maxInFlight: 0 },
      ],
    })),
    removedEndpoints: ['three'],
    deployments: [
      {
        name: 'd',
        protocol: 0,
        headers: [{ name: 'x-key', value: 'v' }],
        connectMs: 1_000,
        responseHeaderMs: 1_000,
        bodyIdleMs: 1_000,
        totalMs: 0,
        keepaliveIdleMs: 1_000,
        replaySafe: false,
        limitSlot: 0,
        maxInFlight: 0,
        queueMax: 0,
        queueMs: 0,
      },
    ],
    removedDeployments: ['e'],
    addresses: [
      {
        deployment: 'd',
        addresses: [
          {
            host: '127.0.0.1',
            port: 9,
            authority: 'h',
            basePath: '',
            weight: 1,
            ready: true,
            recoveredAtMs: 0,
            statsSlot: 0,
          },
        ],
      },
    ],
  };
}

function encoded(delta: SnapshotDelta): Uint8Array {
  return envelopeIn(encodeFrame({ prepare: { delta } }));
}

/** Seeded, so that a failure can be seen again. */
function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

type Random = (below: number) => number;

const RANGE_BYTES_MAX = 24;

/** Spoils the bytes in one of the ways in which they could be; in memory that ends where they end. */
function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  const begin = random(bytes.length);
  const end = Math.min(begin + 1 + random(RANGE_BYTES_MAX), bytes.length);
  const range = bytes.subarray(begin, end);
  const damage = DAMAGES[random(DAMAGES.length)] ?? (() => []);
  const parts = [bytes.subarray(0, begin), ...damage(range, random), bytes.subarray(end)];
  return new Uint8Array(Buffer.concat(parts));
}

/** What stands in the place of a range afterwards. */
const DAMAGES: readonly ((range: Uint8Array, random: Random) => Uint8Array[])[] = [
  // One bit is another.
  (range, random) => [range.map((byte, index) => (index === 0 ? byte ^ (1 << random(8)) : byte))],
  // All of it is.
  (range, random) => [range.map(() => random(256))],
  // It is missing.
  () => [],
  // Something stands before it.
  (range, random) => [Uint8Array.from({ length: 1 + random(8) }, () => random(256)), range],
  // It is there twice.
  (range) => [range, range],
];

t.test('deltas whose bytes are damaged', (t) => {
  const { engine, block, meets } = setUp(t);
  engine.prepare(encoded(deltaOf(1, 0)));
  block.setActiveRevision(1);
  t.equal(meets('one'), METHOD_NOT_ALLOWED);
  const good = encoded(deltaOf(2, 1));
  const random = randomOf(65);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    let bytes = good;
    const damages = 1 + random(2);
    for (let count = 0; count < damages; count += 1) bytes = damaged(bytes, random);
    if (random(20) === 0) bytes = bytes.slice(0, random(bytes.length));
    try {
      engine.prepare(bytes);
    } catch (error) {
      refused += 1;
      t.ok(error instanceof Error);
    }
    engine.discard(2);
    if (round % 500 === 0) t.equal(meets('two'), METHOD_NOT_ALLOWED, 'what was active is');
  }
  const built = ROUNDS - refused;
  t.ok(refused > ROUNDS / 10 && built > ROUNDS / 20, `${String(refused)} were refused`);
  engine.prepare(good);
  block.setActiveRevision(2);
  engine.commit();
  t.equal(meets('two'), METHOD_NOT_ALLOWED, 'a good one can still be built');
  t.end();
});

t.test('what is no delta at all', (t) => {
  const { engine } = setUp(t);
  const wrongs = [undefined, null, 7, 'text', {}, [], new Uint8Array(), new ArrayBuffer(8)];
  for (const wrong of wrongs) {
    t.throws(() => {
      engine.prepare(wrong as Uint8Array);
    }, /does not follow its base/);
  }
  t.end();
});

t.test('a refused delta leaves no table behind under its revision', (t) => {
  const { engine, block, meets } = setUp(t);
  const broken = deltaOf(5, 0);
  for (const entity of broken.endpoints[1]?.entities ?? []) entity.deployment = 'e';
  t.throws(() => {
    engine.prepare(encoded(broken));
  }, /endpoint two: deployment e is not in the revision/);
  const other = deltaOf(5, 0);
  const [first] = other.endpoints;
  for (const entity of first?.entities ?? []) entity.deployment = '';
  engine.prepare(encoded({ ...other, endpoints: first === undefined ? [] : [first] }));
  block.setActiveRevision(5);
  t.equal(meets('one'), NO_DEPLOYMENT, 'the table is that of the second');
  t.equal(meets('two'), NO_ENDPOINT);
  t.end();
});

t.test('what was picked is told by its name', (t) => {
  const { engine, block, meets } = setUp(t);
  t.equal(engine.pickedEntity(), '', 'nothing was');
  const delta = deltaOf(1, 0);
  const [first, second] = delta.endpoints;
  if (first === undefined || second === undefined) throw new Error('no endpoints');
  const unserved = { sharePpm: 1_000_000, deployment: '', statsSlot: 2, maxInFlight: 0 };
  first.entities = [{ ...unserved, name: 'modèle-模型-🙂' }];
  second.entities = [{ ...unserved, name: 'other', deployment: 'd' }];
  engine.prepare(encoded(delta));
  block.setActiveRevision(1);
  t.equal(meets('one'), NO_DEPLOYMENT);
  t.equal(engine.pickedEntity(), 'modèle-模型-🙂');
  t.equal(meets('nowhere'), NO_ENDPOINT);
  t.equal(engine.pickedEntity(), 'modèle-模型-🙂', 'what picks nothing changes nothing');
  t.equal(meets('two'), METHOD_NOT_ALLOWED);
  t.equal(engine.pickedEntity(), 'other');
  t.end();
});

function revisionOf(block: SharedBlock): number {
  const numbers = new Float64Array(WORKER_NUMBERS);
  block.readWorker(0, numbers);
  return numbers[1] ?? 0;
}

t.test('a worker that dispatches nothing follows at its next beat', (t) => {
  const { engine, block } = setUp(t);
  engine.prepare(encoded(deltaOf(1, 0)));
  engine.beat();
  t.equal(revisionOf(block), 0, 'prepared is not active');
  block.setActiveRevision(1);
  engine.beat();
  t.equal(revisionOf(block), 1);
  engine.prepare(encoded(deltaOf(2, 1)));
  block.setActiveRevision(2);
  engine.prepare(encoded(deltaOf(3, 2)));
  t.equal(revisionOf(block), 2, 'or before it prepares the one after');
  t.end();
});
