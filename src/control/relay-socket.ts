/**
 * The Unix socket by which workers reach the admin port's application, for the calls of the data port that are the
 * supervisor's to answer. The state directory that it lies in is the owner's alone.
 */
import path from 'node:path';
import { unixSocketPath } from './control-socket.js';

const RELAY_SOCKET_FILE = 'relay.sock';
const ENDPOINTS = '/api/2.0/serving-endpoints';
const ENDPOINT = /^\/api\/2\.0\/serving-endpoints\/[A-Za-z0-9_-]{1,128}$/;
export const TOKEN_PATH = '/oidc/v1/token';
const READ = 'GET, HEAD';
const METHODS: ReadonlyMap<string, string> = new Map([
  ['/.well-known/databricks-config', READ],
  ['/oidc/.well-known/oauth-authorization-server', READ],
  ['/oidc/jwks.json', READ],
  [TOKEN_PATH, 'POST'],
  ['/api/2.0/preview/scim/v2/Me', READ],
  [ENDPOINTS, READ],
]);

/**
 * Says who the client of the data port is; believed from the front and on this socket only. Same as kClientAddressField in
 * native/http1/header_rules.h.
 */
export const CLIENT_ADDRESS_FIELD = 'x-pointsman-client';

/** Where both ends find it; see `unixSocketPath`. */
export function relaySocketPath(stateDir: string): string {
  return unixSocketPath(path.join(stateDir, RELAY_SOCKET_FILE));
}

/** Methods that a path takes on the data port, and so on this socket; null: it is not relayed. */
export function relayedMethods(path: string): string | null {
  return METHODS.get(path) ?? (ENDPOINT.test(path) ? READ : null);
}
