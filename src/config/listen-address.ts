/** `host:port` as the configuration writes listen addresses. */
import { isIP } from 'node:net';

export interface ListenAddress {
  /** IP literal without brackets, or a host name. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

const PORT_MAX = 65_535;
const HOST_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/;

/** `127.0.0.1:8080`, `[::1]:8080`, `localhost:0`; null for anything else. */
export function tryParseListenAddress(text: string): ListenAddress | null {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):([0-9]{1,5})$/.exec(text);
  if (found === null) return null;
  const [, ipv6, name, digits] = found;
  const port = Number(digits);
  if (port > PORT_MAX) return null;
  if (ipv6 !== undefined) return isIP(ipv6) === 6 ? { host: ipv6, port } : null;
  if (name === undefined || (isIP(name) === 0 && !isHostName(name))) return null;
  return { host: name, port };
}

/** All-digit names such as `127.1` are mistyped addresses more often than names. */
function isHostName(name: string): boolean {
  return HOST_NAME.test(name) && !/^[0-9.]+$/.test(name);
}

export function formatListenAddress(address: ListenAddress): string {
  const host = isIP(address.host) === 6 ? `[${address.host}]` : address.host;
  return `${host}:${String(address.port)}`;
}

/** Only this machine can reach it. A name other than localhost may resolve to anything. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  return isIP(name) === 4 ? name.startsWith('127.') : /^::ffff:127\./.test(name);
}

const WILDCARDS: Readonly<Record<number, string>> = { 4: '0.0.0.0', 6: '::' };

/**
 * Whether two listeners would be in each other's way: one address, or all of its family beside one
 * of them. What a name resolves to is not known here.
 */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const [one, two] = [plainHost(a.host), plainHost(b.host)];
  if (one === two) return true;
  const family = isIP(one);
  return family !== 0 && family === isIP(two) && [one, two].includes(WILDCARDS[family] ?? '');
}

/** The one spelling of an address, or of a name. */
function plainHost(host: string): string {
  if (isIP(host) !== 6) return host.toLowerCase();
  return new URL(`http://[${host}]`).hostname.slice(1, -1);
}
