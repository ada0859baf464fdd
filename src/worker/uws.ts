/**
 * The one file that imports uWebSockets.js: an app whose connections come from the engine's acceptor.
 *
 * The app listens on a private loopback port for a moment, because only a listen socket leads to its socket
 * context; it is closed in the same turn of the loop, before anything could connect.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { Engine } from '../native/contract.js';

export type { HttpRequest, HttpResponse } from 'uWebSockets.js';

export interface AppOptions {
  readonly engine: Engine;
  /** Clients' own connections are handed to it; without, it gets those of the front. */
  readonly meetsClients: boolean;
  /** Largest head of a request, in bytes; beyond it uWebSockets.js answers 431. */
  readonly maxHeaderBytes: number;
  /** Called for every request; must answer or attach `onAborted` before it returns, and must not throw. */
  readonly onRequest: (response: HttpResponse, request: HttpRequest) => void;
}

/** @throws Error with the reason when connections cannot be handed to uWebSockets.js. */
export function createApp(options: AppOptions): TemplatedApp {
  // Read once, when the binary is loaded.
  process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(options.maxHeaderBytes);
  const require = createRequire(import.meta.url);
  const uws = require('uWebSockets.js') as typeof import('uWebSockets.js');
  // Not in the type declarations. Without it every answer names the library in a field of its own.
  (uws as { _cfg?: (option: string) => void })._cfg?.('silent');
  const app = uws.App();
  if (options.meetsClients) {
    app.filter((_response, count) => {
      if (Number(count) < 0) options.engine.connectionClosed();
    });
  }
  app.any('/*', options.onRequest);
  let refusal = 'it cannot listen on 127.0.0.1';
  app.listen('127.0.0.1', 0, (listenSocket) => {
    if (listenSocket === false) return;
    refusal = options.engine.attach(listenSocket, binaryPath(require));
    uws.us_listen_socket_close(listenSocket);
  });
  if (refusal !== '') throw new Error(`cannot attach to uWebSockets.js: ${refusal}`);
  return app;
}

function binaryPath(require: NodeJS.Require): string {
  const { platform, arch, versions } = process;
  const folder = path.dirname(require.resolve('uWebSockets.js'));
  return path.join(folder, `uws_${platform}_${arch}_${versions.modules}.node`);
}
