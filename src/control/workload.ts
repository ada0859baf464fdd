/** What the sizes of a served entity mean (reference, section 3.3). */
import type { JsonObject } from './control-plane.js';

/** Requests at once that a workload size scales up to. */
const UPPER_CONCURRENCY: Readonly<Record<string, number>> = { Small: 4, Medium: 16, Large: 64 };

/**
 * Requests at once that an entity of these settings is sized for; 0: they do not say. A provisioned concurrency
 * excludes a workload size. A lower bound alone bounds nothing from above.
 */
export function upperConcurrency(settings: JsonObject): number {
  const provisioned = settings['max_provisioned_concurrency'];
  if (typeof provisioned === 'number') return provisioned;
  const size = settings['workload_size'];
  return typeof size === 'string' ? (UPPER_CONCURRENCY[size] ?? 0) : 0;
}
