/** What a control plane is made of, and how the supervisor runs it. */
import type { Clock } from '../core/clock.js';
import type { Store } from '../store/store.js';
import type { ControlLogger } from './control-logger.js';
import type { ControlPlane } from './control-plane.js';
import type { DataPlane } from './data-plane.js';
import type { Directory } from './grants.js';
import type { Resolve } from './host-book.js';
import type { Probe } from './probe.js';

export interface ControlPlaneOptions {
  /** Stays open after `stop`; its opener closes it. */
  readonly store: Store;
  readonly dataPlane: DataPlane;
  readonly clock: Clock;
  readonly logger: ControlLogger;
  readonly workspaceId: string;
  /** Origin of the data port as clients see it, without a trailing slash. */
  readonly publicUrl: string;
  /** Behind an endpoint's id in the host names of route-optimized endpoints; empty by default: none. */
  readonly servingDomain?: string;
  /** Principals that grants may name; nobody by default. */
  readonly directory?: Directory;
  /** How long a pending config waits for readiness before its update fails. */
  readonly updateDeadlineMs: number;
  /** Looks up host names of replicas; the system's resolver by default. */
  readonly resolve?: Resolve;
  /** Probes one address; over the network by default. */
  readonly probe?: Probe;
}

export interface RunningControlPlane extends ControlPlane {
  /**
   * Publishes the stored active configs whatever the health of their replicas, then starts probes
   * and deadlines. To be called once, before any change.
   * @throws PointsmanError when the data plane refuses the stored revision.
   */
  start(): Promise<void>;
  /**
   * Ends probes and timers and waits for the change under way. Later changes are refused with 503.
   */
  stop(): Promise<void>;
}
