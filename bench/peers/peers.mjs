/**
 * The proxies that pointsman is held against. A peer: `name`; `missing()`, null or the command that installs it; `version()`;
 * `start({ cores, ports, workload })`, which resolves with { port, path, headers, proxyPids, supportPids, stop() } once it serves.
 * `proxyPids` are the processes whose CPU counts, pinned to the proxy core.
 */
import { fastify } from './fastify.mjs';
import { haproxy } from './haproxy.mjs';
import { nginx } from './nginx.mjs';

export const PEERS = [nginx, haproxy, fastify];
