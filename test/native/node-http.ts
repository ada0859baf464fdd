/** Node's own strict HTTP/1.1 server and client as a second opinion on raw bytes, over loopback sockets. */
import { createServer, request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { connect, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import type { ResponseCase } from './http1-replay.js';

/** Connections in flight; more only make the machine swap threads. */
const PARALLEL = 16;

export interface NodeMessage {
  readonly method: string;
  readonly target: string;
  /** Names and values by turns. */
  readonly headers: readonly string[];
  /** Absent when the message did not come to its end. */
  body?: string;
}

export interface NodeRequests {
  readonly messages: NodeMessage[];
  /** Code of the parser's error, or '' when there was none. */
  error: string;
}

export interface NodeResponse {
  readonly statusCode?: number;
  readonly body: string;
  /** Why it is no complete answer, or ''. */
  readonly error: string;
}

async function forEachParallel<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const drain = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, drain));
  return results;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('latin1');
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : String(error);
}

/** What Node's server makes of each connection's bytes, which are followed by the end of the stream. */
export async function serveWithNode(cases: readonly string[]): Promise<NodeRequests[]> {
  const outcomes = new Map<number, NodeRequests>();
  const server = createServer({ insecureHTTPParser: false, requireHostHeader: false });
  const outcomeOf = (port: number | undefined): NodeRequests => {
    const outcome = outcomes.get(port ?? -1);
    if (outcome === undefined) throw new Error('a connection that nobody opened');
    return outcome;
  };
  server.on('request', (incoming, answer) => {
    const { method = '', url: target = '', rawHeaders: headers } = incoming;
    const message: NodeMessage = { method, target, headers };
    outcomeOf(incoming.socket.remotePort).messages.push(message);
    readAll(incoming).then(
      (body) => {
        message.body = body;
        answer.end();
      },
      () => {
        answer.destroy();
      },
    );
  });
  server.on('clientError', (error, socket) => {
    // The socket may have lost its peer already: the error then was noted before.
    const port = 'remotePort' in socket ? (socket.remotePort as number | undefined) : undefined;
    if (port !== undefined) outcomeOf(port).error ||= codeOf(error);
    socket.destroy();
  });
  const port = await listen(server);
  const results = await forEachParallel(cases, async (bytes) => {
    const client = connect({ port, host: '127.0.0.1' });
    await once(client, 'connect');
    const outcome: NodeRequests = { messages: [], error: '' };
    outcomes.set(client.localPort ?? -1, outcome);
    const isClosed = new Promise((resolve) => client.on('close', resolve));
    client.on('error', () => {
      // The server resets connections that it refuses.
    });
    client.resume();
    client.end(bytes, 'latin1');
    await isClosed;
    return outcome;
  });
  server.close();
  return results;
}

/** What Node's client makes of each answer, which is followed by the end of the stream. */
export async function askWithNode(cases: readonly ResponseCase[]): Promise<NodeResponse[]> {
  const answers: string[] = [];
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {
      // The client resets connections whose answer it refuses.
    });
    let head = '';
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
      const index = /^x-case: (\d+)\r\n/im.exec(head)?.[1];
      if (head.endsWith('\r\n\r\n')) socket.end(answers[Number(index)] ?? '', 'latin1');
    });
  });
  const port = await listen(server);
  const results = await forEachParallel(cases, async ({ method, bytes }) => {
    const index = answers.push(bytes) - 1;
    const options = { port, host: '127.0.0.1', method, agent: false as const };
    const headers = { 'x-case': String(index) };
    return new Promise<NodeResponse>((resolve) => {
      const outgoing = request({ ...options, headers, insecureHTTPParser: false });
      let statusCode: number | undefined;
      outgoing.on('response', (incoming) => {
        statusCode = incoming.statusCode ?? 0;
        const chunks: Buffer[] = [];
        const finish = (error: string): void => {
          const body = Buffer.concat(chunks).toString('latin1');
          resolve({ statusCode: incoming.statusCode ?? 0, body, error });
        };
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => {
          finish(incoming.complete ? '' : 'incomplete');
        });
        incoming.on('error', (error) => {
          finish(codeOf(error));
        });
      });
      outgoing.on('upgrade', (_incoming, socket) => {
        socket.destroy();
        resolve({ body: '', error: 'upgrade' });
      });
      outgoing.on('error', (error) => {
        if (statusCode === undefined) resolve({ body: '', error: codeOf(error) });
      });
      outgoing.end();
    });
  });
  server.close();
  return results;
}
