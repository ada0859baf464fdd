/**
 * Replicas that break the rules, with every script of replica-scripts.ts: each on a fresh and on a reused connection,
 * whole and cut in two at every position. The client gets a clean answer or a clean failure, never a byte of another
 * answer, and a connection that said something wrong is closed and not used again.
 *
 * Many clients work side by side on one worker. Which connection carries which request is the worker's choice, so the
 * replica says what it saw: a request that came on the wrong kind of connection is sent again.
 */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { ID, REPLICA_SCRIPTS, type ReplicaScript } from './replica-scripts.js';
import {
  BrokenAnswer,
  ok,
  startWireReplica,
  valuesOf,
  WireClient,
  type WireAnswer,
  type WireRequest,
} from './wire.js';

const CLIENTS = 24;
const ANSWER_MS_MAX = 5_000;
const CLOSED_MS_MAX = 2_000;
/** A part that is not yet there when the first is read; two that are read together are a case of their own. */
const PART_GAP_MS = 1;
/** Positions of scripts that are longer are drawn evenly. */
const POSITIONS_MAX = 160;
const POSITIONS_OF_LONG = 12;
const LONG_BYTES = 4_096;
const TRIES_MAX = 100;
const FAILURES_TOLD_MAX = 5;
const CASE_FIELD = 'x-case';

type Kind = 'fresh' | 'reused';
type Outcome = WireAnswer | BrokenAnswer;

/** One request that a script answers. */
interface Play {
  readonly script: ReplicaScript;
  readonly kind: Kind;
  /** Bytes before the cut; 0: whole. */
  readonly cut: number;
  deliveries: number;
  misplaced: boolean;
}

const plays = new Map<string, Play>();
const failures: string[] = [];
/** Connections that said something wrong, with the play that did; gone when the daemon has closed them. */
const spoiled = new Map<Socket, string>();
let lastId = 0;

function nextId(): string {
  lastId += 1;
  return String(lastId).padStart(ID.length, '0');
}

function titleOf({ script, kind, cut }: Play): string {
  return `${script.name} (${kind}, ${cut === 0 ? 'whole' : `cut at ${String(cut)}`})`;
}

function perform(play: Play, id: string, socket: Socket): void {
  const { script, cut } = play;
  const bytes = Buffer.from(script.bytes.replaceAll(ID, id), 'latin1');
  const end = (): void => {
    if (script.then === 'fin') socket.end();
    if (script.then === 'reset') socket.resetAndDestroy();
  };
  if (!script.sound) {
    spoiled.set(socket, titleOf(play));
    socket.once('close', () => spoiled.delete(socket));
  }
  if (cut === 0) {
    socket.write(bytes, end);
    return;
  }
  socket.write(bytes.subarray(0, cut), () => {
    setTimeout(() => {
      if (!socket.destroyed) socket.write(bytes.subarray(cut), end);
    }, PART_GAP_MS);
  });
}

function onRequest(request: WireRequest, socket: Socket): void {
  const before = spoiled.get(socket);
  if (before !== undefined) failures.push(`${before}: its connection was used again`);
  const id = valuesOf(request, CASE_FIELD)[0] ?? '';
  const play = plays.get(id);
  if (play === undefined) {
    socket.write(ok(`plain ${id}`));
    return;
  }
  play.deliveries += 1;
  const kind = request.index > 0 ? 'reused' : 'fresh';
  if (play.deliveries === 1 && kind !== play.kind) {
    play.misplaced = true;
    socket.end(ok('misplaced', ['Connection: close']));
    return;
  }
  perform(play, id, socket);
}

function requestBytes(daemon: TestDaemon, kind: Kind, method: string, id: string): string {
  const lines = [
    `${method} /serving-endpoints/${kind}/invocations HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    `X-Case: ${id}`,
    ...(method === 'POST' ? ['Content-Length: 2', '', '{}'] : ['', '']),
  ];
  return lines.join('\r\n');
}

/** A connection of its own, kept as long as answers leave it open. */
class Client {
  readonly #t: Test;
  readonly #daemon: TestDaemon;
  #wire: WireClient | null = null;

  constructor(t: Test, daemon: TestDaemon) {
    this.#t = t;
    this.#daemon = daemon;
  }

  /** @throws Error when what comes is neither an answer nor one that broke off. */
  async send(kind: Kind, method: string, id: string): Promise<Outcome> {
    const wire = (this.#wire ??= new WireClient(this.#t, this.#daemon.dataPort));
    if (wire.received !== '') throw new Error(`bytes that nobody asked for: ${wire.received}`);
    wire.send(requestBytes(this.#daemon, kind, method, id));
    try {
      const answer = await withinMs(ANSWER_MS_MAX, finalAnswer(wire, method));
      if (valuesOf(answer, 'connection').includes('close')) this.leave();
      return answer;
    } catch (error) {
      this.leave();
      if (error instanceof BrokenAnswer) return error;
      throw error;
    }
  }

  leave(): void {
    this.#wire?.socket.destroy();
    this.#wire = null;
  }
}

async function finalAnswer(wire: WireClient, method: string): Promise<WireAnswer> {
  for (;;) {
    const answer = await wire.answer(method);
    if (answer.status === 101 || answer.status >= 200) return answer;
  }
}

async function withinMs<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${String(ms)} ms`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What is wrong with the outcome; empty when nothing is. */
function judge(play: Play, id: string, outcome: Outcome): string {
  const { script } = play;
  const body = script.body.replaceAll(ID, id);
  const { expect } = script;
  if (outcome.head.includes('POISON')) return `a byte of another answer in ${outcome.head}`;
  // Only a kept connection that closed without a byte of answer excuses a second one, and not for every method.
  const isExcused = play.kind === 'reused' && script.method !== 'POST' && script.bytes === '';
  const deliveriesMax = isExcused ? 2 : 1;
  if (play.deliveries > deliveriesMax) return `delivered ${String(play.deliveries)} times`;
  if (outcome instanceof BrokenAnswer) {
    if (expect !== 'cut' && expect !== 'any') return `broken off after ${outcome.head}`;
    return '';
  }
  const text = outcome.body.toString('latin1');
  if (valuesOf(outcome, 'x-pointsman-error').length > 0) {
    if (expect === 'whole') return `refused: ${text}`;
    if (outcome.status !== 502) return `refused with ${String(outcome.status)}`;
    if (/own|POISON|[^\x20-\x7e]/.test(text)) return `the refusal quotes the replica: ${text}`;
    return '';
  }
  if (expect === 'refused' || expect === 'cut') return `taken for whole: ${outcome.head}${text}`;
  if (outcome.status !== script.status) return `status ${String(outcome.status)}`;
  if (text !== body) return `body ${JSON.stringify(text)}`;
  const hops = ['keep-alive', 'upgrade', 'trailer', 'proxy-connection', 'x-t'];
  const hop = hops.find((name) => valuesOf(outcome, name).length > 0);
  return hop === undefined ? '' : `${hop} was relayed`;
}

async function tryPlay(client: Client, script: ReplicaScript, kind: Kind, cut: number) {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    // As many connections are idle as clients stand between this answer and their next request, at least.
    if (kind === 'reused') await client.send(kind, 'POST', `plain${nextId()}`);
    const id = nextId();
    const play: Play = { script, kind, cut, deliveries: 0, misplaced: false };
    plays.set(id, play);
    const outcome = await client.send(kind, script.method, id);
    plays.delete(id);
    if (play.misplaced) continue;
    return judge(play, id, outcome);
  }
  return 'never came on the right kind of connection';
}

/**
 * What comes behind a complete answer, in a read of its own, finds the connection idle or in use by somebody else's
 * request: only alone can the outcome be told.
 */
function isRace(script: ReplicaScript, cut: number): boolean {
  if (script.isEndedBefore) return true;
  return script.behind !== '' && cut === script.bytes.length - script.behind.length;
}

function cutsOf(script: ReplicaScript): number[] {
  const size = script.bytes.length;
  const cuts = new Set([0]);
  const count = size > LONG_BYTES ? POSITIONS_OF_LONG : Math.min(size - 1, POSITIONS_MAX);
  for (let index = 1; index <= count; index += 1) {
    cuts.add(Math.max(1, Math.floor((index * (size - 1)) / count)));
  }
  return size < 2 ? [0] : [...cuts];
}

t.test('misbehaviour', async (t) => {
  const started = performance.now();
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const deployments: object[] = [];
  for (const name of ['fresh', 'reused'] satisfies Kind[]) {
    const replica = await startWireReplica(t, onRequest);
    deployments.push({
      name,
      protocol: 'raw',
      serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }],
      replicas: [{ url: replica.url }],
      health: { type: 'tcp', interval_ms: 60_000 },
      timeouts: { keepalive_idle_ms: 60_000 },
    });
  }
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments,
    endpoints: ['fresh', 'reused'].map((name) => endpointOf(name, { [name]: 100 })),
  });
  for (const name of ['fresh', 'reused']) await daemon.settled(name);
  const pid = await daemon.workerPid();
  const clients = Array.from({ length: CLIENTS }, () => new Client(t, daemon));
  let played = 0;

  async function play(client: Client, script: ReplicaScript, kind: Kind, cut: number) {
    const fault = await tryPlay(client, script, kind, cut).catch(String);
    played += 1;
    if (fault !== '') failures.push(`${script.name}, ${kind}, cut at ${String(cut)}: ${fault}`);
  }

  async function playAll(script: ReplicaScript, kind: Kind): Promise<void> {
    const cuts = cutsOf(script).filter((cut) => !isRace(script, cut));
    await Promise.all(
      clients.map(async (client) => {
        for (let cut = cuts.shift(); cut !== undefined; cut = cuts.shift()) {
          await play(client, script, kind, cut);
        }
      }),
    );
  }

  async function playRaces(script: ReplicaScript, kind: Kind): Promise<void> {
    const [client] = clients;
    if (client === undefined) return;
    for (const cut of cutsOf(script).filter((cut) => isRace(script, cut))) {
      await allClosed();
      await play(client, script, kind, cut);
    }
    await allClosed();
  }

  async function allClosed(): Promise<void> {
    const since = performance.now();
    while (spoiled.size > 0 && performance.now() - since < CLOSED_MS_MAX) await pause(1);
    failures.push(
      ...[...spoiled.values()].map((title) => `${title}: its connection is still open`),
    );
    spoiled.clear();
  }

  t.ok(REPLICA_SCRIPTS.length > 150, `${String(REPLICA_SCRIPTS.length)} scripts`);
  for (const script of REPLICA_SCRIPTS) {
    for (const kind of ['fresh', 'reused'] satisfies Kind[]) {
      await playAll(script, kind);
      await playRaces(script, kind);
    }
    t.same(failures.splice(0).slice(0, FAILURES_TOLD_MAX), [], script.name);
  }
  t.equal(await daemon.workerPid(), pid, 'the worker has lived through it');
  t.comment(`${String(played)} plays in ${String(Math.round(performance.now() - started))} ms`);
});
