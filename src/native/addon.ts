/** Loads the addon: the only file that names it. Refuses one that was built from other sources than these. */
import { createRequire } from 'node:module';
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import { findUp } from '../core/paths.js';
import type { Addon } from './contract.js';

/** Same as kReadBufferBytes and kRequestBufferBytesMax in native/net/exchange.h; compared at load. */
export const READ_BUFFER_BYTES = 128 * 1024;
export const REQUEST_BUFFER_BYTES_MAX = 128 * 1024;

const ADDON_FILE = 'native/build/Release/pointsman.node';

/** @throws Error that says how to build the addon when it is missing or stale. */
export function loadAddon(): Addon {
  const file = findUp(import.meta.dirname, ADDON_FILE);
  if (file === null) throw new Error(`${ADDON_FILE} is missing: run "npm run build"`);
  const addon = createRequire(import.meta.url)(file) as Addon;
  const { constants } = addon;
  const same =
    constants.readBufferBytes === READ_BUFFER_BYTES &&
    constants.requestBufferBytesMax === REQUEST_BUFFER_BYTES_MAX &&
    constants.latencyBucketsMs.join() === LATENCY_BUCKETS_MS.join();
  if (!same) throw new Error(`${file} was built from other sources: run "npm run build"`);
  return addon;
}
