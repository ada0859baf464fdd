/**
 * Gets a key set over HTTP. The URL stands in the configuration, but what it leads to is not ours: so nothing but
 * https (http to this machine), no address of link-local or metadata services, also not by a name that resolves to one,
 * no redirect to another origin, a limit on time and on size.
 */
import { lookup as resolveName, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Agent, request, type Dispatcher } from 'undici';
import { keySetUrlFault } from '../config/issuers.js';
import { isLoopback } from '../config/listen-address.js';
import { isRefusedAddress } from '../core/refused-addresses.js';

const TIMEOUT_MS = 5_000;
export const KEY_SET_BYTES_MAX = 256 * 1024;
const REDIRECTS_MAX = 3;
const REDIRECT_STATUSES: readonly number[] = [301, 302, 307, 308];

/** @throws Error that says what is wrong with the source */
export async function fetchKeySet(uri: string): Promise<string> {
  const agent = new Agent({
    connect: { timeout: TIMEOUT_MS, lookup: guardedLookup(uri.startsWith('http:')) },
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  });
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await follow(agent, signal, uri);
  } finally {
    await agent.destroy();
  }
}

async function follow(agent: Dispatcher, signal: AbortSignal, first: string): Promise<string> {
  let uri = first;
  for (let redirects = 0; ; redirects += 1) {
    const fault = keySetUrlFault(uri);
    if (fault !== null) throw new Error(fault);
    const headers = { accept: 'application/json' };
    const answer = await request(uri, { dispatcher: agent, signal, headers });
    if (answer.statusCode === 200) return await readText(answer.body);
    if (!REDIRECT_STATUSES.includes(answer.statusCode)) {
      throw new Error(`answered ${String(answer.statusCode)}`);
    }
    if (redirects >= REDIRECTS_MAX) throw new Error('redirects too often');
    uri = sameOrigin(uri, answer.headers['location']);
  }
}

function sameOrigin(from: string, location: string | string[] | undefined): string {
  const to =
    typeof location === 'string' && URL.canParse(location, from) ? new URL(location, from) : null;
  if (to === null) throw new Error('redirects to nothing');
  if (to.origin !== new URL(from).origin) throw new Error('redirects to another host');
  return to.href;
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > KEY_SET_BYTES_MAX) {
      throw new Error(`is larger than ${String(KEY_SET_BYTES_MAX)} bytes`);
    }
    parts.push(part);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
}

/** Refuses at the moment of connecting, so that a name cannot change its meaning after the check. */
function guardedLookup(loopbackOnly: boolean): LookupFunction {
  return (name, options, callback) => {
    resolveName(name, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      const fault = error ?? addressFault(addresses, loopbackOnly);
      const [first] = addresses;
      if (fault !== null || first === undefined) {
        callback(fault ?? new Error(`${name} has no address`), '', 0);
      } else if (options.all === true) {
        callback(null, addresses);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}

function addressFault(addresses: readonly LookupAddress[], loopbackOnly: boolean): Error | null {
  for (const { address } of addresses) {
    if (isRefusedAddress(address)) {
      return new Error('its name leads to a link-local or metadata address');
    }
    if (loopbackOnly && !isLoopback(address)) {
      return new Error('its name leads to another machine, which takes https');
    }
  }
  return null;
}
