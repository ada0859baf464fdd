/**
 * The listening sockets of the data port: opened by the supervisor, kept for its whole life, inherited by the
 * workers, so that connections that wait in them survive a worker.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { formatListenAddress, type ListenAddress } from '../config/listen-address.js';
import { invalidField, messageOf } from '../core/errors.js';
import { LISTEN_BACKLOG } from '../core/limits.js';
import type { Addon } from '../native/contract.js';

export interface Listeners {
  /** Where clients connect, ports filled in; in the order of the setting. */
  readonly addresses: readonly ListenAddress[];
  /** Descriptors by slot, each list in the order of `addresses`. */
  readonly descriptorsBySlot: readonly (readonly number[])[];
}

/**
 * One socket per address and slot; SO_REUSEPORT shares the connections out among the slots.
 * @throws PointsmanError that names the address when it cannot be listened on.
 */
export async function openListeners(
  addon: Addon,
  wanted: readonly ListenAddress[],
  slots: number,
): Promise<Listeners> {
  const addresses: ListenAddress[] = [];
  const descriptorsBySlot: number[][] = Array.from({ length: slots }, () => []);
  for (const [index, address] of wanted.entries()) {
    const key = wanted.length === 1 ? 'data_plane.listen' : `data_plane.listen[${String(index)}]`;
    try {
      const host = isIP(address.host) === 0 ? (await lookup(address.host)).address : address.host;
      const port = takePort(addon, host, address.port);
      addresses.push({ host: address.host, port });
      for (const descriptors of descriptorsBySlot) {
        descriptors.push(addon.listenTcp(host, port, LISTEN_BACKLOG, true));
      }
    } catch (error) {
      throw invalidField(
        key,
        `cannot listen on ${formatListenAddress(address)}: ${explain(error)}`,
      );
    }
  }
  return { addresses, descriptorsBySlot };
}

/**
 * Binds without SO_REUSEPORT first, because with it a second daemon would share the port of a first one
 * unnoticed. Answers the port, chosen by the system for 0.
 */
function takePort(addon: Addon, host: string, port: number): number {
  const descriptor = addon.listenTcp(host, port, 1, false);
  const taken = addon.portOf(descriptor);
  addon.closeDescriptor(descriptor);
  return taken;
}

function explain(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'EADDRINUSE':
      return 'another process listens there; stop it or choose another port';
    case 'EACCES':
      return 'the port needs a privilege that this user does not have';
    case 'EADDRNOTAVAIL':
      return 'the address is not one of this machine';
    default:
      return messageOf(error);
  }
}
