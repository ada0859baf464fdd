/** The conversation with a worker process: a real process, a real socket, the worker's words said by the test. */
import { connect, createServer, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { ControlChannel } from '../../../src/control/control-socket.js';
import { encodeFrame, type Envelope } from '../../../src/control/messages.js';
import { loadAddon } from '../../../src/native/addon.js';
import { HEARTBEAT_TIMEOUT_MS, WorkerSlot } from '../../../src/supervisor/worker-process.js';

const LOOK_MS = 250;

interface Talk {
  readonly slot: WorkerSlot;
  /** What the process says. */
  readonly worker: ControlChannel;
  /** What it has been told. */
  readonly told: Envelope[];
  /** Resolves at the next exit, respawn included or not. */
  readonly exit: () => Promise<void>;
}

async function startTalk(t: Test, isSetUp = true): Promise<Talk> {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-slot-'));
  let onExit: () => void = () => undefined;
  const slot = new WorkerSlot({
    addon: loadAddon(),
    entry: ['-e', 'setInterval(() => {}, 1000)'],
    launch: { slot: 0, stateDir: folder, logLevel: 'info', logReadable: false },
    memoryDescriptors: [2, 2],
    wakeDescriptors: [2],
    sockets: [],
    logger: pino({ level: 'silent' }),
    onSpawn: () => undefined,
    onConnected: () => undefined,
    onServing: () => undefined,
    onExit: () => {
      onExit();
    },
  });
  slot.spawn();
  const file = path.join(folder, 'sock');
  const connected = new Promise<Socket>((resolve) => {
    const server = createServer((socket) => {
      resolve(socket);
      server.close();
    });
    server.listen(file);
  });
  const told: Envelope[] = [];
  const worker = new ControlChannel(
    connect(file),
    (envelope) => told.push(envelope),
    () => undefined,
  );
  const channel: ControlChannel = new ControlChannel(
    await connected,
    (envelope) => {
      slot.onEnvelope(envelope);
    },
    () => {
      slot.left(channel);
    },
  );
  slot.join(channel);
  if (isSetUp) worker.send({ setupDone: {} });
  while (slot.connected !== isSetUp) await new Promise((resolve) => setImmediate(resolve));
  t.teardown(async () => {
    const ended = slot.drain(0, 0);
    slot.kill();
    await ended;
    worker.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    slot,
    worker,
    told,
    exit: () =>
      new Promise((resolve) => {
        onExit = resolve;
      }),
  };
}

function frameOf(revision: number): Buffer {
  const empty = { endpoints: [], removedEndpoints: [], deployments: [], removedDeployments: [] };
  const delta = { revision, baseRevision: 0, ...empty, addresses: [] };
  return encodeFrame({ prepare: { delta } });
}

t.test('an answer that comes too late is not taken for that of the next prepare', async (t) => {
  const { slot, worker, told } = await startTalk(t);
  t.same(await slot.prepare(7, frameOf(7), 1), { kind: 'late' });
  const second = slot.prepare(8, frameOf(8), 60_000);
  worker.send({ prepared: { error: '' } });
  let settled = false;
  void second.then(() => (settled = true));
  const third = slot.prepare(9, frameOf(9), 60_000);
  worker.send({ prepared: { error: 'no such base' } });
  t.same(await second, { kind: 'refused', error: 'no such base' });
  t.ok(settled);
  worker.send({ prepared: { error: '' } });
  t.same(await third, { kind: 'ready' });
  slot.commit(8);
  t.equal(slot.base, 0, 'only what is prepared can be followed');
  slot.commit(9);
  t.equal(slot.base, 9);
  worker.send({ committed: { revision: 9 } });
  while (slot.state !== 'SERVING') await new Promise((resolve) => setImmediate(resolve));
  const fourth = slot.prepare(10, frameOf(10), 60_000);
  worker.send({ prepared: { error: '' } });
  t.same(await fourth, { kind: 'ready' });
  slot.commit(10);
  t.equal(slot.base, 10);
  await slot.prepare(11, frameOf(11), 1);
  while (told.every(({ prepare }) => prepare?.delta.revision !== 11)) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const commits = told.map(({ commit }) => commit?.revision).filter((one) => one !== undefined);
  t.same(commits, [9], 'told is only the one that has not begun to serve');
});

t.test(
  'a process that dies while it prepares has done so only once its exit is certain',
  async (t) => {
    const { slot, exit } = await startTalk(t);
    const exited = exit();
    const outcome = slot.prepare(7, frameOf(7), 60_000);
    process.kill(slot.pid ?? 0, 'SIGABRT');
    t.same(await outcome, { kind: 'died' });
    await exited;
    t.equal(slot.connected, false);
    t.equal(slot.restarts, 1);
    t.same(
      await slot.prepare(7, frameOf(7), 60_000),
      { kind: 'gone' },
      'the next is not there yet',
    );
    t.equal(await slot.joined(1), false);
  },
);

t.test('a process that is killed while it prepares may have been innocent', async (t) => {
  const { slot } = await startTalk(t);
  const outcome = slot.prepare(7, frameOf(7), 60_000);
  slot.kill();
  t.same(await outcome, { kind: 'killed' });
});

t.test('a process that is not set up is asked to prepare nothing', async (t) => {
  const { slot, worker } = await startTalk(t, false);
  t.same(await slot.prepare(7, frameOf(7), 60_000), { kind: 'gone' });
  const joined = slot.joined(60_000);
  worker.send({ setupDone: {} });
  t.equal(await joined, true);
});

t.test(
  'a worker that closes its connection is killed: it could not be told of a revision',
  async (t) => {
    const { slot, worker, exit } = await startTalk(t);
    const exited = exit();
    worker.close();
    await exited;
    t.equal(slot.connected, false);
  },
);

t.test('killed when the heartbeat stands still for 10 s, and not before', async (t) => {
  const { slot, exit } = await startTalk(t);
  const { pid } = slot;
  slot.observe(1, LOOK_MS);
  for (let stillMs = LOOK_MS; stillMs < HEARTBEAT_TIMEOUT_MS; stillMs += LOOK_MS) {
    slot.observe(1, LOOK_MS);
  }
  t.ok(Number(slot.heartbeatAgeMs) < HEARTBEAT_TIMEOUT_MS);
  slot.observe(2, LOOK_MS);
  t.equal(slot.heartbeatAgeMs, 0, 'one beat starts the time again');
  const exited = exit();
  for (let stillMs = 0; stillMs < HEARTBEAT_TIMEOUT_MS; stillMs += LOOK_MS) {
    t.equal(slot.pid, pid);
    slot.observe(2, LOOK_MS);
  }
  await exited;
  t.equal(slot.heartbeatAgeMs, null, 'it is killed; what is dead has no age');
});

t.test('before the first beat a process may take longer', async (t) => {
  const { slot } = await startTalk(t);
  const { pid } = slot;
  for (let stillMs = 0; stillMs < 2 * HEARTBEAT_TIMEOUT_MS; stillMs += LOOK_MS) {
    slot.observe(0, LOOK_MS);
  }
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(slot.pid, pid);
});
