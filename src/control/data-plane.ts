/**
 * What the control plane needs of the processes that carry traffic. The supervisor implements it over its
 * workers; unit tests implement it in memory.
 */
import { PointsmanError } from '../core/errors.js';
import type { DeploymentAddresses, Snapshot } from './messages.js';
import type { AddressStats, DeploymentStats, EntityStats } from './stats.js';

/**
 * Workers cannot build the revision, or die of it. The same again meets the same end, and may cost workers; with
 * TEMPORARILY_UNAVAILABLE on this machine at this time.
 */
export class RevisionRefused extends PointsmanError {
  constructor(
    message: string,
    code: 'INTERNAL_ERROR' | 'TEMPORARILY_UNAVAILABLE' = 'INTERNAL_ERROR',
  ) {
    super(code, message);
  }
}

export interface DataPlane {
  /**
   * Builds the snapshot once with the native code, without making it visible anywhere.
   * @throws PointsmanError INVALID_PARAMETER_VALUE that says what cannot be built.
   */
  trialBuild(snapshot: Snapshot): void;
  /**
   * Prepares the snapshot on every worker, then makes it active everywhere by one store. When it resolves, no
   * worker dispatches under an older revision. On rejection (TEMPORARILY_UNAVAILABLE: not prepared in time;
   * RevisionRefused: a worker cannot build it) nothing has changed.
   * @param whenPrepared called when all workers have prepared it and it is not active yet; what it throws rejects.
   */
  publish(snapshot: Snapshot, whenPrepared?: () => void): Promise<void>;
  /** Tells every worker of a change in resolution or health; not a revision. */
  updateAddresses(update: DeploymentAddresses): void;
  /** Counters by slot number: what the columns hold, summed. Names are the control plane's to add. */
  readonly counters: Counters;
}

/** The columns of the shared memory, by slot number. */
export interface Counters {
  readonly entitySlotsMax: number;
  readonly addressSlotsMax: number;
  readonly deploymentSlotsMax: number;
  entity(slot: number): Omit<EntityStats, 'endpoint' | 'entity'>;
  address(slot: number): Omit<AddressStats, 'deployment' | 'address'>;
  deployment(slot: number): Omit<DeploymentStats, 'deployment' | 'maxInFlight'>;
  /** Oldest revision that any worker may still dispatch under or has a request in flight of. */
  oldestRevision(): number;
  /** Zeroes a slot in every column. Only when `oldestRevision` has passed the last revision that names it. */
  clearEntity(slot: number): void;
  clearAddress(slot: number): void;
  clearDeployment(slot: number): void;
}
