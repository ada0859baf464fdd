/**
 * Messages of every kind behind each other on one connection, in every order of two and of three: what the native door,
 * the JS door and the front itself answer comes in the order of the requests, byte for byte, while a slow reader takes 8 MB answers
 * and tokens are still being verified.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import {
  GUARDED_MODES,
  pathOf,
  startInMode,
  startRecordingReplica,
  type DataMode,
} from './data-modes.js';
import type { TestDaemon } from './harness.js';
import { ok, post, WireClient, type WireAnswer } from './wire.js';

const KINDS = ['native', 'local', 'refusal', 'pipelined', 'large', 'miss'] as const;
type Kind = (typeof KINDS)[number];

const LARGE_BYTES = 8_000_000;
const LARGE = Buffer.alloc(LARGE_BYTES, 'a 23-byte long pattern ');
const SIDE_BY_SIDE = 6;
/** A reader that takes its time after every piece that the kernel hands it. */
const SLOW_READER_MS = 1;
const INVOKE = pathOf('echo');

/** What must come for a message. */
interface Expected {
  readonly status: number;
  readonly body: string | Buffer | null;
}

interface Message {
  readonly bytes: string;
  readonly expected: readonly Expected[];
}

/** Spellings of the scheme that the worker has not seen; each is asked for once and then known. */
function* schemes(): Generator<string, never> {
  const name = 'bearer';
  for (let bits = 0; ; bits = (bits + 1) % 2 ** name.length) {
    const letters = Array.from(name).map((letter, at) =>
      (bits & (1 << at)) === 0 ? letter : letter.toUpperCase(),
    );
    yield letters.join('');
  }
}

class Messages {
  readonly #daemon: TestDaemon;
  readonly #schemes = schemes();
  #count = 0;

  constructor(daemon: TestDaemon) {
    this.#daemon = daemon;
  }

  make(kind: Kind): Message {
    this.#count += 1;
    const body = `{"n":${String(this.#count)}}`;
    const echo = { status: 200, body };
    switch (kind) {
      case 'native':
        return { bytes: post(this.#daemon, INVOKE, body), expected: [echo] };
      case 'local':
        return {
          bytes: 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
          expected: [{ status: 200, body: '{"status":"ok"}' }],
        };
      case 'refusal':
        return {
          bytes: post(this.#daemon, pathOf('nobody'), body),
          expected: [{ status: 404, body: null }],
        };
      case 'pipelined': {
        const second = `${body} again`;
        return {
          bytes: post(this.#daemon, INVOKE, body) + post(this.#daemon, INVOKE, second),
          expected: [echo, { status: 200, body: second }],
        };
      }
      case 'large':
        return {
          bytes: post(this.#daemon, INVOKE, 'large'),
          expected: [{ status: 200, body: LARGE }],
        };
      case 'miss':
        return this.#miss(body);
    }
  }

  /** In turn a token that is good, in a new spelling, and one that is not. */
  #miss(body: string): Message {
    const known = `Authorization: Bearer ${this.#daemon.queryToken}`;
    const isGood = this.#count % 2 === 0;
    const unknown = isGood
      ? `Authorization: ${this.#schemes.next().value} ${this.#daemon.queryToken}`
      : `Authorization: Bearer wrong-${String(this.#count)}`;
    const bytes = post(this.#daemon, INVOKE, body).replace(known, unknown);
    return { bytes, expected: [isGood ? { status: 200, body } : { status: 401, body: null }] };
  }
}

function isExpected(answer: WireAnswer, { status, body }: Expected): boolean {
  if (answer.status !== status) return false;
  return body === null || answer.body.equals(Buffer.from(body));
}

async function run(t: Test, daemon: TestDaemon, messages: readonly Message[]): Promise<string> {
  const client = new WireClient(t, daemon.dataPort);
  const { socket } = client;
  socket.on('data', () => {
    socket.pause();
    void pause(SLOW_READER_MS).then(() => socket.resume());
  });
  client.send(messages.map(({ bytes }) => bytes).join(''));
  try {
    for (const [at, message] of messages.entries()) {
      for (const expected of message.expected) {
        const answer = await client.answer();
        if (!isExpected(answer, expected)) return `message ${String(at)}: ${answer.firstLine}`;
      }
    }
    return client.received === '' ? '' : `more came: ${client.received.slice(0, 100)}`;
  } catch (error) {
    return String(error);
  } finally {
    socket.destroy();
  }
}

function orders(): Kind[][] {
  const two = KINDS.flatMap((first) => KINDS.map((second) => [first, second]));
  return [...two, ...two.flatMap((pair) => KINDS.map((third) => [...pair, third]))];
}

async function checkMode(t: Test, mode: DataMode): Promise<void> {
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${String(LARGE_BYTES)}\r\n\r\n`;
  const replica = await startRecordingReplica(t, (request, socket) => {
    const body = request.body.toString('latin1');
    if (body !== 'large') {
      socket.write(ok(body), 'latin1');
      return;
    }
    socket.write(head);
    socket.write(LARGE);
  });
  const daemon = await startInMode(t, mode, { echo: replica });
  const make = new Messages(daemon);
  const left = orders();
  const failures: string[] = [];
  const drain = async (): Promise<void> => {
    for (let kinds = left.shift(); kinds !== undefined; kinds = left.shift()) {
      const failure = await run(
        t,
        daemon,
        kinds.map((kind) => make.make(kind)),
      );
      if (failure !== '') failures.push(`${kinds.join(', ')}: ${failure}`);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, drain));
  t.same(failures.slice(0, 20), []);
  t.equal((await daemon.invoke(INVOKE, 'plain')).text, 'plain');
}

for (const mode of GUARDED_MODES) t.test(mode, (t) => checkMode(t, mode));
