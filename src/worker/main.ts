/**
 * A worker: the data-plane process of one slot. Composition root; started by the supervisor with the slot's
 * listening sockets as descriptors from 3 on and a WorkerLaunch in its environment.
 *
 *   connect control.sock -> hello -> setup -> prepare, commit (first revision) -> accept
 *
 * Ends itself when the supervisor is gone, and after a drain.
 */
import { connect } from 'node:net';
import { CredentialChecker } from '../auth/credentials.js';
import { messageOf } from '../core/errors.js';
import { ControlChannel, controlSocketPath } from '../control/control-socket.js';
import type { Envelope, Setup } from '../control/messages.js';
import {
  FIRST_LISTEN_DESCRIPTOR,
  WORKER_LAUNCH_VARIABLE,
  type WorkerLaunch,
} from '../control/worker-launch.js';
import { loadAddon } from '../native/addon.js';
import { createLogger } from '../telemetry/logger.js';
import { Door, type DoorSettings } from './door.js';
import { createApp } from './uws.js';

/** How often a draining worker looks whether it is idle. */
const DRAIN_POLL_MS = 25;

const launch = JSON.parse(process.env[WORKER_LAUNCH_VARIABLE] ?? '{}') as WorkerLaunch;
const { slot } = launch;
const logger = createLogger({ level: launch.logLevel, readable: launch.logReadable }).child({
  slot,
});

let settings: DoorSettings | null = null;
let maxConnections = 0;
let accepting = false;
const door = new Door(loadAddon(), () => {
  // Nothing is accepted before the setup has come.
  if (settings === null) throw new Error('no setup yet');
  return settings;
});

const channel = new ControlChannel(connect(controlSocketPath(launch.stateDir)), onEnvelope, () => {
  exit(1, 'the supervisor is gone');
});
channel.send({ hello: { slot, pid: process.pid } });

process.on('SIGINT', () => undefined);
// The supervisor decides when a worker ends: a signal to the whole process group drains once, by its word.
process.on('SIGTERM', () => undefined);
process.on('uncaughtException', (error) => {
  logger.fatal({ error: error.stack }, 'uncaught exception');
  process.exit(1);
});

function onEnvelope(envelope: Envelope): void {
  if (envelope.setup !== undefined) setUp(envelope.setup);
  if (envelope.prepare !== undefined) prepare(envelope.prepare.snapshot);
  if (envelope.commit !== undefined) commit(envelope.commit.revision);
  if (envelope.addresses !== undefined) setAddresses(envelope.addresses);
  if (envelope.statsRequest !== undefined) sendStats(envelope.statsRequest.requestId);
  if (envelope.drain !== undefined) drain(envelope.drain);
}

function setUp(setup: Setup): void {
  settings = {
    workspaceId: setup.workspaceId,
    authRequired: setup.authRequired,
    checker: new CredentialChecker(setup.credentials),
    maxRequestBytes: setup.maxRequestBytes,
    maxHeaderBytes: setup.maxHeaderBytes,
  };
  maxConnections = setup.maxConnections;
  createApp({
    engine: door.engine,
    maxHeaderBytes: setup.maxHeaderBytes,
    onRequest: door.onRequest,
  });
}

function prepare(snapshot: Parameters<typeof door.engine.prepare>[0]): void {
  let error = '';
  try {
    door.engine.prepare(snapshot);
  } catch (thrown) {
    error = messageOf(thrown);
  }
  channel.send({ prepared: { revision: snapshot.revision, error } });
}

function commit(revision: number): void {
  door.engine.commit(revision);
  door.notReady = '';
  channel.send({ committed: { revision } });
  if (accepting) return;
  accepting = true;
  for (let index = 0; index < launch.listeners; index += 1) {
    door.engine.accept(FIRST_LISTEN_DESCRIPTOR + index, maxConnections);
  }
  logger.info({ revision }, 'accepting');
}

function setAddresses(update: Parameters<typeof door.engine.setAddresses>[0]): void {
  try {
    door.engine.setAddresses(update);
  } catch (error) {
    logger.error({ deployment: update.deployment, error: messageOf(error) }, 'bad addresses');
  }
}

function sendStats(requestId: number): void {
  channel.send({ stats: { requestId, refusals: door.refusals(), ...door.engine.stats() } });
}

/** Accepts on for a while, then no more; ends when nothing is in flight, or when the time is over. */
function drain(times: { delayMs: number; timeoutMs: number }): void {
  door.notReady = 'draining';
  setTimeout(() => {
    door.draining = true;
    door.engine.stopAccepting();
    const deadline = Date.now() + times.timeoutMs;
    setInterval(() => {
      const { requestsInFlight } = door.engine.stats();
      if (requestsInFlight > 0 && Date.now() < deadline) return;
      exit(0, requestsInFlight > 0 ? 'drain time is over' : 'drained');
    }, DRAIN_POLL_MS);
  }, times.delayMs);
}

function exit(code: number, reason: string): void {
  logger.info({ reason }, 'worker ends');
  process.exit(code);
}
