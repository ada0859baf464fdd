/**
 * Builds every revision once in the supervisor, with the code of the workers, before it is stored. It follows
 * the active revision like a worker, so that a trial costs what a change costs. Carries no traffic.
 */
import type { Snapshot } from '../control/messages.js';
import { messageOf, PointsmanError } from '../core/errors.js';
import { READ_BUFFER_BYTES } from '../native/addon.js';
import type { Addon, Engine } from '../native/contract.js';
import type { SharedBlock } from '../native/shared-block.js';
import { SnapshotSizes } from './snapshot-sizes.js';

export class TrialEngine {
  readonly #block: SharedBlock;
  readonly #engine: Engine;
  readonly #sizes = new SnapshotSizes();
  #followed: Snapshot | null = null;
  #prepared: Snapshot | null = null;

  constructor(addon: Addon) {
    // Memory of its own: what it counts is nobody's.
    const { block, controlDescriptor, columnsDescriptor } = addon.createSharedBlock(1);
    addon.closeDescriptor(controlDescriptor);
    addon.closeDescriptor(columnsDescriptor);
    this.#block = block;
    this.#engine = new addon.Engine(
      () => undefined,
      new Uint8Array(READ_BUFFER_BYTES),
      new Float64Array(1),
      block,
      0,
      [],
    );
  }

  /**
   * @param envelope encodes a prepare that makes the snapshot of the one that was followed last.
   * @throws PointsmanError INVALID_PARAMETER_VALUE that says what cannot be built.
   */
  build(snapshot: Snapshot, envelope: () => Uint8Array): void {
    if (this.#prepared === snapshot) return;
    this.discard();
    this.#sizes.check(snapshot, this.#followed);
    try {
      this.#engine.prepare(envelope());
    } catch (error) {
      throw new PointsmanError('INVALID_PARAMETER_VALUE', messageOf(error), { cause: error });
    }
    this.#prepared = snapshot;
  }

  discard(): void {
    if (this.#prepared !== null) this.#engine.discard(this.#prepared.revision);
    this.#prepared = null;
  }

  /** What was built last has become active: later trials build on it. */
  follow(): void {
    if (this.#prepared === null) throw new Error('trial: nothing was built');
    this.#block.setActiveRevision(this.#prepared.revision);
    this.#engine.commit();
    this.#followed = this.#prepared;
    this.#prepared = null;
  }

  close(): void {
    this.#engine.close();
    this.#block.close();
  }
}
