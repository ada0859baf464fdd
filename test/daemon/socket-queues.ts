/** What the kernel holds of a TCP connection over IPv4 loopback, from /proc/net/tcp. */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';

export interface SocketQueues {
  /** Sent or to be sent, and not acknowledged yet. */
  readonly unacknowledged: number;
  /** Come, and not read yet. */
  readonly unread: number;
}

/** Queues of this end of a connection; empty when it is closed. */
export function queuesOf(socket: Socket): SocketQueues {
  const ends = [socket.localPort, socket.remotePort].map((port) =>
    (port ?? 0).toString(16).toUpperCase().padStart(4, '0'),
  );
  const [local = '', remote = ''] = ends;
  const line = new RegExp(
    String.raw`^\s*\d+: [0-9A-F]{8}:${local} [0-9A-F]{8}:${remote} [0-9A-F]{2} ([0-9A-F]{8}):([0-9A-F]{8}) `,
    'm',
  ).exec(readFileSync('/proc/net/tcp', 'utf8'));
  const [, unacknowledged = '0', unread = '0'] = line ?? [];
  return {
    unacknowledged: Number.parseInt(unacknowledged, 16),
    unread: Number.parseInt(unread, 16),
  };
}

/** Writes until nobody takes anything any more; what the kernel has taken counts. */
export class Pump {
  taken = 0;
  #takenAt = performance.now();

  constructor(socket: Socket, bytes: number) {
    const piece = Buffer.alloc(16 * 1024, 'x');
    const next = (): void => {
      if (this.taken >= bytes || socket.destroyed) return;
      const part = piece.subarray(0, Math.min(piece.length, bytes - this.taken));
      // Called back when the kernel has the last byte of it.
      socket.write(part, (error) => {
        if (error !== undefined && error !== null) return;
        this.taken += part.length;
        this.#takenAt = performance.now();
        next();
      });
    };
    next();
  }

  /** For how long nothing has been taken. */
  get idleMs(): number {
    return performance.now() - this.#takenAt;
  }
}
