/**
 * What the supervisor tells a worker process before the two can talk: one environment variable of
 * JSON.
 */

export const WORKER_LAUNCH_VARIABLE = 'POINTSMAN_WORKER';

/** First descriptor of the inherited listening sockets; the others follow it. */
export const FIRST_LISTEN_DESCRIPTOR = 3;

export interface WorkerLaunch {
  readonly slot: number;
  /** Folder of control.sock, absolute. */
  readonly stateDir: string;
  /** Listening sockets, from FIRST_LISTEN_DESCRIPTOR on. */
  readonly listeners: number;
  readonly logLevel: string;
  readonly logReadable: boolean;
}
