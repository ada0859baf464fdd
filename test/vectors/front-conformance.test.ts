/**
 * The live data port on the vectors for requests, in both modes that have the front: request conformance, values of
 * Host, and what other parsers let through. A plain valid request goes before and after each case, because a dead daemon would
 * "pass" every case that accepts a closed connection.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import {
  GUARDED_MODES,
  pathOf,
  startInMode,
  startRecordingReplica,
  type DataMode,
  type RecordingReplica,
} from '../daemon/data-modes.js';
import type { TestDaemon } from '../daemon/harness.js';
import { BrokenAnswer, ok, post, valuesOf, WireClient, type WireAnswer } from '../daemon/wire.js';
import { projectFile } from '../unit/project-file.js';

const FOLDER = path.join(path.dirname(projectFile('package.json')), '../shared/vectors');
/** Silence of a connection after which a case counts as `timeout`: what the front refuses, it refuses at once. */
const SILENCE_MS = 1_000;
const INVOKE = pathOf('echo');
const SIDE_BY_SIDE = 8;

type Status = number | 'none';
type State = 'open' | 'closed' | 'timeout';
type Verdict = Readonly<Partial<Record<State, readonly Status[]>>>;

interface ConformanceCase {
  readonly id: string;
  readonly level: string;
  readonly request?: string;
  readonly expected: string;
  readonly steps?: readonly { readonly send?: readonly { readonly data: string }[] }[];
  readonly verdict?: { readonly pass: Verdict; readonly warn?: Verdict };
}

interface Outcome {
  readonly answer: WireAnswer | null;
  readonly state: State;
}

interface Setting {
  readonly daemon: TestDaemon;
  readonly replica: RecordingReplica;
}

function load(name: string): unknown {
  const file = path.join(FOLDER, name);
  if (!existsSync(file)) throw new Error(`${file} must be there`);
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** A router serves no `/`: these say as well as 200 that the message was understood. */
function isServed(status: Status): boolean {
  return typeof status === 'number' && ([401, 404, 405].includes(status) || status < 300);
}

function allows(verdict: Verdict | undefined, { answer, state }: Outcome): boolean {
  const allowed = verdict?.[state] ?? [];
  const status = answer?.status ?? 'none';
  if (allowed.includes(status)) return true;
  return isServed(status) && allowed.some((one) => typeof one === 'number' && one < 300);
}

async function plain(t: Test, { daemon }: Setting): Promise<boolean> {
  const client = new WireClient(t, daemon.dataPort);
  const answer = await client.send(post(daemon, INVOKE, 'plain')).answer();
  client.socket.destroy();
  return answer.status === 200 && answer.body.toString() === 'plain';
}

function silence(): Promise<'timeout'> {
  return new Promise((resolve) => {
    setTimeout(resolve, SILENCE_MS, 'timeout');
  });
}

/** Sends the bytes; what came first, and whether another request is answered behind it. */
async function outcomeOf(t: Test, setting: Setting, bytes: string): Promise<Outcome> {
  const { daemon } = setting;
  const client = new WireClient(t, daemon.dataPort);
  const method = /^\s*([A-Z]+) /.exec(bytes)?.[1] ?? 'POST';
  const next = async (as: string): Promise<WireAnswer | null> => {
    for (;;) {
      const answer = await client.answer(as).catch((error: unknown) => {
        if (error instanceof BrokenAnswer) return null;
        throw error;
      });
      if (answer === null || answer.status >= 200) return answer;
    }
  };
  try {
    client.send(bytes);
    const first = await Promise.race([next(method), silence()]);
    if (first === 'timeout') return { answer: null, state: 'timeout' };
    if (first === null) return { answer: null, state: 'closed' };
    client.send(post(daemon, INVOKE, 'behind'));
    const behind = await Promise.race([next('POST'), silence()]);
    if (behind === 'timeout') return { answer: first, state: 'timeout' };
    return { answer: first, state: behind === null ? 'closed' : 'open' };
  } finally {
    client.socket.destroy();
  }
}

/** Runs all cases, some side by side; the messages of those that failed. */
async function failuresOf<T>(
  cases: readonly T[],
  judge: (one: T) => Promise<string>,
): Promise<string[]> {
  const failures: string[] = [];
  const left = [...cases];
  const drain = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) {
      const failure = await judge(one);
      if (failure !== '') failures.push(failure);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, drain));
  return failures;
}

function describe({ answer, state }: Outcome): string {
  return `${String(answer?.status ?? 'none')} ${state}`;
}

async function checkConformance(t: Test, setting: Setting): Promise<void> {
  const { tests } = load('http11-request-conformance.json') as { tests: ConformanceCase[] };
  t.ok(tests.length >= 90);
  const failures = await failuresOf(tests, async (one) => {
    if (one.request === undefined || one.verdict === undefined) return '';
    if (!(await plain(t, setting))) return `${one.id}: no plain request before`;
    const outcome = await outcomeOf(t, setting, one.request);
    if (!(await plain(t, setting))) return `${one.id}: no plain request after`;
    const isAllowed = allows(one.verdict.pass, outcome) || allows(one.verdict.warn, outcome);
    return isAllowed ? '' : `${one.level} ${one.id}: ${one.expected}; got ${describe(outcome)}`;
  });
  t.same(failures, []);
  // The sequences ask for caching and validators of a resource, which a router does not have.
  const sequences = tests.filter(({ steps }) => steps !== undefined);
  t.notOk(sequences.some(({ level }) => level === 'MUST'));
  for (const { steps = [] } of sequences) {
    const client = new WireClient(t, setting.daemon.dataPort);
    for (const { send } of steps) {
      if (send === undefined) continue;
      const answer = await client.send(send.map(({ data }) => data).join('')).answer('GET');
      t.equal(answer.status, 404);
    }
    client.socket.destroy();
  }
}

/** What the cases with a body to check ask for, on a path that is served. */
async function checkBodies(t: Test, { daemon, replica }: Setting): Promise<void> {
  const { tests } = load('http11-request-conformance.json') as { tests: ConformanceCase[] };
  const requestOf = (id: string): string => {
    const one = tests.find((candidate) => candidate.id === id);
    if (one?.request === undefined) throw new Error(`there is no case ${id}`);
    const auth = `Authorization: Bearer ${daemon.queryToken}\r\n`;
    return one.request
      .replace(/^Authorization:.*\r\n/m, '')
      .replace(/^(\S+) \/\S* /, `$1 ${INVOKE} `)
      .replace('\r\n', `\r\n${auth}`);
  };
  const ask = (id: string, method: string): Promise<WireAnswer> =>
    new WireClient(t, daemon.dataPort).send(requestOf(id)).answer(method);
  const echoes: Readonly<Record<string, string>> = {
    'COMP-POST-CL-BODY': 'hello',
    'COMP-CHUNKED-BODY': 'hello',
    'COMP-CHUNKED-MULTI': 'hello world',
    'COMP-CHUNKED-EXTENSION': 'hello',
    'COMP-CHUNKED-TRAILER-VALID': 'hello',
    'COMP-CHUNKED-HEX-UPPERCASE': 'helloworld',
    'NORM-UNDERSCORE-CL': 'hello world',
    'NORM-UNDERSCORE-TE': 'hello world',
  };
  for (const [id, body] of Object.entries(echoes)) {
    replica.forget();
    const answer = await ask(id, 'POST');
    t.equal(answer.status, 200, id);
    t.equal(answer.body.toString(), body, id);
    t.equal(replica.requests.length, 1, id);
    t.notMatch(replica.bytes(), /content_length|transfer_encoding|x-checksum/i, id);
  }
  for (const id of ['NORM-SP-BEFORE-COLON-CL', 'NORM-TAB-IN-NAME', 'NORM-CASE-TE']) {
    t.equal((await ask(id, 'POST')).status, 400, id);
  }
  const refused = await ask('COMP-405-ALLOW', 'DELETE');
  t.equal(refused.status, 405);
  t.same(valuesOf(refused, 'allow'), ['POST']);
  const options = await ask('COMP-OPTIONS-ALLOW', 'OPTIONS');
  t.same(valuesOf(options, 'allow'), ['POST']);
  const dated = await ask('COMP-DATE-HEADER', 'GET');
  t.match(valuesOf(dated, 'date')[0], /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  t.equal(valuesOf(dated, 'content-type').length, 1);
  const traced = await ask('COMP-TRACE-SENSITIVE', 'TRACE');
  t.equal(traced.status, 501);
  const client = new WireClient(t, daemon.dataPort);
  const head = await client.send(requestOf('COMP-HEAD-NO-BODY')).answer('HEAD');
  t.equal(head.status, 405);
  const behind = await client.send(post(daemon, INVOKE, 'behind')).answer();
  t.equal(behind.body.toString(), 'behind', 'no byte of a body stood between');
}

async function checkHosts(t: Test, setting: Setting): Promise<void> {
  const { hosts } = load('host-header.json') as {
    hosts: { host: string; valid: boolean | null }[];
  };
  t.ok(hosts.length >= 42);
  const { daemon } = setting;
  const failures = await failuresOf(hosts, async ({ host, valid }) => {
    if (!(await plain(t, setting))) return `${host}: no plain request before`;
    for (const target of [INVOKE, '/healthz']) {
      const bytes = post(daemon, target, 'x').replace('Host: router', `Host: ${host}`);
      const { answer, state } = await outcomeOf(t, setting, bytes);
      const isRefused = answer?.status === 400 && state === 'closed';
      const isFine = isServed(answer?.status ?? 'none') && state === 'open';
      const isRight = valid === null ? isRefused || isFine : valid ? isFine : isRefused;
      if (!isRight) return `${JSON.stringify(host)} ${target}: ${describe({ answer, state })}`;
    }
    return (await plain(t, setting)) ? '' : `${host}: no plain request after`;
  });
  t.same(failures, []);
}

async function checkWeaknesses(t: Test, setting: Setting): Promise<void> {
  const { tests } = load('front-parser-weaknesses.json') as {
    tests: { id: string; send: string[]; expect: string; canary?: string }[];
  };
  t.ok(tests.length >= 5);
  const { daemon, replica } = setting;
  for (const { id, send, expect } of tests) {
    t.match(expect, /^400\+close/, id);
    // Once as it stands, and once where everything in it would be relayed if it were believed.
    const relayed = send
      .join('')
      .replaceAll(/^(GET|POST) \/\S+ HTTP\/1.1\r\n/gm, (line) =>
        [
          line.replace(/ \/\S+ /, ` ${INVOKE} `).replace('GET', 'POST'),
          `Authorization: Bearer ${daemon.queryToken}\r\n`,
        ].join(''),
      );
    for (const bytes of [send.join(''), relayed]) {
      t.ok(await plain(t, setting), `${id}: before`);
      replica.forget();
      const outcome = await outcomeOf(t, setting, bytes);
      t.equal(describe(outcome), '400 closed', id);
      t.same(replica.requests, [], `${id}: nothing was executed`);
      t.notMatch(replica.bytes(), /smug/, id);
      t.ok(await plain(t, setting), `${id}: after`);
    }
  }
}

async function checkMode(t: Test, mode: DataMode): Promise<void> {
  const replica = await startRecordingReplica(t, (request, socket) => {
    socket.write(ok(request.body.toString('latin1')), 'latin1');
  });
  const setting = { daemon: await startInMode(t, mode, { echo: replica }), replica };
  await t.test('request conformance', (t) => checkConformance(t, setting));
  t.notMatch(replica.bytes(), /smug/i, 'no hidden request was executed');
  await t.test('bodies and fields', (t) => checkBodies(t, setting));
  await t.test('Host', (t) => checkHosts(t, setting));
  await t.test('what other parsers let through', (t) => checkWeaknesses(t, setting));
}

for (const mode of GUARDED_MODES) t.test(mode, (t) => checkMode(t, mode));
