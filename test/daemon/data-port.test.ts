/** The data port's contract with clients: what every answer carries, what is refused and how, what reaches a replica. */
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { flagsOf, modeOf } from './data-modes.js';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import {
  jsonOf,
  ok,
  post,
  startWireReplica,
  valuesOf,
  WireClient,
  type WireAnswer,
  type WireRequest,
} from './wire.js';

const BODY_MAX = 100_000;
const HEAD_MAX = 8_192;
const INVOKE = '/serving-endpoints/echo/invocations';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

const daemon = await startDaemon(t, {
  flags: {
    ...flagsOf(modeOf(import.meta.url)),
    'data-plane-max-request-bytes': String(BODY_MAX),
    'data-plane-max-header-bytes': String(HEAD_MAX),
  },
});
const requests: WireRequest[] = [];
let answer = (request: WireRequest): string => ok(request.body.toString('latin1'));
const replica = await startWireReplica(t, (request, socket) => {
  requests.push(request);
  socket.write(answer(request), 'latin1');
});
const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
  deployments: [
    {
      name: 'echo',
      serves: [{ entity_name: 'lab.ml.echo', entity_version: '1' }],
      replicas: [{ url: `${replica.url}/base` }],
      headers: { Authorization: 'Bearer of-the-replica', 'X-Team': 'risk' },
      health: { type: 'tcp', interval_ms: 100 },
    },
    {
      name: 'raw',
      protocol: 'raw',
      serves: [{ entity_name: 'lab.ml.raw', entity_version: '1' }],
      replicas: [{ url: `${replica.url}/api/v2` }],
    },
  ],
  endpoints: ['echo', 'raw'].map((name) => endpointOf(name, { [name]: 100 })),
});
// Not an assertion: the first one would let the root test end with it.
if (applied.status !== 200) throw new Error(applied.text);
for (const name of ['echo', 'raw']) await daemon.settled(name);

function client(t: Test): WireClient {
  return new WireClient(t, daemon.dataPort);
}

function last(): WireRequest {
  const request = requests.at(-1);
  if (request === undefined) throw new Error('nothing reached the replica');
  return request;
}

/** A head with the query token and no body fields. */
function head(
  daemon: TestDaemon,
  method: string,
  target: string,
  fields: readonly string[] = [],
): string {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    ...fields,
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** The other half of every refusal: it is JSON, says its code twice, and the port serves on. */
async function checkRefusal(
  t: Test,
  refusal: WireAnswer,
  status: number,
  code: string,
): Promise<void> {
  t.equal(refusal.status, status, refusal.head);
  t.equal(jsonOf(refusal)['error_code'], code);
  t.match(jsonOf(refusal)['message'], /.+/);
  t.same(Object.keys(jsonOf(refusal)), ['error_code', 'message']);
  t.same(valuesOf(refusal, 'x-pointsman-error'), [code]);
  t.same(valuesOf(refusal, 'content-type'), ['application/json']);
  t.match(valuesOf(refusal, 'x-databricks-request-id')[0], UUID);
  t.equal(valuesOf(refusal, 'x-request-id').length, 1);
  t.equal((await daemon.invoke(INVOKE, {})).status, 200, 'the next request is served');
}

await t.test('what every answer carries', async (t) => {
  const reply = await client(t)
    .send(post(daemon, INVOKE, '{"a":1}'))
    .answer();
  t.equal(reply.status, 200);
  t.equal(reply.body.toString(), '{"a":1}');
  t.same(valuesOf(reply, 'served-model-name'), ['echo']);
  t.match(valuesOf(reply, 'x-databricks-request-id'), [UUID]);
  t.same(valuesOf(reply, 'x-request-id'), valuesOf(reply, 'x-databricks-request-id'));
  t.match(valuesOf(reply, 'x-pointsman-revision'), [/^[1-9][0-9]*$/]);
  t.same(valuesOf(reply, 'uwebsockets'), [], 'nothing says what the port is made of');
  t.equal(valuesOf(reply, 'date').length, 1);
});

await t.test("the request id is the client's when it is sound", async (t) => {
  for (const id of ['r-1', 'x'.repeat(128), '!~"']) {
    const reply = await client(t)
      .send(post(daemon, INVOKE, '{}', [`X-Request-Id: ${id}`]))
      .answer();
    t.same(valuesOf(reply, 'x-request-id'), [id]);
    t.match(valuesOf(reply, 'x-databricks-request-id'), [UUID]);
    t.same(valuesOf(last(), 'x-request-id'), [id], 'the replica sees it');
  }
  for (const id of ['', 'x'.repeat(129), 'a b', 'a\xe4b']) {
    const reply = await client(t)
      .send(post(daemon, INVOKE, '{}', [`X-Request-Id: ${id}`]))
      .answer();
    t.same(valuesOf(reply, 'x-request-id'), valuesOf(reply, 'x-databricks-request-id'));
    t.same(valuesOf(last(), 'x-request-id'), valuesOf(reply, 'x-request-id'));
  }
});

await t.test('a replica cannot speak for the router', async (t) => {
  const before = answer;
  answer = () =>
    ok('{}', [
      'Served-Model-Name: forged',
      'X-Databricks-Request-Id: forged',
      'X-Request-Id: forged',
      'X-Pointsman-Revision: 999999',
      'X-Pointsman-Error: FORGED',
      'Connection: keep-alive, X-Hop',
      'X-Hop: 1',
      'Keep-Alive: timeout=5',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'X-Model: m',
    ]);
  const reply = await client(t)
    .send(post(daemon, INVOKE, '{}'))
    .answer();
  answer = before;
  t.notMatch(reply.head, /forged|999999/i);
  t.same(valuesOf(reply, 'served-model-name'), ['echo']);
  t.same(valuesOf(reply, 'x-hop'), []);
  t.same(valuesOf(reply, 'keep-alive'), []);
  t.same(valuesOf(reply, 'set-cookie'), ['a=1', 'b=2'], 'repeated fields stay apart and in order');
  t.same(valuesOf(reply, 'x-model'), ['m']);
});

await t.test('what reaches a replica', async (t) => {
  await client(t)
    .send(
      post(daemon, `${INVOKE}?a=1`, '{}', [
        'Connection: keep-alive, X-Hop',
        'X-Hop: 1',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: keep-alive',
        'Proxy-Authorization: Basic eDp5',
        'TE: trailers',
        'Trailer: X-T',
        'Upgrade: websocket',
        'X-Forwarded-For: 6.6.6.6',
        'X-Real-IP: 6.6.6.6',
        'Forwarded: for=6.6.6.6',
        'X-Databricks-Org-Id: 7',
        'X-Pointsman-Trust: yes',
        'Cookie: session=1',
        'X-Custom: kept',
        'Accept: */*',
        'User-Agent: lab',
      ]),
    )
    .answer();
  const seen = last();
  t.equal(seen.firstLine, 'POST /base/invocations HTTP/1.1', 'the query is dropped');
  t.same(valuesOf(seen, 'authorization'), ['Bearer of-the-replica']);
  t.same(valuesOf(seen, 'x-team'), ['risk']);
  t.notMatch(seen.head, new RegExp(daemon.queryToken));
  t.notMatch(seen.head, /6\.6\.6\.6|forged|x-hop|proxy-|upgrade|trailer|websocket|session=|trust/i);
  t.same(valuesOf(seen, 'host'), [new URL(replica.url).host]);
  t.same(valuesOf(seen, 'x-forwarded-for'), ['127.0.0.1']);
  t.same(valuesOf(seen, 'x-custom'), ['kept']);
  t.same(valuesOf(seen, 'accept'), ['*/*']);
  t.same(valuesOf(seen, 'user-agent'), ['lab']);
  t.same(valuesOf(seen, 'content-type'), ['application/json']);
  t.same(valuesOf(seen, 'content-length'), ['2']);
});

await t.test('a raw deployment is given method, query and body', async (t) => {
  const path = '/serving-endpoints/raw/invocations';
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PURGE']) {
    const body = method === 'GET' ? '' : '{"x":1}';
    const fields = body === '' ? [] : [`Content-Length: ${String(body.length)}`];
    const target = `${path}?q=a%20b&q=2&&`;
    const reply = await client(t)
      .send(head(daemon, method, target, fields) + body)
      .answer(method);
    t.equal(reply.status, 200, `${method}: ${reply.body.toString()}`);
    t.equal(reply.body.toString(), body);
    t.equal(last().firstLine, `${method} /api/v2?q=a%20b&q=2&& HTTP/1.1`);
  }
  const before = answer;
  answer = () => 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n';
  const reply = await client(t)
    .send(head(daemon, 'HEAD', path))
    .answer('HEAD');
  t.equal(last().firstLine, 'HEAD /api/v2 HTTP/1.1');
  t.same(valuesOf(reply, 'content-length'), ['1234'], 'HEAD keeps the length that GET would have');
  answer = () => 'HTTP/1.1 204 No Content\r\n\r\n';
  const one = client(t);
  t.equal((await one.send(head(daemon, 'DELETE', path)).answer()).status, 204);
  answer = () => 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n';
  t.equal((await one.send(head(daemon, 'GET', path)).answer()).status, 304);
  answer = before;
  t.equal(
    (await one.send(post(daemon, path, 'x')).answer()).body.toString(),
    'x',
    'same connection',
  );
});

await t.test('statuses and bodies of a replica pass through', async (t) => {
  const before = answer;
  for (const status of [
    '400 Bad Request',
    '404 Not Found',
    '422 Unprocessable',
    '500 Oops',
    '503 Full',
    '299 Odd',
  ]) {
    answer = () =>
      `HTTP/1.1 ${status}\r\nContent-Length: 13\r\nRetry-After: 9\r\n\r\n{"detail":"x"}`.slice(
        0,
        -1,
      );
    const reply = await client(t)
      .send(post(daemon, INVOKE, '{}'))
      .answer();
    t.equal(String(reply.status), status.slice(0, 3));
    t.equal(reply.body.toString(), '{"detail":"x"');
    t.same(valuesOf(reply, 'x-pointsman-error'), [], 'not an error of ours');
    t.same(valuesOf(reply, 'retry-after'), ['9']);
  }
  answer = before;
  const packed = gzipSync('hello').toString('latin1');
  const reply = await client(t)
    .send(post(daemon, INVOKE, packed, ['Content-Encoding: gzip']))
    .answer();
  t.equal(reply.body.toString('latin1'), packed, 'bytes are relayed as they are');
});

await t.test('credentials', async (t) => {
  const { queryToken, adminToken } = daemon;
  const basic = (user: string, password: string): string =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  for (const good of [
    `Bearer ${queryToken}`,
    `bearer ${queryToken}`,
    `Bearer ${adminToken}`,
    basic('token', queryToken),
  ]) {
    const { status } = await daemon.invoke(INVOKE, {}, { authorization: good });
    t.equal(status, 200, good.slice(0, 12));
  }
  const count = requests.length;
  for (const bad of [
    '',
    'Bearer',
    'Bearer wrong',
    `Bearer ${queryToken}x`,
    `Bearer ${queryToken.slice(0, -1)}`,
    `Token ${queryToken}`,
    queryToken,
    basic('user', queryToken),
    basic('token', 'wrong'),
    'Basic !!!',
  ]) {
    const { status, body, headers } = await daemon.invoke(INVOKE, {}, { authorization: bad });
    t.equal(status, 401, bad.slice(0, 12));
    t.match(body, { error_code: 'UNAUTHENTICATED', message: /Authorization/ });
    t.match(headers.get('www-authenticate'), /^Bearer/);
  }
  const twice = post(daemon, INVOKE, '{}', ['Authorization: Bearer wrong']);
  t.equal((await client(t).send(twice).answer()).status, 400, 'two credentials are none');
  t.equal(requests.length, count, 'nothing of it reached the replica');
});

await t.test('refusals', async (t) => {
  const count = requests.length;
  const paths = [
    '/',
    '/serving-endpoints',
    '/serving-endpoints/',
    '/serving-endpoints/echo',
    '/serving-endpoints/echo/invocations/',
    '/serving-endpoints//invocations',
    '/serving-endpoints/./echo/invocations',
    '/serving-endpoints/x/../echo/invocations',
    '/serving-endpoints/%65cho/invocations',
    '//serving-endpoints/echo/invocations',
    '/serving-endpoints/echo%2finvocations',
    '/SERVING-ENDPOINTS/echo/invocations',
    '/serving-endpoints/echo/served-models/nobody/invocations',
    '/serving-endpoints/nobody/invocations',
    '/serving-endpoints/ECHO/invocations',
    '/2/serving-endpoints/echo/invocations',
    '/serving-endpoints/echo/served-models/echo/served-models/echo/invocations',
    '/serving-endpoints/echo/served-models//invocations',
    '/api/2.0/deployments',
  ];
  for (const path of paths) {
    await t.test(`404 ${path}`, async (t) => {
      const reply = await client(t)
        .send(post(daemon, path, '{}'))
        .answer();
      await checkRefusal(t, reply, 404, 'ENDPOINT_NOT_FOUND');
    });
  }
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    await t.test(`405 ${method}`, async (t) => {
      const reply = await client(t)
        .send(head(daemon, method, INVOKE))
        .answer(method);
      t.equal(reply.status, 405);
      t.same(valuesOf(reply, 'allow'), ['POST']);
      t.same(valuesOf(reply, 'x-pointsman-error'), ['NOT_IMPLEMENTED']);
      if (method !== 'HEAD') await checkRefusal(t, reply, 405, 'NOT_IMPLEMENTED');
      else t.ok(Number(valuesOf(reply, 'content-length')[0]) > 0);
    });
  }
  await t.test('a body over the limit, by its length', async (t) => {
    const huge = head(daemon, 'POST', INVOKE, [`Content-Length: ${String(BODY_MAX + 1)}`]);
    const reply = await client(t).send(huge).answer();
    await checkRefusal(t, reply, 413, 'INVALID_PARAMETER_VALUE');
    t.match(jsonOf(reply)['message'], new RegExp(`max_request_bytes.*${String(BODY_MAX)}`));
  });
  await t.test('a body over the limit, in chunks', async (t) => {
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const start = head(daemon, 'POST', INVOKE, ['Transfer-Encoding: chunked']);
    const reply = await client(t)
      .send(start + chunk.repeat(7))
      .answer();
    await checkRefusal(t, reply, 413, 'INVALID_PARAMETER_VALUE');
  });
  t.notOk(
    requests.slice(count).some(({ body }) => body.length > 2),
    'only the checks in between reached the replica',
  );
  await t.test('a body at the limit', async (t) => {
    const body = 'x'.repeat(BODY_MAX);
    const reply = await client(t)
      .send(post(daemon, INVOKE, body))
      .answer();
    t.equal(reply.body.length, BODY_MAX);
    const chunked = head(daemon, 'POST', INVOKE, ['Transfer-Encoding: chunked']);
    const size = BODY_MAX.toString(16);
    const again = await client(t).send(`${chunked}${size}\r\n${body}\r\n0\r\n\r\n`).answer();
    t.equal(again.body.length, BODY_MAX);
  });
  await t.test('a head over the limit', async (t) => {
    const wire = client(t).send(post(daemon, INVOKE, '{}', [`X-Large: ${'x'.repeat(HEAD_MAX)}`]));
    t.equal((await wire.answer()).status, 431);
    t.equal((await daemon.invoke(INVOKE, {})).status, 200);
  });
  await t.test('a head just under the limit', async (t) => {
    const fields = [`X-Large: ${'x'.repeat(HEAD_MAX - 1_000)}`];
    t.equal(
      (
        await client(t)
          .send(post(daemon, INVOKE, '{}', fields))
          .answer()
      ).status,
      200,
    );
    t.equal(valuesOf(last(), 'x-large')[0]?.length, HEAD_MAX - 1_000);
  });
});

await t.test('health', async (t) => {
  for (const path of ['/healthz', '/readyz']) {
    const reply = await client(t).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).answer('GET');
    t.equal(reply.status, 200);
    t.equal(jsonOf(reply)['status'], 'ok');
    const empty = await client(t).send(`HEAD ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).answer('HEAD');
    t.equal(empty.status, 200);
    const wrong = await client(t)
      .send(post(daemon, path, '{}'))
      .answer();
    t.equal(wrong.status, 405);
    t.same(valuesOf(wrong, 'allow'), ['GET, HEAD']);
  }
});

await t.test('the form with the workspace id', async (t) => {
  for (const path of [`/1${INVOKE}`, '/1/serving-endpoints/echo/served-models/echo/invocations']) {
    const reply = await client(t)
      .send(post(daemon, path, '{}'))
      .answer();
    t.equal(reply.status, 200, path);
  }
});
