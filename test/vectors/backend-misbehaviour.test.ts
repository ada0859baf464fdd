/**
 * Replicas that break the rules, from the cases of ../shared/vectors/backend-misbehaviour.json: each on a fresh and on
 * a reused connection, sent whole and byte by byte, closing afterwards or not. A valid request goes before and after
 * each, because a dead daemon would "pass" every case that accepts a broken answer.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { deploymentsOf, endpointOf, startDaemon } from '../daemon/harness.js';
import { projectFile } from '../unit/project-file.js';
import {
  BrokenAnswer,
  ok,
  post,
  startWireReplica,
  valuesOf,
  WireClient,
  type WireAnswer,
} from '../daemon/wire.js';

const FILE = path.join(
  path.dirname(projectFile('package.json')),
  '../shared/vectors/backend-misbehaviour.json',
);
const INVOKE = '/serving-endpoints/s/invocations';

type Step = string | { readonly delay_ms: number };

interface Case {
  readonly id: string;
  readonly send: readonly Step[];
  readonly then_close: boolean;
  readonly expect: string;
}

/** What the client got: a complete answer, or one that broke off. */
type Outcome = WireAnswer | BrokenAnswer;

function isComplete(outcome: Outcome, status: number, body?: string): boolean {
  if (outcome instanceof BrokenAnswer) return false;
  return (
    outcome.status === status && (body === undefined || outcome.body.toString('latin1') === body)
  );
}

/** A whole answer of 502, or (`mayBreak`) one that visibly broke off. */
function isRefused(outcome: Outcome, mayBreak = false): boolean {
  return outcome instanceof BrokenAnswer ? mayBreak : outcome.status === 502;
}

/** What each case allows; a case that is not here fails. */
const ALLOWED: Readonly<Record<string, (outcome: Outcome) => boolean>> = {
  'invalid-length': (outcome) => isRefused(outcome),
  'duplicate-length': (outcome) => isRefused(outcome) || isComplete(outcome, 200, ''),
  'unknown-te': (outcome) => isRefused(outcome),
  'dup-te': (outcome) => isRefused(outcome),
  'cl-and-te': (outcome) => isRefused(outcome) || isComplete(outcome, 200, ''),
  'te-and-cl': (outcome) => isRefused(outcome) || isComplete(outcome, 200, ''),
  'extra-data': (outcome) => isComplete(outcome, 200, 'SEE-THIS'),
  'zero-extra': (outcome) => isComplete(outcome, 200, ''),
  short: (outcome) => isRefused(outcome, true),
  'short-empty': (outcome) => isRefused(outcome, true),
  'chunked-unfinished': (outcome) => isRefused(outcome, true),
  'chunked-extra': (outcome) =>
    isRefused(outcome, true) ||
    isComplete(outcome, 200, `${'x'.repeat(0x7e)}\r\n${'y'.repeat(0x73)}\r\n`),
  'upgrade-200': (outcome) =>
    isComplete(outcome, 200, '') &&
    !(outcome instanceof BrokenAnswer) &&
    valuesOf(outcome, 'upgrade').length === 0,
  'unsolicited-101': (outcome) => isRefused(outcome),
  'early-hints': (outcome) => isComplete(outcome, 200, 'ok'),
};

async function play(socket: Socket, steps: readonly Step[], byteByByte: boolean): Promise<void> {
  for (const step of steps) {
    if (typeof step !== 'string') {
      await new Promise((resolve) => setTimeout(resolve, step.delay_ms));
      continue;
    }
    const bytes = Buffer.from(step, 'latin1');
    if (!byteByByte) socket.write(bytes);
    for (const byte of byteByByte ? bytes : []) {
      if (socket.destroyed) return;
      await new Promise<void>((resolve) =>
        socket.write(Buffer.of(byte), () => {
          resolve();
        }),
      );
    }
  }
}

async function outcomeOf(client: WireClient): Promise<Outcome> {
  try {
    let answer = await client.answer();
    while (answer.status > 101 && answer.status < 200) answer = await client.answer();
    return answer;
  } catch (error) {
    if (error instanceof BrokenAnswer) return error;
    throw error;
  }
}

t.ok(existsSync(FILE), `${FILE} must be there`);
const { tests } = JSON.parse(readFileSync(FILE, 'utf8')) as { tests: Case[] };
t.ok(tests.length >= 15);

t.test('cases', async (t) => {
  let script: { steps: readonly Step[]; byteByByte: boolean; close: boolean } | null = null;
  let lastConnection = -1;
  let lastIndex = -1;
  const replica = await startWireReplica(t, (request, socket) => {
    lastConnection = request.connection;
    lastIndex = request.index;
    const body = request.body.toString();
    if (body !== 'case' || script === null) {
      socket.write(ok(body, body === 'part' ? ['Connection: close'] : []));
      if (body === 'part') socket.end();
      return;
    }
    const { steps, byteByByte, close } = script;
    void play(socket, steps, byteByByte).then(() => {
      if (close) socket.end();
    });
  });
  // Pools are a worker's own: with two, whether a connection is used again would be chance.
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      { ...(deploymentsOf({ s: replica.url })[0] as object), health: { interval_ms: 60_000 } },
    ],
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');

  async function plain(t: Test, body: string): Promise<void> {
    const answer = await new WireClient(t, daemon.dataPort)
      .send(post(daemon, INVOKE, body))
      .answer();
    t.equal(answer.status, 200);
    t.equal(answer.body.toString(), body);
  }

  async function run(
    t: Test,
    one: Case,
    reused: boolean,
    byteByByte: boolean,
    close: boolean,
  ): Promise<void> {
    // A connection that the replica closes is a fresh one next time.
    await plain(t, reused ? 'stay' : 'part');
    const before = lastConnection;
    script = { steps: one.send, byteByByte, close };
    const client = new WireClient(t, daemon.dataPort);
    const outcome = await outcomeOf(client.send(post(daemon, INVOKE, 'case')));
    t.equal(
      lastConnection === before,
      reused,
      reused ? 'on the reused connection' : 'on a fresh one',
    );
    t.equal(lastIndex > 0, reused);
    const seen = outcome instanceof BrokenAnswer ? `broken: ${outcome.head}` : outcome.head;
    t.ok(ALLOWED[one.id]?.(outcome), `${one.expect}; got ${seen}`);
    t.notMatch(client.received, /NOT-THIS|zzz/);
    if (!(outcome instanceof BrokenAnswer)) {
      t.same(valuesOf(outcome, 'served-model-name'), ['s']);
      t.equal(valuesOf(outcome, 'x-request-id').length, 1);
    }
    const used = lastConnection;
    await plain(t, 'after');
    // Only these two say nothing wrong, and may keep their connection when the replica does.
    const sound = ['upgrade-200', 'early-hints'].includes(one.id) && !close;
    if (!sound) t.not(lastConnection, used, 'the connection is not used again');
    client.socket.destroy();
  }

  for (const one of tests) {
    for (const reused of [false, true]) {
      for (const byteByByte of [false, true]) {
        const how = `${reused ? 'reused' : 'fresh'}, ${byteByByte ? 'byte by byte' : 'whole'}`;
        await t.test(`${one.id}: ${how}`, (t) => run(t, one, reused, byteByByte, one.then_close));
        // What only the end of the connection would finish cannot be told apart from a slow replica.
        if (['short', 'short-empty', 'chunked-unfinished'].includes(one.id)) continue;
        await t.test(`${one.id}: ${how}, left open`, (t) => run(t, one, reused, byteByByte, false));
      }
    }
  }
});
