/**
 * A replica in a process of its own, so that it can be stopped, killed and started again on the same port. It answers
 * `{"served": name, "id": the request's x-lab}` after it has read the request.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';

const PROGRAM = `
const [name, port, backlog, delayMs] = process.argv.slice(1);
const server = require('node:http').createServer({ keepAliveTimeout: 60000 }, (request, response) => {
  if (request.url === '/ping') return response.end();
  request.resume();
  request.once('end', () => setTimeout(() => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ served: name, id: request.headers['x-lab'] ?? '' }));
  }, Number(delayMs)));
});
server.listen({ host: '127.0.0.1', port: Number(port), backlog: Number(backlog) }, () => {
  console.log(server.address().port);
});
`;

/** How long a connection attempt is looked at before it counts as swallowed. */
const SWALLOWED_MS = 150;
const FILLERS_MAX = 64;

export interface ReplicaOptions {
  readonly port?: number;
  readonly backlog?: number;
  readonly delayMs?: number;
}

export interface ReplicaProcess {
  readonly port: number;
  readonly url: string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  readonly ended: Promise<unknown>;
}

export async function startReplicaProcess(
  t: Test,
  name: string,
  { port = 0, backlog = 511, delayMs = 0 }: ReplicaOptions = {},
): Promise<ReplicaProcess> {
  const args = ['-e', PROGRAM, name, port, backlog, delayMs].map(String);
  const child = spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return {
    port: Number(line),
    url: `http://127.0.0.1:${line}`,
    signal: (signal) => child.kill(signal),
    ended,
  };
}

/**
 * Fills the backlog of a process that does not accept, until the port swallows connection attempts without a word.
 * The connections that fill it stay until the test ends.
 */
export async function fillBacklog(t: Test, port: number): Promise<Socket[]> {
  const fillers: Socket[] = [];
  t.teardown(() => {
    for (const socket of fillers) socket.destroy();
  });
  while (fillers.length < FILLERS_MAX) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    fillers.push(socket);
    const isConnected = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => {
        resolve(false);
      }, SWALLOWED_MS);
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    if (!isConnected) return fillers;
  }
  throw new Error('the backlog does not fill');
}
