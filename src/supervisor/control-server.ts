/** control.sock as the supervisor has it: workers connect to it, its own and those of an earlier supervisor. */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { controlSocketPath } from '../control/control-socket.js';

export class ControlServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(onConnection: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
      });
      onConnection(socket);
    });
  }

  /** Call with the state directory locked. */
  async open(stateDir: string): Promise<void> {
    const socketPath = controlSocketPath(stateDir);
    // A daemon that was killed leaves the file behind; the lock of the directory says that it is gone.
    rmSync(path.join(stateDir, path.basename(socketPath)), { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
  }

  /** Call when all workers have ended: whoever is still connected is none, and the end does not wait for strangers. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    for (const socket of this.#sockets) socket.destroy();
    return closed;
  }
}
