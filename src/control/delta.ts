/**
 * What differs between two snapshots, by object identity: parts that did not change are the same
 * objects in both (compile.ts sees to that), so a change among 10,000 endpoints costs two scans of
 * pointers.
 */
import type { Snapshot, SnapshotDelta } from './messages.js';

/**
 * What a worker that has `base` needs for `next`; null: a worker that has nothing.
 *
 * An endpoint that routes to a deployment of the delta is in the delta too. `addresses` are those
 * of the delta's deployments and of deployments whose list is another than in the base.
 */
export function deltaOf(base: Snapshot | null, next: Snapshot): SnapshotDelta {
  const endpoints = difference(base?.endpoints ?? [], next.endpoints);
  const deployments = difference(base?.deployments ?? [], next.deployments);
  const addresses = difference(base?.addresses ?? [], next.addresses);
  const changed = new Set(deployments.fresh.map(({ name }) => name));
  return {
    revision: next.revision,
    baseRevision: base?.revision ?? 0,
    endpoints: withRoutesTo(changed, endpoints.fresh, next.endpoints),
    removedEndpoints: namesWithout(endpoints),
    deployments: deployments.fresh,
    removedDeployments: namesWithout(deployments),
    addresses: withAddressesOf(changed, addresses.fresh, next.addresses),
  };
}

export interface Difference<T> {
  /** In `before` and not in `after`. */
  readonly gone: T[];
  /** In `after` and not in `before`. */
  readonly fresh: T[];
}

/** By identity. Linear, and only pointers are compared outside the part that moved. */
export function difference<T extends object>(
  before: readonly T[],
  after: readonly T[],
): Difference<T> {
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start += 1;
  let endBefore = before.length;
  let endAfter = after.length;
  while (endBefore > start && endAfter > start && before[endBefore - 1] === after[endAfter - 1]) {
    endBefore -= 1;
    endAfter -= 1;
  }
  const old = before.slice(start, endBefore);
  const young = after.slice(start, endAfter);
  const oldSet = new Set(old);
  const youngSet = new Set(young);
  return {
    gone: old.filter((item) => !youngSet.has(item)),
    fresh: young.filter((item) => !oldSet.has(item)),
  };
}

function namesWithout({ gone, fresh }: Difference<{ readonly name: string }>): string[] {
  const kept = new Set(fresh.map(({ name }) => name));
  return gone.map(({ name }) => name).filter((name) => !kept.has(name));
}

function withRoutesTo(
  deployments: ReadonlySet<string>,
  fresh: Snapshot['endpoints'],
  all: Snapshot['endpoints'],
): Snapshot['endpoints'] {
  if (deployments.size === 0 || fresh.length === all.length) return fresh;
  const included = new Set(fresh);
  return all.filter(
    (endpoint) =>
      included.has(endpoint) ||
      endpoint.entities.some(({ deployment }) => deployments.has(deployment)),
  );
}

function withAddressesOf(
  deployments: ReadonlySet<string>,
  fresh: Snapshot['addresses'],
  all: Snapshot['addresses'],
): Snapshot['addresses'] {
  if (deployments.size === 0 || fresh.length === all.length) return fresh;
  const included = new Set(fresh);
  return all.filter((one) => included.has(one) || deployments.has(one.deployment));
}
