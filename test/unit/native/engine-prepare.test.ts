/**
 * Prepares of the real engine: deltas that nobody would make give an error or a table, never a crash; and when what
 * was prepared takes over.
 */
import t, { type Test } from 'tap';
import type { SnapshotDelta } from '../../../src/control/messages.js';
import { loadAddon, READ_BUFFER_BYTES } from '../../../src/native/addon.js';
import { EventFlag, FailureCode } from '../../../src/native/contract.js';
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
    new Float64Array(2),
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

/** Seeded, so that a failure can be seen again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Replaces one value, at any depth, by one of another kind. */
function spoil(value: unknown, random: (below: number) => number): void {
  let holder = value as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(holder);
    const key = keys[random(keys.length)];
    if (key === undefined) return;
    const inner = holder[key];
    if (typeof inner === 'object' && inner !== null && random(4) > 0) {
      holder = inner as Record<string, unknown>;
      continue;
    }
    holder[key] = SPOILERS[random(SPOILERS.length)]?.();
    return;
  }
}

const SPOILERS: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => -1,
  () => 2 ** 40,
  () => 10n ** 30n,
  () => '',
  () => 'x'.repeat(70_000),
  () => '\ud800\u0000',
  () => true,
  () => Symbol('s'),
  () => [],
  () => [null, undefined, 7, 'seven', []],
  () => new Array<unknown>(5),
  () => ({}),
  () => Object.create(null) as unknown,
  () => () => undefined,
  // Not enumerable, so that only the engine falls into it.
  () =>
    Object.defineProperty({}, 'name', {
      get: () => {
        throw new Error('a getter that throws');
      },
    }),
  () => new Proxy([], { get: () => undefined }),
];

t.test('deltas with values of the wrong kind', (t) => {
  const { engine, block, meets } = setUp(t);
  engine.prepare(deltaOf(1, 0));
  block.setActiveRevision(1);
  t.equal(meets('one'), METHOD_NOT_ALLOWED);
  const random = randomOf(65);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const delta = deltaOf(2, 1);
    const spoils = 1 + random(3);
    for (let count = 0; count < spoils; count += 1) spoil(delta, random);
    try {
      engine.prepare(delta);
    } catch (error) {
      refused += 1;
      t.ok(error instanceof Error || typeof error === 'object');
    }
    engine.discard(2);
    if (round % 500 === 0) t.equal(meets('two'), METHOD_NOT_ALLOWED, 'what was active is');
  }
  t.ok(refused > ROUNDS / 10 && refused < ROUNDS, `${String(refused)} were refused`);
  engine.prepare(deltaOf(2, 1));
  block.setActiveRevision(2);
  engine.commit();
  t.equal(meets('two'), METHOD_NOT_ALLOWED, 'a good one can still be built');
  t.end();
});

t.test('what is no delta at all', (t) => {
  const { engine } = setUp(t);
  for (const wrong of [undefined, null, 7, 'text', {}, [], () => undefined]) {
    t.throws(() => {
      engine.prepare(wrong as SnapshotDelta);
    });
  }
  t.end();
});

t.test('a refused delta leaves no table behind under its revision', (t) => {
  const { engine, block, meets } = setUp(t);
  const broken = deltaOf(5, 0) as unknown as { endpoints: unknown[] };
  broken.endpoints.push(null);
  t.throws(() => {
    engine.prepare(broken as unknown as SnapshotDelta);
  });
  const other = deltaOf(5, 0);
  const [first] = other.endpoints;
  for (const entity of first?.entities ?? []) entity.deployment = '';
  engine.prepare({ ...other, endpoints: first === undefined ? [] : [first] });
  block.setActiveRevision(5);
  t.equal(meets('one'), NO_DEPLOYMENT, 'the table is that of the second');
  t.equal(meets('two'), NO_ENDPOINT);
  t.end();
});

function revisionOf(block: SharedBlock): number {
  const numbers = new Float64Array(WORKER_NUMBERS);
  block.readWorker(0, numbers);
  return numbers[1] ?? 0;
}

t.test('a worker that dispatches nothing follows at its next beat', (t) => {
  const { engine, block } = setUp(t);
  engine.prepare(deltaOf(1, 0));
  engine.beat();
  t.equal(revisionOf(block), 0, 'prepared is not active');
  block.setActiveRevision(1);
  engine.beat();
  t.equal(revisionOf(block), 1);
  engine.prepare(deltaOf(2, 1));
  block.setActiveRevision(2);
  engine.prepare(deltaOf(3, 2));
  t.equal(revisionOf(block), 2, 'or before it prepares the one after');
  t.end();
});

t.test(
  'addresses that come after a revision are not replaced by those of the revision',
  async (t) => {
    let resolve: (failure: readonly number[]) => void = () => undefined;
    const failed = new Promise<readonly number[]>((done) => (resolve = done));
    const { engine, block } = setUp(t, (_id, flags, status) => {
      resolve([flags & EventFlag.FAILED, status]);
    });
    engine.prepare(deltaOf(1, 0));
    block.setActiveRevision(1);
    engine.commit();
    engine.prepare(deltaOf(2, 1));
    block.setActiveRevision(2);
    // No dispatch and no beat in between: the list of revision 2 has not been taken over yet.
    const [list] = deltaOf(2, 1).addresses;
    if (list === undefined) throw new Error('no addresses');
    const [address] = list.addresses;
    if (address === undefined) throw new Error('no address');
    engine.setAddresses({ ...list, addresses: [{ ...address, ready: false }] });
    engine.start('one', '', 'POST', '', '', '', '', 0, new ArrayBuffer(0), true, null, false, '');
    t.same(await failed, [EventFlag.FAILED, FailureCode.NO_READY_ADDRESS]);
  },
);
