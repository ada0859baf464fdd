/**
 * The shared memory read for people and metrics: sums over all workers and over those that died, by slot number
 * or by worker. Costs the workers nothing.
 */
import type { Counters } from '../control/data-plane.js';
import type {
  AddressStats,
  DeploymentStats,
  EntityStats,
  RefusalStats,
  WorkerGauges,
} from '../control/stats.js';
import { ERROR_CATALOGUE } from '../core/errors.js';
import { LATENCY_BUCKETS_MS } from '../core/limits.js';
import {
  ADDRESS_NUMBERS,
  DEPLOYMENT_NUMBERS,
  ENTITY_NUMBERS,
  WORKER_NUMBERS,
  type SharedBlock,
} from '../native/shared-block.js';

const STATUS_CLASSES = 5;
const BUCKETS_END = STATUS_CLASSES + LATENCY_BUCKETS_MS.length + 1;
/** Workers count refusals by place in this list. */
const REFUSAL_CODES = Object.keys(ERROR_CATALOGUE);

export class Columns implements Counters {
  readonly entitySlotsMax: number;
  readonly addressSlotsMax: number;
  readonly deploymentSlotsMax: number;
  readonly #block: SharedBlock;
  readonly #entity = new Float64Array(ENTITY_NUMBERS);
  readonly #address = new Float64Array(ADDRESS_NUMBERS);
  readonly #deployment = new Float64Array(DEPLOYMENT_NUMBERS);
  readonly #worker = new Float64Array(WORKER_NUMBERS);
  readonly #refusals: Float64Array;

  constructor(block: SharedBlock) {
    this.#block = block;
    this.entitySlotsMax = block.entitySlotsMax;
    this.addressSlotsMax = block.addressSlotsMax;
    this.deploymentSlotsMax = block.deploymentSlotsMax;
    this.#refusals = new Float64Array(block.refusalsMax);
  }

  entity(slot: number): Omit<EntityStats, 'endpoint' | 'entity'> {
    const numbers = this.#entity;
    this.#block.readEntity(slot, numbers);
    const nativeClasses = Array.from(numbers.subarray(BUCKETS_END + 2));
    const jsClasses = Array.from(numbers.subarray(0, STATUS_CLASSES));
    return {
      statusClasses: jsClasses.map((count, index) => count + (nativeClasses[index] ?? 0)),
      latencyBuckets: Array.from(numbers.subarray(STATUS_CLASSES, BUCKETS_END)),
      latencySumMs: numbers[BUCKETS_END] ?? 0,
      inFlight: numbers[BUCKETS_END + 1] ?? 0,
      nativeClasses,
    };
  }

  address(slot: number): Omit<AddressStats, 'deployment' | 'address'> {
    this.#block.readAddress(slot, this.#address);
    const [requests = 0, connects = 0, connectFailures = 0, inFlight = 0, idleConnections = 0] =
      this.#address;
    const [retries = 0, failures = 0, ejections = 0, ejectedWorkers = 0, ejectedForMs = 0] =
      this.#address.subarray(5);
    return {
      requests,
      connects,
      connectFailures,
      inFlight,
      idleConnections,
      retries,
      failures,
      ejections,
      ejectedWorkers,
      ejectedForMs,
    };
  }

  deployment(slot: number): Omit<DeploymentStats, 'deployment' | 'maxInFlight'> {
    this.#block.readDeployment(slot, this.#deployment);
    const [inFlight = 0, waiting = 0, refusedFull = 0, refusedDeadline = 0] = this.#deployment;
    return { inFlight, waiting, refusedFull, refusedDeadline };
  }

  /** Codes that were never answered are left out. */
  refusals(): RefusalStats[] {
    this.#block.readRefusals(this.#refusals);
    return REFUSAL_CODES.map((code, number) => ({
      code,
      count: this.#refusals[number] ?? 0,
    })).filter(({ count }) => count > 0);
  }

  connectionsRefused(): number {
    return this.#block.connectionsRefused();
  }

  worker(slot: number): WorkerGauges {
    this.#block.readWorker(slot, this.#worker);
    const [heartbeat = 0, revision = 0, oldestRevision = 0, revisionsHeld = 0] = this.#worker;
    const [connectionsOpen = 0, requestsInFlight = 0, connectionsRefused = 0] =
      this.#worker.subarray(4);
    return {
      slot,
      heartbeat,
      revision,
      oldestRevision,
      revisionsHeld,
      connectionsOpen,
      requestsInFlight,
      connectionsRefused,
    };
  }

  oldestRevision(): number {
    let oldest = this.#block.activeRevision();
    for (let slot = 0; slot < this.#block.workers; slot += 1) {
      const { revision, oldestRevision } = this.worker(slot);
      // Before its first switch a worker has dispatched nothing.
      if (revision > 0) oldest = Math.min(oldest, oldestRevision);
    }
    return oldest;
  }

  clearEntity(slot: number): void {
    this.#block.clearEntity(slot);
  }

  clearAddress(slot: number): void {
    this.#block.clearAddress(slot);
  }

  clearDeployment(slot: number): void {
    this.#block.clearDeployment(slot);
  }
}
