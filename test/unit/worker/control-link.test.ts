/** The worker's end of control.sock with a real engine: order, turns of the loop, and what is left when a supervisor goes. */
import { createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { encodeFrame, FrameReader, type Envelope } from '../../../src/control/messages.js';
import { loadAddon, READ_BUFFER_BYTES } from '../../../src/native/addon.js';
import type { Engine } from '../../../src/native/contract.js';
import { ControlLink } from '../../../src/worker/control-link.js';

interface Ends {
  readonly supervisor: Socket;
  /** What the link said it got, and 'lost'. */
  readonly seen: (Envelope | 'lost')[];
  /** What the worker said. */
  readonly said: Envelope[];
  readonly faults: string[];
  /** Resolves when as many are seen. */
  readonly count: (wanted: number) => Promise<void>;
}

function engineOf(t: Test): Engine {
  const addon = loadAddon();
  const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(1);
  addon.closeDescriptor(controlDescriptor);
  addon.closeDescriptor(columnsDescriptor);
  const engine = new addon.Engine(
    () => undefined,
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
  return engine;
}

async function connected(t: Test, onSeen: () => void = () => undefined): Promise<Ends> {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'pm-link-'));
  const accepted = new Promise<Socket>((resolve) => {
    const server = createServer((socket) => {
      server.close();
      resolve(socket);
    });
    server.listen(path.join(stateDir, 'control.sock'));
  });
  const seen: (Envelope | 'lost')[] = [];
  const faults: string[] = [];
  const engine = engineOf(t);
  let wanted = Infinity;
  let onCount: () => void = () => undefined;
  const note = (what: Envelope | 'lost'): void => {
    seen.push(what);
    onSeen();
    if (seen.length >= wanted) onCount();
  };
  const hopeless = new Promise<void>((resolve) => {
    const link = new ControlLink({
      engine,
      stateDir,
      hello: () => ({ slot: 0, pid: process.pid, blockId: 1, activeRevision: 0 }),
      onEnvelope: note,
      onFault: (problem) => faults.push(problem),
      onLost: () => {
        if (!seen.includes('lost')) note('lost');
      },
      onHopeless: resolve,
    });
    t.ok(link);
  });
  const supervisor = await accepted;
  supervisor.on('error', () => undefined);
  const said: Envelope[] = [];
  const reader = new FrameReader((envelope) => said.push(envelope));
  supervisor.on('data', (chunk: Buffer) => {
    reader.push(chunk);
  });
  // The link tries until its directory is gone.
  t.teardown(async () => {
    rmSync(stateDir, { recursive: true });
    supervisor.destroy();
    await hopeless;
  });
  const count = (number: number): Promise<void> =>
    new Promise((resolve) => {
      wanted = number;
      onCount = resolve;
      if (seen.length >= number) resolve();
    });
  return { supervisor, seen, said, faults, count };
}

function commits(revisions: readonly number[]): Buffer {
  return Buffer.concat(revisions.map((revision) => encodeFrame({ commit: { revision } })));
}

function revisionsOf(seen: readonly (Envelope | 'lost')[]): unknown[] {
  return seen.map((one) => (one === 'lost' ? one : (one.commit?.revision ?? 0)));
}

function prepareOf(revision: number, baseRevision: number, removedEndpoints: string[]): Buffer {
  const empty = { endpoints: [], deployments: [], removedDeployments: [], addresses: [] };
  return encodeFrame({
    prepare: { delta: { revision, baseRevision, removedEndpoints, ...empty } },
  });
}

t.test(
  'envelopes that come together are acted on in order, each in a turn of its own',
  async (t) => {
    let turn = 0;
    const turns: number[] = [];
    const nextTurn = (): void => {
      turn += 1;
      if (turns.length < 4) setImmediate(nextTurn);
    };
    const { supervisor, seen, count } = await connected(t, () => turns.push(turn));
    nextTurn();
    supervisor.write(commits([1, 2, 3, 4]));
    await count(4);
    t.same(revisionsOf(seen), [1, 2, 3, 4]);
    t.equal(new Set(turns).size, 4, 'none in the turn of another');
  },
);

t.test("changes are the engine's, however large; the rest comes behind them", async (t) => {
  const { supervisor, seen, said, faults, count } = await connected(t);
  const names = Array.from({ length: 20_000 }, (_, index) => `endpoint-${String(index)}`);
  const addresses = { deployment: 'd', addresses: [] };
  supervisor.write(
    Buffer.concat([
      prepareOf(1, 0, names),
      prepareOf(3, 2, []),
      encodeFrame({ discard: { revision: 1 } }),
      prepareOf(2, 1, []),
      encodeFrame({ addresses }),
      commits([9]),
    ]),
  );
  await count(1);
  t.same(revisionsOf(seen), [9]);
  while (said.length < 4) await new Promise(setImmediate);
  t.same(said[0]?.hello?.pid, process.pid, 'hello comes first');
  t.same(
    said.slice(1).map((one) => one.prepared?.error),
    [
      '',
      'revision 2, which the change starts from, is unknown',
      'revision 1, which the change starts from, is unknown',
    ],
  );
  t.same(faults, []);
});

t.test('what a supervisor said before it went is acted on before its loss is told', async (t) => {
  const { supervisor, seen, count } = await connected(t);
  supervisor.end(commits([1, 2, 3, 4, 5, 6]));
  await count(7);
  t.same(revisionsOf(seen), [1, 2, 3, 4, 5, 6, 'lost']);
});
