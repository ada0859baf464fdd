/**
 * What the control plane needs of the processes that carry traffic. The supervisor implements it over its
 * workers; unit tests implement it in memory.
 */
import type { DeploymentAddresses, Snapshot, Stats } from './messages.js';

export interface DataPlane {
  /**
   * Builds the snapshot once with the native code, without making it visible anywhere.
   * @throws PointsmanError INVALID_PARAMETER_VALUE that says what cannot be built.
   */
  trialBuild(snapshot: Snapshot): void;
  /**
   * Prepares the snapshot on every worker, then commits it. When it resolves, no worker dispatches under an
   * older revision. On rejection (TEMPORARILY_UNAVAILABLE: not prepared in time; INTERNAL_ERROR: a worker
   * cannot build it) nothing has changed.
   */
  publish(snapshot: Snapshot): Promise<void>;
  /** Tells every worker of a change in resolution or health; not a revision. */
  updateAddresses(update: DeploymentAddresses): void;
  /** One entry per worker that answers within a second. */
  stats(): Promise<Stats[]>;
}
