/**
 * What the supervisor tells a worker process before the two can talk: one environment variable of
 * JSON, and descriptors that the process inherits.
 */

export const WORKER_LAUNCH_VARIABLE = 'POINTSMAN_WORKER';

/** Inherited descriptors: the two parts of the shared memory, then the slot's listening sockets. */
export const CONTROL_PAGE_DESCRIPTOR = 3;
export const COLUMNS_DESCRIPTOR = 4;
export const FIRST_LISTEN_DESCRIPTOR = 5;

export interface WorkerLaunch {
  readonly slot: number;
  /** Folder of control.sock, absolute. */
  readonly stateDir: string;
  /** Listening sockets, from FIRST_LISTEN_DESCRIPTOR on. */
  readonly listeners: number;
  readonly logLevel: string;
  readonly logReadable: boolean;
}
