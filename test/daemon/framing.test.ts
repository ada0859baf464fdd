/** How requests are framed on the wire: what is refused because it could be read in two ways, and what shares a connection. */
import t, { type Test } from 'tap';
import { flagsOf, modeOf } from './data-modes.js';
import { endpointOf, startDaemon } from './harness.js';
import {
  BrokenAnswer,
  jsonOf,
  ok,
  post,
  startWireReplica,
  valuesOf,
  WireClient,
  type WireRequest,
} from './wire.js';

const INVOKE = '/serving-endpoints/echo/invocations';

const mode = modeOf(import.meta.url);
const daemon = await startDaemon(t, { flags: flagsOf(mode) });
const requests: WireRequest[] = [];
const replica = await startWireReplica(t, (request, socket) => {
  requests.push(request);
  socket.write(ok(request.body.toString('latin1')), 'latin1');
});
const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
  deployments: [
    {
      name: 'echo',
      serves: [{ entity_name: 'lab.ml.echo', entity_version: '1' }],
      replicas: [{ url: replica.url }],
      health: { type: 'tcp', interval_ms: 100 },
    },
  ],
  endpoints: [endpointOf('echo', { echo: 100 })],
});
// Not an assertion: the first one would let the root test end with it.
if (applied.status !== 200) throw new Error(applied.text);
await daemon.settled('echo');

function client(t: Test): WireClient {
  return new WireClient(t, daemon.dataPort);
}

function last(): WireRequest {
  const request = requests.at(-1);
  if (request === undefined) throw new Error('nothing reached the replica');
  return request;
}

await t.test('messages that two parsers could read differently are refused', async (t) => {
  const auth = `Authorization: Bearer ${daemon.queryToken}`;
  const start = `POST ${INVOKE} HTTP/1.1\r\n`;
  const hidden = `POST ${INVOKE} HTTP/1.1\r\nHost: a\r\n${auth}\r\nContent-Length: 8\r\n\r\nSMUGGLED`;
  const cases: Record<string, string> = {
    'Content-Length and Transfer-Encoding': `${start}Host: a\r\n${auth}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    'two Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
    'two differing Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\n{}`,
    'a Content-Length list': `${start}Host: a\r\n${auth}\r\nContent-Length: 2, 2\r\n\r\n{}`,
    'a signed Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length: +2\r\n\r\n{}`,
    'a negative Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length: -2\r\n\r\n{}`,
    'a huge Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length: 18446744073709551618\r\n\r\n{}`,
    'an empty Content-Length': `${start}Host: a\r\n${auth}\r\nContent-Length:\r\n\r\n{}`,
    'Transfer-Encoding: gzip, chunked': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'Transfer-Encoding: xchunked': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    'Transfer-Encoding: identity': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: identity\r\n\r\n`,
    'two Transfer-Encoding': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'no Host': `${start}${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'two Host': `${start}Host: a\r\nHost: b\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'an empty Host': `${start}Host:\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'a Host with a path': `${start}Host: a/b\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'a Host with a user': `${start}Host: u@a\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'a fragment in the target': `POST ${INVOKE}#x HTTP/1.1\r\nHost: a\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'HTTP/1.0 with chunks': `POST ${INVOKE} HTTP/1.0\r\nHost: a\r\n${auth}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'HTTP/2.0': `POST ${INVOKE} HTTP/2.0\r\nHost: a\r\n${auth}\r\nContent-Length: 2\r\n\r\n{}`,
    'a bad chunk size': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    'an endless chunk size': `${start}Host: a\r\n${auth}\r\nTransfer-Encoding: chunked\r\n\r\n${'f'.repeat(17)}\r\n{}\r\n0\r\n\r\n`,
  };
  for (const [title, bytes] of Object.entries(cases)) {
    await t.test(title, async (t) => {
      const count = requests.length;
      const wire = client(t).send(bytes);
      const said = (await wire.rest()).toString('latin1');
      t.match(said, /^(?:HTTP\/1\.1 (?:400|501|505) |$)/, 'refused, and the connection is closed');
      const reached = requests.slice(count);
      t.same(
        reached.map(({ body }) => body.toString()),
        [],
        'nothing reached the replica whole',
      );
      t.equal((await daemon.invoke(INVOKE, {})).status, 200);
    });
  }
});

await t.test('heads that are no HTTP are never answered as if they were', async (t) => {
  const auth = `Authorization: Bearer ${daemon.queryToken}`;
  const start = `POST ${INVOKE} HTTP/1.1\r\nHost: a\r\n${auth}\r\n`;
  const cases: Record<string, string> = {
    'a blank before the colon': `${start}Content-Length : 2\r\n\r\n{}`,
    'a folded field': `${start}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}`,
    'a NUL in a value': `${start}X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}`,
    'a bare CR in a value': `${start}X-A: b\rc\r\nContent-Length: 2\r\n\r\n{}`,
    text: 'hello\r\n\r\n',
    'a TLS greeting': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(300, '\x00'),
  };
  const count = requests.length;
  // Side by side: some are left alone until the connection has been silent for too long.
  const said = Object.entries(cases).map(async ([title, bytes]) => {
    const rest = (await client(t).send(bytes).rest()).toString('latin1');
    t.match(rest, /^(?:HTTP\/1\.1 (?:400|505) |$)/, title);
  });
  await Promise.all(said);
  t.equal(requests.length, count, 'nothing of it reached the replica');
  t.equal((await daemon.invoke(INVOKE, {})).status, 200);
});

await t.test('one connection, many requests', async (t) => {
  const wire = client(t);
  const path = INVOKE;
  for (let count = 0; count < 200; count += 1) {
    const bad = count % 5 === 0;
    const reply = await wire
      .send(post(daemon, bad ? '/nothing' : path, `{"n":${String(count)}}`))
      .answer();
    t.equal(reply.status, bad ? 404 : 200);
  }
  const closing = await wire.send(post(daemon, path, '{}', ['Connection: close'])).answer();
  t.equal(closing.status, 200);
  await wire.closed;
});

await t.test('pipelined requests: no answer is mixed up and the worker lives', async (t) => {
  const pid = await daemon.workerPid();
  for (const count of [2, 3, 50]) {
    const numbers = Array.from({ length: count }, (_, index) => index);
    const bytes = numbers.map((n) => post(daemon, INVOKE, `{"n":${String(n)}}`)).join('');
    const wire = client(t).send(bytes);
    const answered: unknown[] = [];
    while (answered.length < count) {
      const answer = await wire.answer().catch((error: unknown) => {
        // Without the front the connection is broken off instead.
        if (mode === 'js' && error instanceof BrokenAnswer) return null;
        throw error;
      });
      if (answer === null) break;
      answered.push(jsonOf(answer)['n']);
    }
    t.same(answered, mode === 'js' ? numbers.slice(0, answered.length) : numbers, 'in order');
    t.equal((await daemon.invoke(INVOKE, {})).status, 200);
  }
  t.equal(await daemon.workerPid(), pid);
});

await t.test('Expect: 100-continue', async (t) => {
  const wire = client(t);
  wire.send(post(daemon, INVOKE, '{}', ['Expect: 100-continue']).slice(0, -2));
  t.equal((await wire.answer()).status, 100);
  wire.send('{}');
  t.equal((await wire.answer()).status, 200);
  t.same(valuesOf(last(), 'expect'), []);
});

await t.test('HTTP/1.0 gets an answer that it can read', async (t) => {
  const request = post(daemon, INVOKE, '{}').replace('HTTP/1.1', 'HTTP/1.0');
  const said = (await client(t).send(request).rest()).toString();
  // uWebSockets.js knows no HTTP/1.0: only the front does.
  t.match(said, mode === 'js' ? /^HTTP\/1\.1 505 / : /^HTTP\/1\.1 200 /);
  t.notMatch(said, /transfer-encoding/i);
});
