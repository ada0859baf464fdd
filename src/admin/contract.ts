/**
 * What the admin port needs of the rest of the daemon. The composition root fills it in; tests fill
 * it in with small real parts. Nothing here knows of processes, sockets or the store.
 */
import type { FastifyBaseLogger } from 'fastify';
import type { Caller } from '../auth/authenticator.js';
import type { StoredIdentities } from '../auth/stored-identities.js';
import type { ControlPlane, WorkerStatus } from '../control/control-plane.js';
import type { RefusalStats } from '../control/stats.js';
import type { RelayedCalls } from './relayed-calls.js';
import type { OidcServices } from './routes/oidc.js';

export interface Readiness {
  readonly ready: boolean;
  /** Why not, as a sentence for operators; empty when ready. */
  readonly reason: string;
}

/** The supervisor as the admin port sees it. */
export interface SupervisorView {
  /** A look at the shared memory: no worker is asked. */
  workers(): WorkerStatus[];
  /** Requests that workers answered by themselves, summed over all of them. */
  refusals(): RefusalStats[];
  ready(): Readiness;
  /** Base URL of the data port as this process reaches it, e.g. `http://127.0.0.1:8080`. */
  dataPlaneUrl(): string;
}

/** Text exposition of the metrics; src/telemetry/metrics.ts makes one. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

export interface AdminOptions {
  readonly control: ControlPlane;
  /**
   * Null: no usable credential. Takes the Authorization field as it came (Bearer, or Basic user
   * `token`) and the client's address.
   */
  readonly authenticate: (
    authorization: string | undefined,
    address: string,
  ) => Promise<Caller | null>;
  readonly identities: StoredIdentities;
  /** Absent: there are none. */
  readonly relayed?: RelayedCalls;
  /** Shown as the organisation's id to who asks who it is. */
  readonly workspaceId: string;
  readonly supervisor: SupervisorView;
  readonly metrics: MetricsSource;
  readonly logger: FastifyBaseLogger;
  readonly version: string;
  /** True: every admin listener is on a loopback address. `/metrics` then needs no credential. */
  readonly loopbackOnly: boolean;
  /**
   * Host names (without port) taken in `Host`, lower case. Empty: any name on a non-loopback
   * listener; on loopback listeners only loopback names, so that a web page cannot reach the port
   * by rebinding a name.
   */
  readonly allowedHosts: readonly string[];
  /** Absent: no tokens are issued here, and the paths are unknown. */
  readonly oidc?: OidcServices;
  /** How long `?wait=all` of the manifest waits, in milliseconds: the deadline of an update. */
  readonly updateDeadlineMs: number;
}
