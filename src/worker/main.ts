/**
 * A worker: the data-plane process of one slot. Composition root; started by the supervisor with the descriptors
 * that src/control/worker-launch.ts lists and a WorkerLaunch in its environment.
 *
 *   connect control.sock -> hello -> setup, setupDone -> prepare, commit (first revision) -> accept
 *
 * Before it accepts it ends with its supervisor; from then on it outlives it: it serves the revision it has until
 * a supervisor comes, takes the listening sockets and lets it finish.
 */
import { messageOf } from '../core/errors.js';
import { lowerOtherPriorities } from '../core/thread-priority.js';
import { unixSocketPath } from '../control/control-socket.js';
import { relaySocketPath } from '../control/relay-socket.js';
import { WorkerMode, type Envelope, type Setup } from '../control/messages.js';
import {
  COLUMNS_DESCRIPTOR,
  CONTROL_PAGE_DESCRIPTOR,
  FIRST_WAKE_DESCRIPTOR,
  WORKER_LAUNCH_VARIABLE,
  type WorkerLaunch,
} from '../control/worker-launch.js';
import { loadAddon } from '../native/addon.js';
import { WORKER_NUMBERS } from '../native/shared-block.js';
import { createLogger } from '../telemetry/logger.js';
import { ControlLink } from './control-link.js';
import { Door, type DoorSettings } from './door.js';
import { Ending, type Load } from './ending.js';
import { refusalTexts } from './refusals.js';
import { SupervisorRelay } from './supervisor-relay.js';
import { TokenDesk } from './token-desk.js';
import { createApp } from './uws.js';

const BEAT_MS = 100;
/** The shortest that the kernel gives. */
const TIME_SLICE_US = 100;
/**
 * Of all threads beside the loop, which waits for none of them: those that compile JavaScript above all. In the first second
 * of a flood of bad tokens, when what judges them is compiled, cached tokens had a p99 of 1 ms with the loop's own priority and
 * have half of that with this. 19 (a fifth) would leave too little of a busy core to those that read files for a new thread.
 */
const HELPERS_NICE_ADDED = 10;
/** More than the front adds to a head that it hands to the JS door, which may hold every field three times over. */
const FRONT_FIELDS_BYTES = 1_024;
const FRONT_FIELDS_FACTOR = 3;
/** Drain time of a worker whose supervisor died and whose state directory was removed. */
const HOPELESS_DRAIN_MS = 30_000;
/** Far below what one message can carry; a socket that was taken over twice is rare. */
const DESCRIPTORS_PER_MESSAGE = 32;

const launch = JSON.parse(process.env[WORKER_LAUNCH_VARIABLE] ?? '{}') as WorkerLaunch;
const { slot } = launch;
const logger = createLogger({ level: launch.logLevel, readable: launch.logReadable }).child({
  slot,
});
const wakeDescriptors = descriptorsFrom(FIRST_WAKE_DESCRIPTOR, launch.wakes);
const listenDescriptors = descriptorsFrom(FIRST_WAKE_DESCRIPTOR + launch.wakes, launch.listeners);

let settings: DoorSettings | null = null;
let maxConnections = 0;
let accepting = false;
let orphaned = false;

const addon = loadAddon();
// The loop's only: threads that verify tokens, compile or collect garbage must not interrupt it.
addon.runAtOnce(TIME_SLICE_US);
lowerOtherPriorities(HELPERS_NICE_ADDED);
addon.keepFreedMemory();
const block = addon.openSharedBlock(CONTROL_PAGE_DESCRIPTOR, COLUMNS_DESCRIPTOR);
const door = new Door(addon, block, slot, wakeDescriptors, () => {
  // Nothing is accepted before the setup has come.
  if (settings === null) throw new Error('no setup yet');
  return settings;
});
const ending = new Ending(door, load, (reason) => {
  exit(0, reason);
});

// The supervisor decides when a worker ends: signals to the whole process group are its business alone.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);
process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
  // Whoever read the log has ended with the supervisor.
  if (error.code === 'EPIPE') return;
  logger.fatal({ error: error.stack }, 'uncaught exception');
  process.exit(1);
});
setInterval(() => {
  door.engine.beat();
}, BEAT_MS);

const link = new ControlLink({
  engine: door.engine,
  stateDir: launch.stateDir,
  hello: () => ({
    slot,
    pid: process.pid,
    blockId: block.id,
    activeRevision: block.activeRevision(),
  }),
  onEnvelope,
  onFault(problem) {
    logger.error({ problem }, 'what the supervisor says cannot be used');
  },
  onLost() {
    if (!accepting) exit(1, 'the supervisor is gone');
    if (!orphaned && !ending.begun) logger.warn('the supervisor is gone; serving on');
    orphaned = true;
  },
  onHopeless() {
    if (ending.begun) return;
    logger.error({ stateDir: launch.stateDir }, 'the state directory is gone: draining');
    ending.drain(0, HOPELESS_DRAIN_MS);
  },
});

const desk: TokenDesk = new TokenDesk({
  engine: door.engine,
  block,
  send: (envelope) => {
    link.send(envelope);
  },
  onFault(problem) {
    logger.warn({ problem }, 'verification of tokens');
  },
});
door.desk = desk;
door.supervisor = new SupervisorRelay(relaySocketPath(launch.stateDir));

function onEnvelope(envelope: Envelope): void {
  if (envelope.setup !== undefined) setUp(envelope.setup);
  desk.onEnvelope(envelope);
  if (envelope.commit !== undefined) commit(envelope.commit.revision);
  if (envelope.drain !== undefined) ending.drain(envelope.drain.delayMs, envelope.drain.timeoutMs);
  if (envelope.lendSockets !== undefined) lendSockets(envelope.lendSockets.socketPath);
  if (envelope.handover !== undefined) handOver(envelope.handover.drainTimeoutMs);
}

function setUp(setup: Setup): void {
  const first = settings === null;
  settings = {
    workspaceId: setup.workspaceId,
    authRequired: setup.authRequired,
    servingDomain: setup.servingDomain,
    maxRequestBytes: setup.maxRequestBytes,
    maxHeaderBytes: setup.maxHeaderBytes,
    guarded: setup.mode !== WorkerMode.JS,
  };
  maxConnections = setup.maxConnections;
  desk.setUp(setup);
  if (first) meetClients(setup);
  // What ends the process before this is no fault of a revision.
  link.send({ setupDone: {} });
}

/** @throws Error when uWebSockets.js cannot be used here. */
function meetClients(setup: Setup): void {
  const meetsClients = setup.mode === WorkerMode.JS;
  createApp({
    engine: door.engine,
    meetsClients,
    // What the front adds must not make a head too large that it let pass.
    maxHeaderBytes: meetsClients
      ? setup.maxHeaderBytes
      : setup.maxHeaderBytes * FRONT_FIELDS_FACTOR + FRONT_FIELDS_BYTES,
    onRequest: door.onRequest,
  });
  if (!meetsClients) openFront(setup);
}

function openFront(setup: Setup): void {
  const { workspaceId, servingDomain, authRequired, maxRequestBytes, maxHeaderBytes } = setup;
  const fastPath = setup.mode === WorkerMode.NATIVE;
  const refusals = refusalTexts(maxRequestBytes, maxHeaderBytes);
  door.engine.openFront(
    {
      workspaceId,
      servingDomain,
      authRequired,
      fastPath,
      maxRequestBytes,
      maxHeaderBytes,
      refusals,
    },
    (connection, generation, verifiedJson) => {
      desk.decide(connection, generation, verifiedJson);
    },
  );
  if (authRequired) desk.openLane();
}

/** The first revision is named by the shared memory: the door opens. Later ones need no word. */
function commit(revision: number): void {
  door.engine.commit();
  if (!accepting) accept(revision);
  // Whoever says so serves: others may end for it.
  link.send({ committed: { revision } });
}

function accept(revision: number): void {
  accepting = true;
  door.notReady = '';
  for (const descriptor of listenDescriptors) door.engine.accept(descriptor, maxConnections);
  logger.info({ revision }, 'accepting');
}

/**
 * To the supervisor that came after a dead one. Goes on accepting from them: whoever asked may die before its own
 * workers do. A worker that is ending has none left, and says so, so that nobody waits for them.
 */
function lendSockets(socketPath: string): void {
  try {
    if (ending.accepts) sendSockets(unixSocketPath(socketPath));
    link.send({ socketsLent: {} });
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'nobody takes the sockets; serving on');
  }
}

function handOver(drainTimeoutMs: number): void {
  logger.info('other workers serve now');
  ending.handOver(drainTimeoutMs, () => {
    link.send({ handedOver: {} });
  });
}

function sendSockets(target: string): void {
  for (let at = 0; at < listenDescriptors.length; at += DESCRIPTORS_PER_MESSAGE) {
    const part = listenDescriptors.slice(at, at + DESCRIPTORS_PER_MESSAGE);
    addon.sendDescriptors(target, part);
  }
}

function descriptorsFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

function load(): Load {
  const numbers = new Float64Array(WORKER_NUMBERS);
  block.readWorker(slot, numbers);
  // An answer can outlast its exchange, while a slow client reads the rest of it.
  const unfinished = Math.max(door.unfinished, door.engine.busyConnections());
  return { connections: numbers[4] ?? 0, inFlight: Math.max(numbers[5] ?? 0, unfinished) };
}

function exit(code: number, reason: string): void {
  logger.info({ reason }, 'worker ends');
  process.exit(code);
}
