/**
 * How many connections the admin port holds. Each takes a descriptor of the supervisor, which needs some itself to
 * respawn workers and to probe replicas; and whoever pushes a change at night must get through whatever else is open.
 */
import type { Server } from 'node:http';

/** Of all addresses together. Beyond it a new connection is closed at once. */
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
 * Lets the servers together have ADMIN_CONNECTIONS_MAX connections at most. Those that wait between two requests make
 * room: a client that keeps one expects that (RFC 9112, 9.3). Those that have said nothing yet end by their timeout.
 */
export function boundConnections(servers: readonly Server[]): void {
  const most = Math.floor(ADMIN_CONNECTIONS_MAX / servers.length);
  for (const server of servers) {
    let open = 0;
    server.maxConnections = most;
    server.on('connection', (socket) => {
      open += 1;
      socket.once('close', () => {
        open -= 1;
      });
      if (open >= most) server.closeIdleConnections();
    });
  }
}
