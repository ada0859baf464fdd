/** The worker's end of control.sock: order, turns of the loop, and what is left when a supervisor goes. */
import { createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { encodeFrame, type Envelope } from '../../../src/control/messages.js';
import { ControlLink } from '../../../src/worker/control-link.js';

interface Ends {
  readonly supervisor: Socket;
  /** What the link said it got, and 'lost'. */
  readonly seen: (Envelope | 'lost')[];
  /** Resolves when as many are there. */
  readonly count: (wanted: number) => Promise<void>;
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
  let wanted = Infinity;
  let onCount: () => void = () => undefined;
  const note = (what: Envelope | 'lost'): void => {
    seen.push(what);
    onSeen();
    if (seen.length >= wanted) onCount();
  };
  const hopeless = new Promise<void>((resolve) => {
    const link = new ControlLink({
      stateDir,
      hello: () => ({ slot: 0, pid: process.pid, blockId: 1, activeRevision: 0 }),
      onEnvelope: note,
      onLost: () => {
        if (!seen.includes('lost')) note('lost');
      },
      onHopeless: resolve,
    });
    t.ok(link);
  });
  const supervisor = await accepted;
  supervisor.on('error', () => undefined);
  supervisor.resume();
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
  return { supervisor, seen, count };
}

function discards(revisions: readonly number[]): Buffer {
  return Buffer.concat(revisions.map((revision) => encodeFrame({ discard: { revision } })));
}

function revisionsOf(seen: readonly (Envelope | 'lost')[]): unknown[] {
  return seen.map((one) => (one === 'lost' ? one : (one.discard?.revision ?? 0)));
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
    supervisor.write(discards([1, 2, 3, 4]));
    await count(4);
    t.same(revisionsOf(seen), [1, 2, 3, 4]);
    t.equal(new Set(turns).size, 4, 'none in the turn of another');
  },
);

t.test('an envelope larger than what is read at once comes whole', async (t) => {
  const { supervisor, seen, count } = await connected(t);
  const removedEndpoints = Array.from(
    { length: 20_000 },
    (_, index) => `endpoint-${String(index)}`,
  );
  const empty = { endpoints: [], deployments: [], removedDeployments: [], addresses: [] };
  const delta = { revision: 2, baseRevision: 1, removedEndpoints, ...empty };
  supervisor.write(Buffer.concat([encodeFrame({ prepare: { delta } }), discards([9])]));
  await count(2);
  const [first, second] = seen;
  if (first === undefined || first === 'lost') throw new Error('nothing came');
  t.same(first.prepare?.delta.removedEndpoints, removedEndpoints);
  t.same(revisionsOf([second ?? 'lost']), [9]);
});

t.test('what a supervisor said before it went is acted on before its loss is told', async (t) => {
  const { supervisor, seen, count } = await connected(t);
  supervisor.end(discards([1, 2, 3, 4, 5, 6]));
  await count(7);
  t.same(revisionsOf(seen), [1, 2, 3, 4, 5, 6, 'lost']);
});
