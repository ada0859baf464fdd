/**
 * The replicas of the soak. Each request says in `x-lab` what it wants: `id kind size`. One of them comes and goes.
 *
 *   sized   size bytes of the id, by length or, odd ids, in chunks
 *   stream  size events, a few milliseconds apart
 *   upload  reads the body and checks it; answers as `sized` 100 would
 *   reset   begins an answer and resets the connection
 *   endless begins an answer that never ends; the client is expected to leave
 */
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Checker, fill } from './content.mjs';

const PIECE_BYTES = 64 * 1024;
const EVENT_GAP_MS = 5;

export async function startReplica(name, counts) {
  const server = http.createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    if (request.url === '/ping') response.end();
    else
      serve(name, request, response, counts).catch((error) => {
        // The daemon, a worker of which was killed, or its client has left in the middle of an upload.
        if (error.code !== 'ECONNRESET') throw error;
      });
  });
  await listen(server, 0);
  const { port } = server.address();
  return { name, server, port, url: `http://127.0.0.1:${port}` };
}

/** Goes away and comes back until `signal` is aborted; ends listening. */
export async function flap(replica, periodMs, signal) {
  while (!signal.aborted) {
    await pause(periodMs);
    replica.server.close();
    replica.server.closeAllConnections();
    await pause(periodMs);
    await listen(replica.server, replica.port);
  }
}

function listen(server, port) {
  return new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
}

async function serve(name, request, response, counts) {
  const [id = '', kind = '', size = '0'] = String(request.headers['x-lab']).split(' ');
  const checker = new Checker(id);
  for await (const piece of request.iterator({ destroyOnReturn: false })) {
    if (!checker.take(piece)) counts.badUploads += 1;
  }
  if (response.destroyed) return;
  response.setHeader('x-lab', id);
  response.setHeader('x-served', name);
  if (kind === 'stream') await stream(id, Number(size), response);
  else if (kind === 'reset') reset(id, Number(size), response);
  else if (kind === 'endless') response.write(fill(id, Number(size)));
  else sized(id, kind === 'upload' ? 100 : Number(size), response);
}

function sized(id, size, response) {
  const isCounted = Number(id) % 2 === 0;
  if (isCounted) response.setHeader('content-length', size);
  const body = fill(id, size);
  let sent = 0;
  const step = () => {
    while (sent < size) {
      const piece = body.subarray(sent, sent + PIECE_BYTES);
      sent += piece.length;
      if (!response.write(piece)) {
        response.once('drain', step);
        return;
      }
    }
    response.end();
  };
  step();
}

async function stream(id, events, response) {
  response.setHeader('content-type', 'text/event-stream');
  for (let event = 0; event < events && !response.destroyed; event += 1) {
    response.write(fill(id, id.length + 1));
    await pause(EVENT_GAP_MS);
  }
  response.end();
}

function reset(id, size, response) {
  response.setHeader('content-length', size * 2);
  response.write(fill(id, size), () => response.socket?.resetAndDestroy());
}
