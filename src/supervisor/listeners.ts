/**
 * The listening sockets of the data port: opened by the supervisor or taken over from an earlier one's workers,
 * kept for its whole life, inherited by the workers, so that connections that wait in them survive a worker.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { formatListenAddress, type ListenAddress } from '../config/listen-address.js';
import { invalidField, messageOf } from '../core/errors.js';
import { LISTEN_BACKLOG } from '../core/limits.js';
import { ANY_SOCKET, type Addon } from '../native/contract.js';

/** A listening socket and what it is bound to; the host is an IP literal. */
export interface BoundSocket {
  readonly address: ListenAddress;
  readonly descriptor: number;
}

export interface Listeners {
  /** Where clients connect, ports filled in; in the order of the setting. */
  readonly addresses: readonly ListenAddress[];
  readonly socketsBySlot: readonly (readonly BoundSocket[])[];
  /**
   * A descriptor of every address whose sockets began to listen in the order of the slots. Not so where some were
   * received: the kernel's order of those is not known.
   */
  readonly ordered: readonly number[];
}

/** What `openListeners` needs of the addon. */
export type ListenCalls = Pick<
  Addon,
  'listenTcp' | 'portOf' | 'closeDescriptor' | 'steerConnections' | 'answerConnects'
>;

/**
 * One socket per address and slot; SO_REUSEPORT shares the connections out among the slots. Received sockets of
 * wanted addresses are used first, because connections may wait in them: those beyond the slots go to slot 0.
 * The others are closed.
 * @throws PointsmanError that names the address when it cannot be listened on.
 */
export async function openListeners(
  calls: ListenCalls,
  wanted: readonly ListenAddress[],
  slots: number,
  received: readonly BoundSocket[] = [],
): Promise<Listeners> {
  const addresses: ListenAddress[] = [];
  const ordered: number[] = [];
  const socketsBySlot: BoundSocket[][] = Array.from({ length: slots }, () => []);
  const hosts = await resolveAll(wanted);
  const found = match(
    wanted.map(({ port }, index) => ({ host: hosts[index] ?? '', port })),
    received,
  );
  for (const [index, { host, port }] of wanted.entries()) {
    const ip = hosts[index] ?? host;
    const sockets = found[index] ?? [];
    const isOrdered = sockets.length === 0;
    try {
      const isOurs = received.some(({ address }) => overlaps(address, { host: ip, port }));
      const taken = sockets[0]?.address.port ?? (isOurs ? port : takePort(calls, ip, port));
      const bound = { host: ip, port: taken };
      addresses.push({ host, port: bound.port });
      while (sockets.length < slots) {
        const descriptor = calls.listenTcp(ip, bound.port, LISTEN_BACKLOG, true);
        sockets.push({ address: bound, descriptor });
      }
    } catch (error) {
      throw cannotListen(wanted, index, error);
    }
    const [{ descriptor }] = sockets as [BoundSocket];
    if (isOrdered) ordered.push(descriptor);
    // Whoever had them before may have steered past a slot, or have been about to end.
    else calls.steerConnections(descriptor, [ANY_SOCKET]);
    for (const socket of sockets) calls.answerConnects(socket.descriptor, true);
    for (const [place, socket] of sockets.entries()) {
      socketsBySlot[place < slots ? place : 0]?.push(socket);
    }
  }
  const used = new Set(socketsBySlot.flat());
  for (const socket of received) if (!used.has(socket)) calls.closeDescriptor(socket.descriptor);
  return { addresses, socketsBySlot, ordered };
}

/** From now on nobody who wants to connect is answered; who waits already is not touched. */
export function answerNoConnects(
  calls: Pick<ListenCalls, 'answerConnects'>,
  { socketsBySlot }: Listeners,
): void {
  for (const { descriptor } of socketsBySlot.flat()) calls.answerConnects(descriptor, false);
}

/** Closes the sockets of these slots, as far as they are this process's. @returns what is left */
export function withoutSlots(
  calls: Pick<ListenCalls, 'closeDescriptor'>,
  listeners: Listeners,
  slots: Iterable<number>,
): Listeners {
  const socketsBySlot = [...listeners.socketsBySlot];
  for (const slot of slots) {
    for (const { descriptor } of socketsBySlot[slot] ?? []) calls.closeDescriptor(descriptor);
    socketsBySlot[slot] = [];
  }
  return { ...listeners, socketsBySlot, ordered: [] };
}

/**
 * Refuses what `openListeners` would refuse, before anybody gives a socket away.
 * @param held addresses whose sockets will be received
 * @throws PointsmanError that names the address
 */
export async function checkListenable(
  calls: ListenCalls,
  wanted: readonly ListenAddress[],
  held: readonly ListenAddress[],
): Promise<void> {
  const hosts = await resolveAll(wanted);
  for (const [index, { host, port }] of wanted.entries()) {
    const ip = hosts[index] ?? host;
    if (port === 0 || held.some((address) => overlaps(address, { host: ip, port }))) continue;
    try {
      takePort(calls, ip, port);
    } catch (error) {
      throw cannotListen(wanted, index, error);
    }
  }
}

/** Without SO_REUSEPORT neither can be bound while somebody listens on the other. */
function overlaps(one: ListenAddress, other: ListenAddress): boolean {
  if (one.port !== other.port || isIP(one.host) !== isIP(other.host)) return false;
  const hosts = [one.host, other.host];
  return one.host === other.host || hosts.includes('0.0.0.0') || hosts.includes('::');
}

/**
 * Received sockets by index of the wanted address that they serve. A wanted port 0 means any port, so it takes
 * one that no other wanted address names.
 */
function match(
  wanted: readonly ListenAddress[],
  received: readonly BoundSocket[],
): BoundSocket[][] {
  const groups = new Map<string, BoundSocket[]>();
  for (const socket of received) {
    const key = formatListenAddress(socket.address);
    groups.set(key, [...(groups.get(key) ?? []), socket]);
  }
  const take = (key: string | undefined): BoundSocket[] => {
    if (key === undefined) return [];
    const group = groups.get(key) ?? [];
    groups.delete(key);
    return group;
  };
  const exact = wanted.map((address) =>
    address.port === 0 ? [] : take(formatListenAddress(address)),
  );
  return wanted.map(({ host, port }, index) => {
    if (port !== 0) return exact[index] ?? [];
    const free = [...groups].find(([, [socket]]) => socket?.address.host === host);
    return take(free?.[0]);
  });
}

function resolveAll(wanted: readonly ListenAddress[]): Promise<string[]> {
  return Promise.all(wanted.map((address, index) => resolve(wanted, address, index)));
}

async function resolve(
  wanted: readonly ListenAddress[],
  { host }: ListenAddress,
  index: number,
): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw cannotListen(wanted, index, error);
  }
}

/**
 * Binds without SO_REUSEPORT first, because with it a second daemon would share the port of a first one
 * unnoticed. Answers the port, chosen by the system for 0.
 */
function takePort(calls: ListenCalls, host: string, port: number): number {
  const descriptor = calls.listenTcp(host, port, 1, false);
  const taken = calls.portOf(descriptor);
  calls.closeDescriptor(descriptor);
  return taken;
}

function cannotListen(wanted: readonly ListenAddress[], index: number, error: unknown): Error {
  const key = wanted.length === 1 ? 'data_plane.listen' : `data_plane.listen[${String(index)}]`;
  const address = wanted[index];
  const where = address === undefined ? '' : formatListenAddress(address);
  return invalidField(key, `cannot listen on ${where}: ${explain(error)}`);
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
