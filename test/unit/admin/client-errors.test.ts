/** Bytes that are no HTTP on the admin port: answered where the answer cannot be taken for another one, else cut off. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ADMIN, sendRaw, startAdmin, startServer } from './harness.js';

const PATH = '/serving-endpoints/iris/invocations';
const GOOD_CHUNK = '2\r\n{}\r\n';
const BAD_CHUNK = 'no chunk\r\n';

function chunkedPost(path: string, authorization = ADMIN.authorization): string {
  return (
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${authorization}\r\n` +
    'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  );
}

t.test('a field of which there is one, sent twice', async (t) => {
  const { url } = await startAdmin(t);
  const twice = {
    authorization: `Authorization: ${ADMIN.authorization}\r\nAUTHORIZATION: Bearer other`,
    host: 'Host: localhost\r\nHost: evil.test',
    'content-type': 'Content-Type: application/json\r\nContent-type: text/yaml',
  };
  for (const [name, fields] of Object.entries(twice)) {
    for (const path of ['/api/2.0/serving-endpoints', '/healthz', '/oidc/v1/token']) {
      const host = name === 'host' ? '' : 'Host: 127.0.0.1\r\n';
      const answer = await sendRaw(
        url,
        `GET ${path} HTTP/1.1\r\n${host}${fields}\r\nConnection: close\r\n\r\n`,
      );
      t.match(answer, /^HTTP\/1\.1 400 /, `${name} ${path}`);
      t.match(answer.toLowerCase(), `${name}: sent more than once`);
    }
  }
});

class Client {
  received = '';
  readonly #socket: Socket;
  readonly #closed: Promise<unknown>;

  constructor(url: string) {
    this.#socket = connect(Number(new URL(url).port), '127.0.0.1');
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => (this.received += text));
    this.#socket.on('error', () => undefined);
    this.#closed = once(this.#socket, 'close');
  }

  send(bytes: string): void {
    this.#socket.write(bytes);
  }

  async until(part: string): Promise<void> {
    while (!this.received.includes(part)) await once(this.#socket, 'data');
  }

  /** All that came, once the server has closed. */
  async rest(): Promise<string> {
    await this.#closed;
    return this.received;
  }
}

/** The admin port before a data port that begins its answer at once and never ends it. */
async function startRelay(t: Test): Promise<string> {
  const { url: dataUrl } = await startServer(t, (_request, response: ServerResponse) => {
    response.on('error', () => undefined);
    response.write('begun');
  });
  const supervisor = {
    workers: () => [],
    refusals: () => [],
    ready: () => ({ ready: true, reason: '' }),
    dataPlaneUrl: () => dataUrl,
  };
  return (await startAdmin(t, { supervisor })).url;
}

t.test('nothing is written into an answer that is under way', async (t) => {
  const client = new Client(await startRelay(t));
  client.send(chunkedPost(PATH) + GOOD_CHUNK);
  await client.until('begun');
  client.send(BAD_CHUNK);
  const all = await client.rest();
  t.match(all, /^HTTP\/1\.1 200 /);
  t.equal(all.split('HTTP/1.1').length, 2, 'one answer');
  t.notOk(all.includes('error_code'), 'and no other inside it');
});

t.test('nor behind one to the same request', async (t) => {
  const { url } = await startAdmin(t);
  const client = new Client(url);
  client.send(chunkedPost('/api/2.0/serving-endpoints', 'Bearer wrong'));
  await client.until('\r\n\r\n{');
  client.send(BAD_CHUNK);
  const all = await client.rest();
  t.match(all, /^HTTP\/1\.1 40[13] /);
  t.equal(all.split('HTTP/1.1').length, 2, 'one answer');
});

t.test('nor in front of one that an earlier request waits for', async (t) => {
  const client = new Client(await startRelay(t));
  client.send(`${chunkedPost(PATH)}0\r\n\r\n${BAD_CHUNK}`);
  t.notOk((await client.rest()).includes('HTTP/1.1 400'));
});

t.test('a request that is owed an answer gets it', async (t) => {
  const { url } = await startAdmin(t);
  const body = new Client(url);
  body.send(chunkedPost('/api/2.0/serving-endpoints') + GOOD_CHUNK + BAD_CHUNK);
  t.match(await body.rest(), /^HTTP\/1\.1 400 [^]*MALFORMED_REQUEST/);
  const second = new Client(url);
  second.send('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  await second.until('\r\n\r\n');
  await new Promise(setImmediate);
  second.send('nonsense\r\n\r\n');
  t.match(await second.rest(), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 400 /);
});
