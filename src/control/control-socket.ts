/**
 * One end of control.sock: envelopes in and out of a stream socket.
 *
 * The path of a Unix socket is at most 107 bytes, a state directory may be deeper: the socket is then named
 * through an open descriptor of its directory.
 */
import { openSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { encodeFrame, FrameReader, type Envelope } from './messages.js';

const CONTROL_SOCKET_FILE = 'control.sock';
const UNIX_PATH_BYTES_MAX = 107;

/** Where both ends find the socket. Leaves a descriptor of the directory open when the path is too long. */
export function controlSocketPath(stateDir: string): string {
  const direct = path.join(stateDir, CONTROL_SOCKET_FILE);
  if (Buffer.byteLength(direct) <= UNIX_PATH_BYTES_MAX) return direct;
  return `/proc/self/fd/${String(openSync(stateDir, 'r'))}/${CONTROL_SOCKET_FILE}`;
}

export class ControlChannel {
  readonly #socket: Socket;

  /** `onClose` is called once, whoever closed and why. */
  constructor(socket: Socket, onEnvelope: (envelope: Envelope) => void, onClose: () => void) {
    this.#socket = socket;
    const reader = new FrameReader(onEnvelope);
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
    });
    // 'close' follows and tells.
    socket.on('error', () => undefined);
    socket.on('close', onClose);
  }

  /** Lost silently when the other end is gone: `onClose` tells of that. */
  send(envelope: Envelope): void {
    if (this.#socket.writable) this.#socket.write(encodeFrame(envelope));
  }

  close(): void {
    this.#socket.destroy();
  }
}
