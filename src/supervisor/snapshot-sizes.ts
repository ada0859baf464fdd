/**
 * How large the frame is that brings a snapshot to a worker that has none. Changes are sent by what differs, so that
 * many small ones could make a whole that no newborn worker can take.
 *
 * Counted by parts, each encoded once: a change costs what differs.
 */
import { difference } from '../control/delta.js';
import { partBytes, type Snapshot } from '../control/messages.js';
import { PointsmanError } from '../core/errors.js';
import { SNAPSHOT_BYTES_MAX } from '../core/limits.js';

const MIB = 1024 * 1024;

export class SnapshotSizes {
  readonly #parts = new WeakMap<object, number>();
  readonly #wholes = new WeakMap<Snapshot, number>();

  /** Bytes of `next`; `base` is what it was made from. */
  of(next: Snapshot, base: Snapshot | null): number {
    const known = this.#wholes.get(next);
    if (known !== undefined) return known;
    const bytes =
      (base === null ? 0 : this.of(base, null)) +
      this.#added('EndpointRoutes', base?.endpoints, next.endpoints) +
      this.#added('DeploymentSpec', base?.deployments, next.deployments) +
      this.#added('DeploymentAddresses', base?.addresses, next.addresses);
    this.#wholes.set(next, bytes);
    return bytes;
  }

  /**
   * What is served already is not refused, nor what makes it smaller.
   * @throws PointsmanError INVALID_PARAMETER_VALUE
   */
  check(next: Snapshot, base: Snapshot | null): void {
    const bytes = this.of(next, base);
    if (base === null || bytes <= Math.max(SNAPSHOT_BYTES_MAX, this.of(base, null))) return;
    throw new PointsmanError(
      'INVALID_PARAMETER_VALUE',
      `all active endpoints and their deployments together would take ${(bytes / MIB).toFixed(1)} MiB: ` +
        `at most ${String(SNAPSHOT_BYTES_MAX / MIB)} MiB fit`,
    );
  }

  #added<T extends object>(
    type: Parameters<typeof partBytes>[0],
    before: readonly T[] = [],
    after: readonly T[],
  ): number {
    const { gone, fresh } = difference(before, after);
    return this.#sum(type, fresh) - this.#sum(type, gone);
  }

  #sum(type: Parameters<typeof partBytes>[0], parts: readonly object[]): number {
    let sum = 0;
    for (const part of parts) {
      const bytes = this.#parts.get(part) ?? partBytes(type, part);
      this.#parts.set(part, bytes);
      sum += bytes;
    }
    return sum;
  }
}
