/**
 * Raw sockets on both sides of the daemon: a client that says exactly the given bytes and reads answers by
 * their framing, and a replica that a test scripts byte by byte. Both refuse what they cannot frame, so an
 * answer that breaks off can never pass for a complete one.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import type { TestDaemon } from './harness.js';

export interface WireMessage {
  /** First line and fields as received. */
  readonly head: string;
  readonly firstLine: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface WireAnswer extends WireMessage {
  readonly status: number;
}

export interface WireRequest extends WireMessage {
  readonly method: string;
  readonly target: string;
  /** Number of the connection since the replica's start, from 0; probes do not count. */
  readonly connection: number;
  /** Number of the request on its connection, from 0. */
  readonly index: number;
}

/** Values of all fields of a name. */
export function valuesOf(message: WireMessage, name: string): string[] {
  return message.fields.filter(([field]) => field === name).map(([, value]) => value);
}

export function jsonOf(message: WireMessage): Record<string, unknown> {
  return JSON.parse(message.body.toString()) as Record<string, unknown>;
}

/** Bytes of one socket as they come, pulled by whoever waits for them. */
class Inbox {
  #bytes: Buffer = Buffer.alloc(0);
  /** Came after `#bytes`; joined only when somebody looks, because a large answer comes in many pieces. */
  #chunks: Buffer[] = [];
  #size = 0;
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  get text(): string {
    return this.#joined().toString('latin1');
  }

  /** Null when the other side ends first. */
  async take(bytes: number): Promise<Buffer | null> {
    while (this.#size < bytes) {
      if (this.#ended) return null;
      await this.#more();
    }
    const all = this.#joined();
    this.#set(all.subarray(bytes));
    return all.subarray(0, bytes);
  }

  async takeThrough(end: string): Promise<string | null> {
    for (;;) {
      const at = this.#joined().indexOf(end, 0, 'latin1');
      if (at >= 0)
        return ((await this.take(at + end.length)) ?? Buffer.alloc(0)).toString('latin1');
      if (this.#ended) return null;
      await this.#more();
    }
  }

  async takeAll(): Promise<Buffer> {
    while (!this.#ended) await this.#more();
    const all = this.#joined();
    this.#set(Buffer.alloc(0));
    return all;
  }

  #joined(): Buffer {
    if (this.#chunks.length > 0) this.#set(Buffer.concat([this.#bytes, ...this.#chunks]));
    return this.#bytes;
  }

  #set(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#chunks = [];
    this.#size = bytes.length;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function parseFields(head: string): [string, string][] {
  const lines = head.split('\r\n').slice(1).filter(Boolean);
  return lines.map((line) => {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new Error(`not a field line: ${JSON.stringify(line)}`);
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
}

/** Null: the connection ended before the body did. */
async function readChunked(inbox: Inbox): Promise<Buffer | null> {
  const parts: Buffer[] = [];
  for (;;) {
    const line = await inbox.takeThrough('\r\n');
    if (line === null) return null;
    if (!/^[0-9a-fA-F]+\r\n$/.test(line))
      throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    const data = await inbox.take(size + 2);
    if (data === null) return null;
    if (data.subarray(size).toString() !== '\r\n') throw new Error('a chunk does not end');
    if (size === 0) return Buffer.concat(parts);
    parts.push(data.subarray(0, size));
  }
}

/** The answer broke off: `received` is what came of it. */
export class BrokenAnswer extends Error {
  readonly head: string;

  constructor(head: string) {
    super(`the answer broke off after ${JSON.stringify(head.slice(0, 200))}`);
    this.head = head;
  }
}

export class WireClient {
  readonly socket: Socket;
  readonly #inbox: Inbox;
  readonly closed: Promise<void>;

  /** @param localAddress that it comes from; Linux takes any of 127.0.0.0/8. */
  constructor(t: Test, port: number, localAddress = '127.0.0.1') {
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true, localAddress });
    this.#inbox = new Inbox(this.socket);
    this.closed = new Promise((resolve) =>
      this.socket.once('close', () => {
        resolve();
      }),
    );
    t.teardown(() => this.socket.destroy());
  }

  send(bytes: string | Buffer): this {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
    return this;
  }

  /** Received and not yet taken. */
  get received(): string {
    return this.#inbox.text;
  }

  /** The next answer, its body whole. @throws BrokenAnswer when the connection ends before it does. */
  async answer(method = 'POST'): Promise<WireAnswer> {
    const head = await this.#inbox.takeThrough('\r\n\r\n');
    if (head === null) throw new BrokenAnswer(this.#inbox.text);
    const firstLine = head.slice(0, head.indexOf('\r\n'));
    const status = Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(firstLine)?.[1]);
    if (Number.isNaN(status)) throw new Error(`not a status line: ${firstLine}`);
    const fields = parseFields(head);
    const body = await this.#body(head, method, status, fields);
    return { head, firstLine, status, fields, body };
  }

  async #body(
    head: string,
    method: string,
    status: number,
    fields: readonly (readonly [string, string])[],
  ): Promise<Buffer> {
    const lengths = fields.filter(([name]) => name === 'content-length');
    const chunked = fields.some(([name]) => name === 'transfer-encoding');
    if (lengths.length > 1 || (chunked && lengths.length > 0))
      throw new Error(`two framings: ${head}`);
    const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
    if (bodiless) return Buffer.alloc(0);
    const length = lengths[0]?.[1];
    if (chunked || length !== undefined) {
      const body = await (chunked ? readChunked(this.#inbox) : this.#inbox.take(Number(length)));
      if (body === null) throw new BrokenAnswer(head);
      return body;
    }
    return this.#inbox.takeAll();
  }

  takeThrough(end: string): Promise<string | null> {
    return this.#inbox.takeThrough(end);
  }

  /** Everything up to the end of the connection. */
  rest(): Promise<Buffer> {
    return this.#inbox.takeAll();
  }
}

export interface WireReplica {
  readonly url: string;
  readonly server: Server;
}

/**
 * A replica on a bare socket. Health probes (`GET /ping`) are answered; every other request is read whole and
 * given to `onRequest`, which answers on the socket as it likes.
 */
export async function startWireReplica(
  t: Test,
  onRequest: (request: WireRequest, socket: Socket) => void,
): Promise<WireReplica> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    void serve(new Inbox(socket), socket);
  });

  async function serve(inbox: Inbox, socket: Socket): Promise<void> {
    let connection = -1;
    for (let index = 0; ; index += 1) {
      const head = await inbox.takeThrough('\r\n\r\n');
      if (head === null) return;
      const firstLine = head.slice(0, head.indexOf('\r\n'));
      const [method = '', target = ''] = firstLine.split(' ');
      if (method === 'GET' && target === '/ping') {
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
        return;
      }
      if (connection < 0) connection = connections++;
      const fields = parseFields(head);
      const length = Number(fields.find(([name]) => name === 'content-length')?.[1] ?? 0);
      const chunked = fields.some(([name]) => name === 'transfer-encoding');
      const body = await (chunked ? readChunked(inbox) : inbox.take(length));
      if (body === null) return;
      onRequest({ head, firstLine, method, target, fields, body, connection, index }, socket);
    }
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, server };
}

/** The bytes of a POST with the query token, Content-Length and `fields` (whole lines without CRLF). */
export function post(
  daemon: Pick<TestDaemon, 'queryToken'>,
  path: string,
  body: string,
  fields: readonly string[] = [],
): string {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    'Content-Type: application/json',
    `Content-Length: ${String(Buffer.byteLength(body, 'latin1'))}`,
    ...fields,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** An answer that keeps the connection open. */
export function ok(body: string, fields: readonly string[] = []): string {
  const lines = [
    'HTTP/1.1 200 OK',
    'Content-Type: application/json',
    `Content-Length: ${String(Buffer.byteLength(body, 'latin1'))}`,
    ...fields,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
