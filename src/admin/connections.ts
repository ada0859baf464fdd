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
 * place of the one that has been without a call the longest: clients expect that between two calls (RFC 9112, 9.3).
 * Without one it is the place of a client that leaves its answer unread, else nobody's. Turning the newest away first
 * was rejected: a crowd of silent connections, or of refused calls whose bodies do not come, would keep everybody out.
 */
export function boundConnections(servers: readonly Server[]): void {
  const most = Math.floor(ADMIN_CONNECTIONS_MAX / servers.length);
  for (const server of servers) bound(server, most);
}

function bound(server: Server, most: number): void {
  // How many calls each has under way; whoever was used last stands last.
  const open = new Map<Socket, number>();
  server.on('request', ({ socket }, response) => {
    open.set(socket, (open.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const calls = open.get(socket);
      if (calls === undefined) return;
      open.delete(socket);
      if (!socket.destroyed) open.set(socket, calls - 1);
    });
  });
  server.on('connection', (socket) => {
    open.set(socket, 0);
    socket.once('close', () => open.delete(socket));
    if (open.size <= most) return;
    const [longest] = [...open].find(([one, calls]) => calls === 0 && one !== socket) ??
      // Its client does not read the answer.
      [...open].find(([one]) => one.writableLength > 0) ?? [socket];
    open.delete(longest);
    // Not an orderly end for the newcomer: Node's own fetch may wait for ever behind one that comes at once.
    if (longest === socket) longest.resetAndDestroy();
    else longest.destroy();
  });
}
