/**
 * What a protocol does with a request on its way to a replica. One row per protocol; the manifest's
 * schema (src/config/manifest.ts) decides which of them a deployment may name.
 */
import { Protocol } from '../control/messages.js';

export interface ProtocolRules {
  /** Appended to the replica's base path. */
  readonly path: string;
  /** Whether the client's query string is passed on. */
  readonly relaysQuery: boolean;
}

const RULES: Readonly<Record<Protocol, ProtocolRules>> = {
  [Protocol.MLFLOW]: { path: '/invocations', relaysQuery: false },
  [Protocol.RAW]: { path: '', relaysQuery: true },
};

/**
 * Request target (origin form) towards a replica.
 * @param basePath of the address, without a trailing slash; may be empty.
 * @param query of the client's request without `?`; may be empty.
 */
export function requestTarget(protocol: Protocol, basePath: string, query: string): string {
  const { path, relaysQuery } = RULES[protocol];
  const target = basePath + path;
  const rooted = target === '' ? '/' : target;
  return relaysQuery && query !== '' ? `${rooted}?${query}` : rooted;
}
