/**
 * One request, two doors: what a replica gets of a request is the same whether the native door relays it or, with the
 * fast path off, uWebSockets.js and JS do. Every byte that a method, a target, a name or a value may have goes through both.
 */
import t, { type Test } from 'tap';
import { deploymentsOf, endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { flagsOf, pathOf, startRecordingReplica, type RecordingReplica } from './data-modes.js';
import { BrokenAnswer, ok, WireClient, type WireRequest } from './wire.js';

const NAME_BYTES = Array.from("!#$%&'*+-.^_`|~09azAZ");
const RAW = pathOf('raw');
const SILENCE_MS = 2_000;

interface Message {
  readonly title: string;
  readonly method?: string;
  readonly target?: string;
  readonly fields?: readonly string[];
  readonly body?: string;
}

function bytesBetween(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, at) => String.fromCharCode(first + at));
}

function messages(): Message[] {
  const visible = bytesBetween(0x21, 0x7e);
  return [
    ...[
      'GET',
      'PUT',
      'DELETE',
      'PATCH',
      'OPTIONS',
      'PURGE',
      'M-SEARCH',
      'get',
      'Post',
      'A1',
      'A!',
    ].map((method) => ({ title: `method ${method}`, method })),
    ...visible.map((byte) => ({ title: `query ${byte}`, target: `${RAW}?a${byte}b` })),
    ...['?', '??', '?a=b?c', '?%41%zz', '?a=b&a=c', '?/../x', '?a=%0d%0a'].map((query) => ({
      title: `query ${query}`,
      target: RAW + query,
    })),
    ...NAME_BYTES.map((byte) => ({ title: `name ${byte}`, fields: [`X${byte}A: 1`] })),
    ...NAME_BYTES.map((byte) => ({ title: `only ${byte}`, fields: [`${byte}: 1`] })),
    ...visible.map((byte) => ({ title: `value ${byte}`, fields: [`X-A: a${byte}b`] })),
    ...['', ' ', '\t', ' a', 'a ', '\ta\t', 'a\tb', 'a  b', '"a, b"', 'a:b', ':'].map((value) => ({
      title: `value ${JSON.stringify(value)}`,
      fields: [`X-A:${value}`, 'X-B: behind'],
    })),
    ...['é', '漢字', '\u{1f600}', '\u0080', '\u07ff'].map((text) => ({
      title: `value ${text}`,
      fields: [`X-A: ${Buffer.from(text).toString('latin1')}`, 'X-A: b'],
    })),
    ...bytesBetween(0x80, 0xff).map((byte) => ({
      title: `value ${byte}`,
      fields: [`X-A: ${byte}`],
    })),
    { title: 'no byte of ASCII', fields: [`X-A: ${'\xff'.repeat(5_000)}`] },
    { title: 'a field of ours', fields: ['X-Pointsman-Fields: 582d413a20310d0a', 'X\xff: 1'] },
    { title: 'fields of ours', fields: ['X-Pointsman-Fields: 582d413a20310d0a', 'X~: 1'] },
    ...[1, 50, 85, 90, 93].map((count) => ({
      title: `${String(count)} fields`,
      fields: Array.from({ length: count - 3 }, (_, at) => `X-${String(at)}: v`),
    })),
    ...[1_000, 4_000, 8_000, 15_000].map((size) => ({
      title: `a head of ${String(size)} bytes`,
      fields: [`X-A: ${'x'.repeat(size)}`],
    })),
    ...['close', 'keep-alive', 'x-a', 'X-A, x-b', 'keep-alive, x-a'].map((value) => ({
      title: `connection ${value}`,
      fields: ['X-A: 1', `Connection: ${value}`, 'X-B: 2', 'X-C: 3'],
    })),
    ...[0, 1, 63, 4_096, 65_535, 65_536, 200_000].map((size) => ({
      title: `a body of ${String(size)} bytes`,
      method: 'POST',
      fields: [`Content-Length: ${String(size)}`],
      body: 'y'.repeat(size),
    })),
    ...[1, 7, 65_536].map((size) => ({
      title: `chunks of ${String(size)} bytes`,
      method: 'POST',
      fields: ['Transfer-Encoding: chunked'],
      body: `${`${size.toString(16)};x="y"\r\n${'z'.repeat(size)}\r\n`.repeat(3)}0\r\nX-T: t\r\n\r\n`,
    })),
  ];
}

async function startDoor(
  t: Test,
  replica: RecordingReplica,
  mode: 'native' | 'guarded',
): Promise<TestDaemon> {
  const daemon = await startDaemon(t, {
    flags: { 'data-plane-workers': '1', ...flagsOf(mode) },
  });
  const [deployment] = deploymentsOf({ raw: replica.url });
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [{ ...(deployment as object), protocol: 'raw', health: { interval_ms: 60_000 } }],
    endpoints: [endpointOf('raw', { raw: 100 })],
  });
  if (applied.status !== 200) throw new Error(applied.text);
  await daemon.settled('raw');
  return daemon;
}

function bytesOf(daemon: TestDaemon, message: Message): string {
  const { method = 'GET', target = RAW, fields = [], body = '' } = message;
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    ...fields,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** What both doors must agree on; names of fields come in lower case from one of them. */
function contentOf(request: WireRequest | undefined): unknown {
  if (request === undefined) return 'nothing';
  const { firstLine, fields, body } = request;
  const own = fields.filter(([name]) => name !== 'x-request-id').map((pair) => pair.join(': '));
  return { firstLine, fields: own.sort(), body: body.toString('latin1') };
}

async function exchange(
  t: Test,
  daemon: TestDaemon,
  replica: RecordingReplica,
  message: Message,
): Promise<unknown> {
  const client = new WireClient(t, daemon.dataPort);
  const before = replica.requests.length;
  client.send(bytesOf(daemon, message));
  const silence = new Promise<string>((resolve) => {
    setTimeout(resolve, SILENCE_MS, 'silence');
  });
  const answer = await Promise.race([
    client.answer(message.method ?? 'GET').catch((error: unknown) => {
      if (error instanceof BrokenAnswer) return 'broken';
      throw error;
    }),
    silence,
  ]);
  client.socket.destroy();
  if (typeof answer === 'string') return answer;
  return { status: answer.status, seen: contentOf(replica.requests.at(before)) };
}

t.test('both doors relay the same', async (t) => {
  const replica = await startRecordingReplica(t, (_request, socket) => {
    socket.write(ok('{}'));
  });
  const native = await startDoor(t, replica, 'native');
  const guarded = await startDoor(t, replica, 'guarded');
  for (const message of messages()) {
    const expected = await exchange(t, native, replica, message);
    const got = await exchange(t, guarded, replica, message);
    t.type(expected, 'object', `${message.title}: answered`);
    t.same(got, expected, message.title);
  }
  const probes = NAME_BYTES.map((byte) => `X${byte}A: 1`);
  for (const fields of probes) {
    const got = await exchange(t, native, replica, {
      title: '',
      target: '/healthz',
      fields: [fields],
    });
    t.match(got, { status: 200 }, `health with ${fields}`);
  }
});
