/**
 * The Unix socket by which workers reach the admin port's application, for the calls of the data port that are the
 * supervisor's to answer. The state directory that it lies in is the owner's alone.
 */
import path from 'node:path';
import { unixSocketPath } from './control-socket.js';

const RELAY_SOCKET_FILE = 'relay.sock';

/**
 * Says who the client of the data port is; believed from the front and on this socket only. Same as kClientAddressField in
 * native/http1/header_rules.h.
 */
export const CLIENT_ADDRESS_FIELD = 'x-pointsman-client';

/** Where both ends find it; see `unixSocketPath`. */
export function relaySocketPath(stateDir: string): string {
  return unixSocketPath(path.join(stateDir, RELAY_SOCKET_FILE));
}
