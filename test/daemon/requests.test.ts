/**
 * Requests as RFC 9110 and 9112 allow them, where framing.test.ts has those that they do not: bodies of every size and chunking,
 * limits of heads, HEAD, bodiless answers, early ends. In all modes, but for what only the front can promise.
 */
import t, { type Test } from 'tap';
import {
  flagsOf,
  GUARDED_MODES,
  pathOf,
  startRecordingReplica,
  type DataMode,
  type RecordingReplica,
} from './data-modes.js';
import { deploymentsOf, endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { ok, post, valuesOf, WireClient, type WireAnswer } from './wire.js';

const MODES: readonly DataMode[] = [...GUARDED_MODES, 'js'];
const RAW = pathOf('raw');
const MLFLOW = pathOf('echo');
const BODY_SIZES = [0, 1, 65_536, 10 * 1024 * 1024];

interface Setting {
  readonly daemon: TestDaemon;
  readonly replica: RecordingReplica;
  readonly mode: DataMode;
}

async function start(t: Test, mode: DataMode): Promise<Setting> {
  const replica = await startRecordingReplica(t, (request, socket) => {
    const status = valuesOf(request, 'x-status')[0] ?? '200';
    if (status === '200') socket.write(ok(request.body.toString('latin1')), 'latin1');
    else socket.write(`HTTP/1.1 ${status} Fine\r\nETag: "a"\r\n\r\n`);
  });
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1', ...flagsOf(mode) } });
  const [raw, echo] = deploymentsOf({ raw: replica.url, echo: replica.url });
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [{ ...(raw as object), protocol: 'raw', health: { interval_ms: 60_000 } }, echo],
    endpoints: [endpointOf('raw', { raw: 100 }), endpointOf('echo', { echo: 100 })],
  });
  if (applied.status !== 200) throw new Error(applied.text);
  for (const name of ['raw', 'echo']) await daemon.settled(name);
  return { daemon, replica, mode };
}

function head({ daemon }: Setting, method: string, target: string, fields: string[] = []): string {
  const auth = `Authorization: Bearer ${daemon.queryToken}`;
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: router', auth, ...fields];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function ask(t: Test, setting: Setting, bytes: string, method = 'POST'): Promise<WireAnswer> {
  return new WireClient(t, setting.daemon.dataPort).send(bytes).answer(method);
}

async function checkBodies(t: Test, setting: Setting): Promise<void> {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'GET']) {
    for (const size of BODY_SIZES) {
      const body = Buffer.alloc(size, 'body ').toString('latin1');
      const bytes =
        head(setting, method, `${RAW}?a=%20b`, [`Content-Length: ${String(size)}`]) + body;
      setting.replica.forget();
      const answer = await ask(t, setting, bytes, method);
      t.ok(
        answer.status === 200 && answer.body.toString('latin1') === body,
        `${method} ${String(size)}`,
      );
      const [seen] = setting.replica.requests;
      t.equal(seen?.firstLine, `${method} /?a=%20b HTTP/1.1`);
      t.ok(seen?.body.toString('latin1') === body, 'the same bytes');
    }
  }
}

async function checkChunks(t: Test, setting: Setting): Promise<void> {
  const body = Buffer.alloc(140_000, 'chunk ').toString('latin1');
  for (const size of [1, 7, 65_536]) {
    const part = body.slice(0, size === 1 ? 500 : body.length);
    const chunks: string[] = [];
    for (let at = 0; at < part.length; at += size) {
      const data = part.slice(at, at + size);
      const digits = data.length.toString(16);
      chunks.push(`${at % 2 === 0 ? digits : digits.toUpperCase()}\r\n${data}\r\n`);
    }
    const bytes = head(setting, 'POST', MLFLOW, ['Transfer-Encoding: chunked']);
    setting.replica.forget();
    const answer = await ask(t, setting, `${bytes}${chunks.join('')}0\r\n\r\n`);
    t.ok(answer.body.toString('latin1') === part, `chunks of ${String(size)}`);
    const [seen] = setting.replica.requests;
    if (seen === undefined) throw new Error('nothing reached the replica');
    const framings = [...valuesOf(seen, 'content-length'), ...valuesOf(seen, 'transfer-encoding')];
    t.equal(framings.length, 1);
  }
}

/** Limits of a head: max_header_bytes is 16,384 here. */
async function checkHeads(t: Test, setting: Setting): Promise<void> {
  const sized = (size: number): string =>
    post(setting.daemon, MLFLOW, '{}', [`X-A: ${'x'.repeat(size)}`]);
  t.equal((await ask(t, setting, sized(15_000))).status, 200);
  t.equal((await ask(t, setting, sized(17_000))).status, 431);
  const counted = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `X-${String(index)}: y`);
  t.equal((await ask(t, setting, post(setting.daemon, MLFLOW, '{}', counted(60)))).status, 200);
  if (setting.mode !== 'js') {
    const many = post(setting.daemon, MLFLOW, '{}', counted(200));
    t.equal((await ask(t, setting, many)).status, 431);
  }
  const long = (size: number): string =>
    post(setting.daemon, `${MLFLOW}?${'q'.repeat(size)}`, '{}');
  t.equal(
    (await ask(t, setting, long(8_000))).status,
    200,
    'RFC 9112 asks for request lines of 8,000',
  );
  const refused = await ask(t, setting, long(100_000));
  // uWebSockets.js takes a line that a read cuts at the wrong place for one of another protocol.
  const statuses = setting.mode === 'js' ? [414, 431, 505] : [414, 431];
  t.ok(statuses.includes(refused.status), String(refused.status));
}

async function checkExpectations(t: Test, setting: Setting): Promise<void> {
  const request = (fields: string[]): string =>
    post(setting.daemon, MLFLOW, '{}', fields).slice(0, -2);
  const client = new WireClient(t, setting.daemon.dataPort);
  client.send(request(['Expect: 100-continue']));
  t.equal((await client.answer()).status, 100);
  t.equal((await client.send('{}').answer()).status, 200);
  if (setting.mode === 'js') return;
  // uWebSockets.js says 100 by itself, before anybody can look at the credential.
  const { queryToken } = setting.daemon;
  const bad = request(['Expect: 100-continue']).replace(queryToken, 'wrong');
  t.equal((await ask(t, setting, bad)).status, 401, 'no 100 without a credential');
  t.equal((await ask(t, setting, request(['Expect: foo']))).status, 417);
}

async function checkAnswersWithoutBody(t: Test, setting: Setting): Promise<void> {
  const client = new WireClient(t, setting.daemon.dataPort);
  for (const status of ['204', '304']) {
    const answer = await client
      .send(head(setting, 'GET', RAW, [`X-Status: ${status}`]))
      .answer('GET');
    t.equal(String(answer.status), status);
    t.same(valuesOf(answer, 'transfer-encoding'), []);
  }
  const get = await client.send(head(setting, 'GET', '/healthz')).answer('GET');
  const same = await client.send(head(setting, 'HEAD', '/healthz')).answer('HEAD');
  const names = (answer: WireAnswer): string[] => answer.fields.map(([name]) => name).sort();
  t.same(names(same), names(get), 'HEAD has the fields of GET');
  t.same(valuesOf(same, 'content-length'), valuesOf(get, 'content-length'));
  t.equal((await client.send(head(setting, 'GET', RAW)).answer('GET')).status, 200);
}

async function checkEnds(t: Test, setting: Setting): Promise<void> {
  for (const value of ['close', 'foo, close', 'Close', 'keep-alive, close']) {
    setting.replica.forget();
    const client = new WireClient(t, setting.daemon.dataPort);
    const last = post(setting.daemon, MLFLOW, 'last', [`Connection: ${value}`]);
    client.send(last + post(setting.daemon, MLFLOW, 'never'));
    const said = (await client.rest()).toString('latin1');
    t.notMatch(said, /never/, value);
    const executed = setting.replica.requests.map(({ body }) => body.toString());
    t.notOk(executed.includes('never'), 'what stands behind it is not executed');
    // Without the front the connection may be broken off with the answer.
    if (setting.mode === 'js') continue;
    t.match(said, /last$/);
    t.same(executed, ['last']);
  }
}

async function checkTargets(t: Test, setting: Setting): Promise<void> {
  setting.replica.forget();
  const targets = [
    ...['/serving-endpoints/echo/../echo/invocations', '/serving-endpoints/%65cho/invocations'],
    ...['/serving-endpoints//echo/invocations', '/serving-endpoints/echo;x/invocations'],
    ...[
      '/serving-endpoints/echo./invocations',
      '/serving-endpoints/echo%2finvocations',
      `${MLFLOW}/`,
    ],
    ...[
      '/serving-endpoints/Echo/invocations',
      `${MLFLOW}%00`,
      `${MLFLOW};x`,
      `/.${MLFLOW}`,
      `/%2e${MLFLOW}`,
    ],
  ];
  for (const target of targets) {
    t.equal((await ask(t, setting, post(setting.daemon, target, '{}'))).status, 404, target);
  }
  for (const method of ['TRACE', 'CONNECT', 'get', 'G{T', 'x'.repeat(33)]) {
    const refused = post(setting.daemon, MLFLOW, '').replace('POST', method);
    const { status } = await ask(t, setting, refused);
    t.ok([400, 405, 501, 505].includes(status), `${method}: ${String(status)}`);
  }
  t.same(setting.replica.requests, []);
}

for (const mode of MODES) {
  t.test(mode, async (t) => {
    const setting = await start(t, mode);
    await t.test('bodies', (t) => checkBodies(t, setting));
    await t.test('chunks', (t) => checkChunks(t, setting));
    await t.test('heads', (t) => checkHeads(t, setting));
    await t.test('expectations', (t) => checkExpectations(t, setting));
    await t.test('answers without a body', (t) => checkAnswersWithoutBody(t, setting));
    await t.test('ends', (t) => checkEnds(t, setting));
    await t.test('targets and methods', (t) => checkTargets(t, setting));
  });
}
