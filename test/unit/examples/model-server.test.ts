/** The server around the models: routes, bounds, delays, streams, sockets, signals. */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import {
  createTestFolder,
  jsonOf,
  runScript,
  score,
  startModelServer,
} from './model-server-process.js';
import type { ModelServer } from './model-server-process.js';

const ROW = [4.9, 2.5, 4.5, 1.7];
const BODY_BYTES_MAX = 16 * 1024 * 1024;

/** Writes the bytes and returns all that comes back until the server closes. */
async function exchangeRaw(server: ModelServer, bytes: string): Promise<string> {
  const { hostname, port } = new URL(server.address);
  const socket = connect(Number(port), hostname);
  socket.write(bytes, 'latin1');
  return text(socket);
}

/** Opens a connection, sends the bytes and leaves after `until` has come back ('' at once). */
async function sendAndLeave(server: ModelServer, bytes: string, until: string): Promise<void> {
  const { hostname, port } = new URL(server.address);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.write(bytes, 'latin1');
  await once(socket, 'connect');
  while (!received.includes(until)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    received += chunk.toString('latin1');
  }
  socket.resetAndDestroy();
  await once(socket, 'close');
}

function postHead(fields: readonly string[]): string {
  const common = ['POST /invocations HTTP/1.1', 'host: x', 'content-type: application/json'];
  return `${[...common, ...fields].join('\r\n')}\r\n\r\n`;
}

t.test('the version in the header tells which model answered', async (t) => {
  for (const [name, species] of [
    ['iris-1', 'versicolor'],
    ['iris-2', 'virginica'],
  ] as const) {
    const server = await startModelServer(t, name);
    t.match(server.address, /^http:\/\/127\.0\.0\.1:\d+$/);
    const response = await score(server, { inputs: [ROW] });
    t.equal(response.headers.get('x-model-version'), name);
    t.equal(response.headers.get('content-type'), 'application/json');
    t.strictSame(await jsonOf(response), { predictions: [species] });
  }
});

t.test('health and version answer GET and HEAD', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  for (const path of ['/ping', '/health', '/version', '/ping?deep=1']) {
    const response = await fetch(`${server.address}${path}`);
    t.equal(response.status, 200, path);
    t.ok((await response.text()).endsWith('\n'));
    const head = await fetch(`${server.address}${path}`, { method: 'HEAD' });
    t.equal(head.status, 200, `HEAD ${path}`);
    t.equal(await head.text(), '');
  }
  const version = await jsonOf(await fetch(`${server.address}/version`));
  t.equal(version['model'], 'iris-1');
  const keepAlive = (await fetch(`${server.address}/ping`)).headers.get('keep-alive');
  t.equal(keepAlive, 'timeout=65', 'outlives the idle connections of a router');
});

t.test('what is no route, method or content type is told so', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  const missing = await fetch(`${server.address}/predict`, { method: 'POST', body: 'x' });
  t.equal(missing.status, 404);
  t.match(await jsonOf(missing), { error_code: 'ENDPOINT_NOT_FOUND', message: /\/invocations/ });
  for (const [path, method, allow] of [
    ['/invocations', 'GET', 'POST'],
    ['/invocations', 'PUT', 'POST'],
    ['/ping', 'POST', 'GET, HEAD'],
  ] as const) {
    const response = await fetch(`${server.address}${path}`, { method });
    t.equal(response.status, 405, `${method} ${path}`);
    t.equal(response.headers.get('allow'), allow);
    t.equal((await jsonOf(response))['error_code'], 'METHOD_NOT_ALLOWED');
  }
  for (const headers of [
    { 'content-type': 'text/csv' },
    { 'content-type': 'application/json; charset=latin1' },
    { 'content-encoding': 'gzip' },
  ]) {
    const response = await score(server, { inputs: [ROW] }, headers);
    t.equal(response.status, 415, JSON.stringify(headers));
    const [header = ''] = Object.keys(headers);
    t.match((await jsonOf(response))['message'], new RegExp(`^${header}: must be`));
  }
  const utf8 = { 'content-type': 'Application/JSON; charset="UTF-8"' };
  t.equal((await score(server, { inputs: [ROW] }, utf8)).status, 200);
  const absolute = await exchangeRaw(
    server,
    'GET http://model/ping HTTP/1.1\r\nhost: model\r\nconnection: close\r\n\r\n',
  );
  t.match(absolute, /^HTTP\/1\.1 200 /, 'the absolute form of a target is understood');
});

t.test('a body is read up to its bound', async (t) => {
  const server = await startModelServer(t, 'iris-2');
  const data = JSON.stringify({ inputs: [ROW] });
  const longest = data + ' '.repeat(BODY_BYTES_MAX - data.length);
  t.equal((await score(server, longest)).status, 200, 'exactly the bound');
  const long = ' '.repeat(BODY_BYTES_MAX + 1);
  const refusals = {
    declared: postHead([`content-length: ${String(long.length)}`]) + long,
    'declared and not sent': postHead([
      'expect: 100-continue',
      `content-length: ${String(long.length)}`,
    ]),
    chunked: `${postHead(['transfer-encoding: chunked'])}${long.length.toString(16)}\r\n${long}`,
  };
  for (const [form, bytes] of Object.entries(refusals)) {
    const { hostname, port } = new URL(server.address);
    const socket = connect(Number(port), hostname);
    socket.end(bytes, 'latin1');
    const answer = await text(socket);
    t.match(answer, /^HTTP\/1\.1 413 .*\r\nx-model-version: iris-2\r\n/, form);
    t.match(answer, /REQUEST_TOO_LARGE.*longer than 16777216 bytes/, form);
    t.match(answer, /\r\nconnection: close\r\n/i, form);
  }
  const asked = await exchangeRaw(
    server,
    postHead([
      'expect: 100-continue',
      `content-length: ${String(data.length)}`,
      'connection: close',
    ]) + data,
  );
  t.match(asked, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
});

t.test('bytes that are not HTTP get a 400 and do no harm', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  t.match(await exchangeRaw(server, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 .*BAD_REQUEST/s);
  const fields = [`x-long: ${'y'.repeat(20_000)}`];
  t.match(await exchangeRaw(server, postHead(fields)), /^HTTP\/1\.1 431 /);
  t.equal((await fetch(`${server.address}/ping`)).status, 200);
});

t.test('an answer can be delayed on demand', async (t) => {
  const server = await startModelServer(t, 'iris-1');
  const startMs = performance.now();
  const response = await score(server, { inputs: [ROW] }, { 'x-demo-delay-ms': '150' });
  t.equal(response.status, 200);
  // A timer may fire up to a millisecond early by this clock.
  t.ok(performance.now() - startMs >= 149);
  for (const value of ['60001', '-1', '1.5', 'soon', '999999']) {
    const refused = await score(server, { inputs: [ROW] }, { 'x-demo-delay-ms': value });
    t.equal(refused.status, 400, value);
    t.match((await jsonOf(refused))['message'], /^x-demo-delay-ms: must be an integer from 0/);
  }
});

t.test('a stream has one event per row and an end', async (t) => {
  const server = await startModelServer(t, 'iris-2');
  const body = { inputs: [ROW, [5.1, 3.5, 1.4, 0.2]], params: { stream: true } };
  const response = await score(server, body);
  t.match(response.headers.get('content-type'), /^text\/event-stream/);
  t.equal(
    await response.text(),
    'data: {"prediction":"virginica"}\n\ndata: {"prediction":"setosa"}\n\ndata: [DONE]\n\n',
  );
  const features = await startModelServer(t, 'features');
  const lookup = { inputs: [[99, 1, 1]], params: { stream: true } };
  t.equal(
    await (await score(features, lookup)).text(),
    'data: {"output":{"station_id":99,"height_m":null,"distance_km":null}}\n\ndata: [DONE]\n\n',
  );
  const long = { inputs: Array.from({ length: 50_000 }, () => ROW), params: { stream: true } };
  const events = (await (await score(server, long)).text()).split('\n\n');
  t.equal(events.length, 50_002, 'more than the socket takes at once comes whole');
  const refused = await score(server, { inputs: [[1]], params: { stream: true } });
  t.equal(refused.status, 400, 'an error before the first event is an ordinary answer');
});

t.test('a client that leaves takes its work with it', async (t) => {
  const server = await startModelServer(t, 'iris-2');
  const body = JSON.stringify({ inputs: [ROW], params: { stream: true } });
  const length = `content-length: ${String(body.length)}`;
  await sendAndLeave(server, postHead([length]) + body.slice(0, 10), '');
  await sendAndLeave(server, postHead([`content-length: ${String(BODY_BYTES_MAX + 1)}`]), '413');
  await sendAndLeave(server, postHead([length, 'x-demo-delay-ms: 60000']) + body, 'event-stream');
  t.equal((await score(server, { inputs: [ROW] })).status, 200);
  server.signal('SIGTERM');
  const exit = await server.exited;
  t.equal(exit.code, 0, 'ends without waiting for the minute of the stream');
  t.equal(exit.stderr, '');
});

t.test('SIGTERM lets requests in flight finish and refuses new ones', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const server = await startModelServer(t, 'iris-1');
    const idle = connect(Number(new URL(server.address).port), '127.0.0.1');
    idle.write('GET /ping HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(idle, 'data');
    const body = { inputs: [ROW, ROW], params: { stream: true } };
    const response = await score(server, body, { 'x-demo-delay-ms': '100' });
    server.signal(signal);
    await once(idle.resume(), 'close');
    await t.rejects(fetch(`${server.address}/ping`), 'nobody listens');
    t.match(await response.text(), /\[DONE\]\n\n$/, 'the stream comes to its end');
    const exit = await server.exited;
    t.equal(exit.code, 0, signal);
    t.equal(exit.stdout.trim().split('\n').length, 1, 'prints one line');
  }
});

async function getUnix(path: string, target: string): Promise<IncomingMessage> {
  const request = httpRequest({ socketPath: path, path: target, agent: false });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.resume();
  return response;
}

t.test('listens on a Unix socket, also where a killed server left one', async (t) => {
  const path = join(createTestFolder(t), 'model.sock');
  const flags = ['--unix', path];
  const killed = await startModelServer(t, 'iris-1', flags);
  t.equal(killed.address, `unix:${path}`);
  t.equal((await getUnix(path, '/ping')).statusCode, 200);
  const second = await runScript('server.mjs', ['--model', 'iris-2', ...flags]);
  t.equal(second.code, 1, 'a socket in use is left alone');
  t.match(second.stderr, /EADDRINUSE/);
  t.equal((await getUnix(path, '/ping')).headers['x-model-version'], 'iris-1');
  killed.signal('SIGKILL');
  await killed.exited;
  t.ok(existsSync(path));
  const next = await startModelServer(t, 'iris-2', flags);
  t.equal((await getUnix(path, '/ping')).headers['x-model-version'], 'iris-2');
  next.signal('SIGTERM');
  t.equal((await next.exited).code, 0);
  t.notOk(existsSync(path), 'an orderly end removes the file');
});

t.test('a file that is no socket is never removed', async (t) => {
  const path = join(createTestFolder(t), 'notes.txt');
  writeFileSync(path, 'keep');
  const exit = await runScript('server.mjs', ['--model', 'iris-1', '--unix', path]);
  t.equal(exit.code, 1);
  t.ok(statSync(path).isFile());
  t.equal(readFileSync(path, 'utf8'), 'keep');
});

t.test('wrong flags end with 2 and say what is right', async (t) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /--model: must be one of iris-1, iris-2, features/],
    [['--model', '__proto__'], /--model: must be one of/],
    [['--model', 'iris-1', '--port', '65536'], /--port: must be an integer from 0 to 65535/],
    [['--model', 'iris-1', '--unix', 'x', '--port', '1'], /--unix: does not go with/],
    [['--model', 'iris-1', '--unix', `/tmp/${'x'.repeat(103)}`], /at most 107 bytes/],
    [['--model', 'iris-1', '--speed', '9'], /--speed/],
  ];
  for (const [flags, message] of cases) {
    const exit = await runScript('server.mjs', flags);
    t.equal(exit.code, 2, flags.join(' '));
    t.match(exit.stderr, message);
    t.match(exit.stderr, /Usage: node server\.mjs/);
    t.equal(exit.stdout, '');
  }
  const help = await runScript('server.mjs', ['--help']);
  t.equal(help.code, 0);
  t.match(help.stdout, /--unix PATH/);
});
