/**
 * control.sock: where it is, and the supervisor's end of its connections: envelopes in and out of a stream socket.
 *
 * The path of a Unix socket is at most 107 bytes, a state directory may be deeper: the socket is then named
 * through an open descriptor of its directory.
 */
import { openSync } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { encodeFrame, FrameError, FrameReader, type Envelope } from './messages.js';

const CONTROL_SOCKET_FILE = 'control.sock';
const UNIX_PATH_BYTES_MAX = 107;

/** Where both ends find the socket; see `unixSocketPath`. */
export function controlSocketPath(stateDir: string): string {
  return unixSocketPath(path.join(stateDir, CONTROL_SOCKET_FILE));
}

/**
 * A path that fits a Unix socket's address. Leaves a descriptor of the directory open when the file's own path
 * is too long; the result is then of use in this process alone.
 */
export function unixSocketPath(file: string): string {
  if (Buffer.byteLength(file) <= UNIX_PATH_BYTES_MAX) return file;
  const directory = openSync(path.dirname(file), 'r');
  return `/proc/self/fd/${String(directory)}/${path.basename(file)}`;
}

/** The supervisor's end of a connection; the worker's is native (native/net/control_link.h). */
export class ControlChannel {
  readonly #socket: Socket;

  /** `onClose` is called once, whoever closed; with a problem when the other end says what cannot be read. */
  constructor(
    socket: Socket,
    onEnvelope: (envelope: Envelope) => void,
    onClose: (problem: string | null) => void,
  ) {
    this.#socket = socket;
    const reader = new FrameReader(onEnvelope);
    let problem: string | null = null;
    socket.on('data', (chunk: Buffer) => {
      if (problem !== null) return;
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        problem = error.message;
        socket.destroy();
      }
    });
    // 'close' follows and tells.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      onClose(problem);
    });
  }

  /** Lost silently when the other end is gone: `onClose` tells of that. */
  send(envelope: Envelope): void {
    if (this.#socket.writable) this.sendFrame(encodeFrame(envelope));
  }

  /** One encoded envelope; spares encoding it once per worker. */
  sendFrame(frame: Buffer): void {
    if (this.#socket.writable) this.#socket.write(frame);
  }

  close(): void {
    this.#socket.destroy();
  }
}
