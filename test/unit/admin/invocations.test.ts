/** Invocations through the admin port against a real HTTP server in the data port's place. */
import { once } from 'node:events';
import { request, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ADMIN, QUERY, startAdmin, startServer, type Harness } from './harness.js';

interface Arrival {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const PATH = '/serving-endpoints/iris/invocations';

/** The admin port in front of a server whose requests the test answers itself. */
async function startRelay(
  t: Test,
): Promise<{ admin: Harness; next: () => Promise<Arrival>; dataUrl: string }> {
  const waiting: Arrival[] = [];
  const wanted: ((arrival: Arrival) => void)[] = [];
  const { url: dataUrl } = await startServer(t, (request, response) => {
    const arrival = { request, response };
    const taker = wanted.shift();
    if (taker === undefined) waiting.push(arrival);
    else taker(arrival);
  });
  const admin = await startAdmin(t, {
    supervisor: {
      workers: () => [],
      refusals: () => [],
      ready: () => ({ ready: true, reason: '' }),
      dataPlaneUrl: () => dataUrl,
    },
  });
  const next = (): Promise<Arrival> =>
    new Promise((resolve) => {
      const arrival = waiting.shift();
      if (arrival === undefined) wanted.push(resolve);
      else resolve(arrival);
    });
  return { admin, next, dataUrl };
}

function post(url: string, headers: Record<string, string> = {}): ClientRequest {
  const sent = request(url, { method: 'POST', headers: { ...QUERY, ...headers } });
  sent.on('error', () => undefined);
  return sent;
}

async function answerOf(sent: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

async function textOf(stream: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of stream.setEncoding('utf8')) text += String(part);
  return text;
}

t.test(
  'every form of an invocation arrives as it was sent, and its answer as it was given',
  async (t) => {
    const { admin, next } = await startRelay(t);
    const paths = [
      PATH,
      `${PATH}/`,
      '/serving-endpoints/iris/served-models/b/invocations',
      `/42${PATH}?x=1`,
    ];
    for (const path of paths) {
      const sent = post(admin.url + path, {
        'content-type': 'application/json',
        'x-custom': 'kept',
        connection: 'x-hop',
        'x-hop': 'dropped',
        te: 'trailers',
      });
      sent.end('{"inputs": [1]}');
      const { request: arrived, response } = await next();
      t.equal(arrived.url, path);
      t.equal(arrived.headers.authorization, QUERY.authorization);
      t.equal(arrived.headers['x-custom'], 'kept');
      t.equal(arrived.headers['x-hop'], undefined);
      t.equal(arrived.headers['te'], undefined);
      t.equal(await textOf(arrived), '{"inputs": [1]}');
      response.setHeader('connection', 'x-inner');
      response.writeHead(207, { 'served-model-name': 'b', 'x-request-id': 'r', 'x-inner': '1' });
      response.end('{"predictions":[1]}');
      const answer = await answerOf(sent);
      t.equal(answer.statusCode, 207);
      t.equal(answer.headers['served-model-name'], 'b');
      t.equal(answer.headers['x-request-id'], 'r', 'the id of the data port, not another one');
      t.equal(answer.headers['x-inner'], undefined);
      t.equal(await textOf(answer), '{"predictions":[1]}');
    }
  },
);

t.test('bodies without length, without type and of any type pass', async (t) => {
  const { admin, next } = await startRelay(t);
  const chunked = post(admin.url + PATH);
  chunked.write('a');
  chunked.end('b');
  const first = await next();
  t.equal(await textOf(first.request), 'ab');
  first.response.end('1');
  await textOf(await answerOf(chunked));

  const empty = post(admin.url + PATH, { 'content-length': '0' });
  empty.end();
  const second = await next();
  t.equal(await textOf(second.request), '');
  second.response.end('2');
  t.equal(await textOf(await answerOf(empty)), '2');

  const csv = post(admin.url + PATH, { 'content-type': 'text/csv' });
  csv.end('not json');
  const third = await next();
  t.equal(await textOf(third.request), 'not json');
  third.response.end('3');
  t.equal(await textOf(await answerOf(csv)), '3');
});

t.test('both directions stream: each part arrives before the next one is sent', async (t) => {
  const { admin, next } = await startRelay(t);
  const sent = post(admin.url + PATH);
  sent.write('up 1');
  const { request: arrived, response } = await next();
  t.equal(String((await once(arrived, 'data'))[0]), 'up 1');
  sent.write('up 2');
  t.equal(String((await once(arrived, 'data'))[0]), 'up 2');
  response.write('down 1');
  const answer = await answerOf(sent);
  t.equal(String((await once(answer, 'data'))[0]), 'down 1');
  response.write('down 2');
  t.equal(String((await once(answer, 'data'))[0]), 'down 2');
  sent.end();
  response.end();
  await once(answer, 'end');
});

t.test('a slow reader holds the sender back', async (t) => {
  const { admin, next } = await startRelay(t);
  const sent = post(admin.url + PATH);
  sent.end();
  const { response } = await next();
  const part = Buffer.alloc(64 * 1024, 120);
  const total = part.length * 1024;
  let written = 0;
  const writeMore = (): void => {
    while (written < total) {
      written += part.length;
      if (!response.write(part)) return;
    }
    response.end();
  };
  response.on('drain', writeMore);
  writeMore();
  let received = 0;
  let aheadMax = 0;
  for await (const bytes of await answerOf(sent)) {
    received += (bytes as Buffer).length;
    aheadMax = Math.max(aheadMax, written - received);
    // The writer gets many turns of the loop for each part that is read.
    for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  }
  t.equal(received, total);
  // Kernel buffers of two loopback connections take some MiB; a relay that stores would take all
  // 64.
  t.ok(aheadMax < total / 4, `${String(aheadMax)} bytes ahead at most`);
});

t.test('a client that leaves ends the request, before and during the answer', async (t) => {
  const { admin, next } = await startRelay(t);
  for (const during of [false, true]) {
    const sent = post(admin.url + PATH);
    sent.end('x');
    const { request: arrived, response } = await next();
    arrived.resume();
    const closed = once(response, 'close');
    if (during) {
      response.write('part');
      await answerOf(sent);
    }
    sent.destroy();
    await closed;
    t.notOk(response.writableFinished, during ? 'during' : 'before');
  }
});

t.test('a data port that dies inside an answer ends the answer unclean', async (t) => {
  const { admin, next } = await startRelay(t);
  const sent = post(admin.url + PATH);
  sent.end();
  const { response } = await next();
  response.write('half');
  const answer = await answerOf(sent);
  response.destroy();
  await t.rejects(textOf(answer), { code: 'ECONNRESET' });
});

t.test('no more than 64 at once; then 429 names the data port', async (t) => {
  const { admin, next, dataUrl } = await startRelay(t);
  const sent = Array.from({ length: 64 }, () => post(admin.url + PATH).end('x'));
  const arrivals = await Promise.all(sent.map(next));
  const refused = await fetch(admin.url + PATH, { method: 'POST', headers: ADMIN, body: 'x' });
  t.equal(refused.status, 429);
  t.equal(refused.headers.get('retry-after'), '1');
  t.match(await refused.json(), { error_code: 'RESOURCE_EXHAUSTED', message: dataUrl });
  for (const name of ['x-databricks-request-id', 'x-request-id', 'x-pointsman-revision']) {
    t.ok(refused.headers.get(name), name);
  }
  for (const { response } of arrivals) response.end('ok');
  await Promise.all(sent.map(async (one) => textOf(await answerOf(one))));
  const again = post(admin.url + PATH).end('x');
  (await next()).response.end('ok');
  t.equal(await textOf(await answerOf(again)), 'ok', 'all places are free again');
});

t.test('without a data port: 503 with Retry-After', async (t) => {
  const admin = await startAdmin(t);
  const answer = await fetch(admin.url + PATH, { method: 'POST', headers: QUERY, body: '{}' });
  t.equal(answer.status, 503);
  t.equal(answer.headers.get('retry-after'), '1');
  t.match(await answer.json(), {
    error_code: 'TEMPORARILY_UNAVAILABLE',
    message: /^The data port at/,
  });
  const anonymous = await fetch(admin.url + PATH, { method: 'POST', body: '{}' });
  t.equal(anonymous.status, 401);
});
