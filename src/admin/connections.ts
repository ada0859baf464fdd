/**
 * How many connections the admin port holds. Each takes a descriptor of the supervisor, which needs some itself to
 * respawn workers and to probe replicas; and whoever pushes a change at night must get through whatever else is open.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Of all addresses together. */
export const ADMIN_CONNECTIONS_MAX = 512;

/** From the first byte of a head, or the connection's beginning, to the head's last byte. */
const HEAD_TIMEOUT_MS = 10_000;

/** For the servers of the admin port when they are made; see `boundConnections`. */
export const CONNECTION_OPTIONS = {
  headersTimeout: HEAD_TIMEOUT_MS,
  // How often Node looks for connections past it; a connection may stay for as long on top.
  connectionsCheckingInterval: HEAD_TIMEOUT_MS / 2,
} as const;

/**
 * Lets the servers together have ADMIN_CONNECTIONS_MAX connections at most. Who comes when there are as many gets the
 * place of those that wait between two requests (their clients expect that: RFC 9112, 9.3), else of the one that has
 * been open the longest without a request, else none. Turning the newest away first was rejected: a crowd of silent
 * connections would keep everybody out.
 */
export function boundConnections(servers: readonly Server[]): void {
  const most = Math.floor(ADMIN_CONNECTIONS_MAX / servers.length);
  for (const server of servers) bound(server, most);
}

function bound(server: Server, most: number): void {
  // The oldest first.
  const open = new Set<Socket>();
  const heard = new WeakSet<Socket>();
  server.on('request', ({ socket }) => heard.add(socket));
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size <= most) return;
    server.closeIdleConnections();
    for (const one of open) if (one.destroyed) open.delete(one);
    if (open.size <= most) return;
    // Not an orderly end: Node's own fetch may wait for ever behind one that comes at once.
    [...open].find((one) => !heard.has(one))?.resetAndDestroy();
  });
}
