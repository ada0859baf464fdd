/**
 * What the supervisor tells a worker process before the two can talk: one environment variable of
 * JSON, and descriptors that the process inherits.
 */

export const WORKER_LAUNCH_VARIABLE = 'POINTSMAN_WORKER';

/**
 * Inherited descriptors: the two parts of the shared memory, those by which the workers wake each other, one per slot,
 * then the slot's listening sockets.
 */
export const CONTROL_PAGE_DESCRIPTOR = 3;
export const COLUMNS_DESCRIPTOR = 4;
export const FIRST_WAKE_DESCRIPTOR = 5;

export interface WorkerLaunch {
  readonly slot: number;
  /** Folder of control.sock, absolute. */
  readonly stateDir: string;
  /** Descriptors to wake workers by, from FIRST_WAKE_DESCRIPTOR on. */
  readonly wakes: number;
  /** Listening sockets, behind those. */
  readonly listeners: number;
  readonly logLevel: string;
  readonly logReadable: boolean;
}
