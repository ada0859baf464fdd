/** The shared memory as TypeScript sees it; layout in native/core/shared_block.h. */

/** A mapping of the block. Supervisors map all of it writable; in workers the control page is read-only. */
export interface SharedBlock {
  readonly workers: number;
  /** Random, below 2^53; the same in every process that maps the block. */
  readonly id: number;
  readonly entitySlotsMax: number;
  readonly addressSlotsMax: number;
  readonly deploymentSlotsMax: number;
  readonly refusalsMax: number;
  /** The active revision; 0 before the first publish. */
  activeRevision(): number;
  /** Supervisor only: the store that makes a revision effective. */
  setActiveRevision(revision: number): void;
  /** Raised by every change that may take a right away. */
  authEpoch(): number;
  /** Supervisor only: empties every worker's cache of tokens at once; answers the new epoch. */
  raiseAuthEpoch(): number;
  /** Raised by every change of tokens, principals or keys. */
  accessVersion(): number;
  /** Supervisor only: nobody is judged by an older copy from here on; answers the new version. */
  raiseAccessVersion(): number;
  /** Sum over all columns, the retired one included: answers by class that JS relayed (5), 17 latency buckets, latency sum in ms, in flight, answers by class of the native door (5). */
  readEntity(slot: number, into: Float64Array): void;
  /**
   * Sum over all columns: requests, connects, connect failures, in flight, idle connections, retries, failures,
   * ejections, workers that eject it now; and the milliseconds until the last of these ends it.
   */
  readAddress(slot: number, into: Float64Array): void;
  /** Sum over all columns: in flight, waiting, refused as full, refused after the deadline. */
  readDeployment(slot: number, into: Float64Array): void;
  /** Sum over all columns, by number of the code. */
  readRefusals(into: Float64Array): void;
  /** Sum over all columns: connections refused at the limit of connections. */
  connectionsRefused(): number;
  /**
   * Of one worker: heartbeat, revision, oldest revision, revisions held, connections open, requests in flight,
   * connections refused.
   */
  readWorker(worker: number, into: Float64Array): void;
  /**
   * Supervisor only, once the worker's exit is confirmed: its counters go to the retired column, its column is zeroed,
   * and with it what it held of limits. Wake the other workers then.
   */
  retire(worker: number): void;
  clearEntity(slot: number): void;
  clearAddress(slot: number): void;
  clearDeployment(slot: number): void;
  close(): void;
}

/** Numbers that `readEntity` writes. */
export const ENTITY_NUMBERS = 5 + 17 + 2 + 5;
/** Numbers that `readAddress` writes. */
export const ADDRESS_NUMBERS = 10;
/** Numbers that `readDeployment` writes. */
export const DEPLOYMENT_NUMBERS = 4;
/** Numbers that `readWorker` writes. */
export const WORKER_NUMBERS = 7;

export interface SharedBlockAddon {
  /** A new sealed block: mapping and the two descriptors that workers inherit (close-on-exec here). */
  createSharedBlock(workers: number): {
    block: SharedBlock;
    controlDescriptor: number;
    columnsDescriptor: number;
  };
  /** Maps an inherited block in a worker; throws when it is none, of another layout, or not sealed. */
  openSharedBlock(controlDescriptor: number, columnsDescriptor: number): SharedBlock;
  /** A descriptor by which one worker wakes another (eventfd; close-on-exec here). */
  createWakeDescriptor(): number;
  wake(descriptor: number): void;
  /** A listening Unix socket that takes descriptors (mode 0600); answers its descriptor. */
  listenForDescriptors(path: string): number;
  /** Descriptors that one peer has sent, null when none has come yet. Never blocks. */
  receiveDescriptors(listener: number): number[] | null;
  /** Sends the descriptors to the socket at `path`; blocks until the kernel has them. Throws an Error with `code`. */
  sendDescriptors(path: string, descriptors: readonly number[]): void;
}
