/** Tells calls that came through the data port from those of the admin port's own clients. */
import type { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { CLIENT_ADDRESS_FIELD } from '../control/relay-socket.js';

export class RelayedCalls {
  /** Connections of workers. */
  readonly #sockets = new WeakSet<Socket>();

  add(socket: Socket): void {
    this.#sockets.add(socket);
  }

  has(request: FastifyRequest): boolean {
    return this.#sockets.has(request.raw.socket);
  }

  /** Of the client itself, for throttles. */
  clientAddress(request: FastifyRequest): string {
    const said = this.has(request) ? request.headers[CLIENT_ADDRESS_FIELD] : undefined;
    return typeof said === 'string' ? said : request.ip;
  }
}
