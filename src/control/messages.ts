/**
 * Messages between supervisor and worker: the TypeScript shapes of proto/control.proto and their codec.
 * The two rooms meet only here. All integers fit a double; times are milliseconds.
 */
import protobuf from 'protobufjs';
import { messageOf } from '../core/errors.js';
import { findUp } from '../core/paths.js';
import type { DeletedName } from '../store/identity-tables.js';

export interface Hello {
  slot: number;
  pid: number;
  /** Random number of the shared memory that the worker counts in. */
  blockId: number;
  /** In that memory; it does not change any more when its supervisor is gone. */
  activeRevision: number;
}

export interface Setup {
  workspaceId: string;
  authRequired: boolean;
  credentials: Credential[];
  maxRequestBytes: number;
  maxHeaderBytes: number;
  maxConnections: number;
  mode: WorkerMode;
  /** Behind an endpoint's id in host names; empty: none. */
  servingDomain: string;
  /** Of the keyed hash of access tokens. */
  accessTokenKey: Uint8Array;
}

/** Who may call: the whole of it after the setup, then what differs. */
export interface Access {
  /** The auth epoch that this content belongs to. */
  epoch: number;
  /** Of the content, raised by every change; 0: more of it follows. */
  version: number;
  /** Forget what was sent before. */
  whole: boolean;
  principals: AccessPrincipal[];
  removedPrincipals: number[];
  credentials: AccessCredential[];
  /** Ids. */
  removedCredentials: string[];
  deletedNames: DeletedName[];
  /** A Trust; empty: as before. */
  trustJson: string;
}

/** Who may call, before it is numbered. */
export type AccessContent = Omit<Access, 'epoch' | 'version'>;

export interface AccessPrincipal {
  id: number;
  /** User name, application id or group name. */
  name: string;
  isGroup: boolean;
  active: boolean;
  /** That it belongs to directly. */
  groups: number[];
}

export interface AccessCredential {
  id: string;
  principal: number;
  /** Of an access token; empty: an OAuth secret, which tokens name by its id. */
  hash: Uint8Array;
  /** 0: never. */
  expiresAtMs: number;
}

/** A verified token of an issuer with auto_create names a user that does not exist. */
export interface WantedUser {
  name: string;
  issuer: string;
  /** `iat` of the token. */
  issuedAtS: number;
}

/** Who meets the clients: guard and native door, guard and JS door, or the JS door alone. */
export const WorkerMode = { NATIVE: 0, GUARDED: 1, JS: 2 } as const;
export type WorkerMode = (typeof WorkerMode)[keyof typeof WorkerMode];

export interface Credential {
  tokenSha256: Uint8Array;
  principal: string;
}

/** The compiled, immutable form of a revision. */
export interface Snapshot {
  revision: number;
  endpoints: EndpointRoutes[];
  deployments: DeploymentSpec[];
  /** As known when the snapshot was compiled; `addresses` messages change them later. */
  addresses: DeploymentAddresses[];
}

/** What differs between two revisions. An endpoint that routes to a changed deployment counts as changed. */
export interface SnapshotDelta {
  revision: number;
  /** 0: everything is new. */
  baseRevision: number;
  endpoints: EndpointRoutes[];
  removedEndpoints: string[];
  deployments: DeploymentSpec[];
  removedDeployments: string[];
  /** Of new and changed deployments, as known when the delta was made. */
  addresses: DeploymentAddresses[];
}

export interface EndpointRoutes {
  name: string;
  id: string;
  configVersion: number;
  entities: EntityRoute[];
  /** Ids of the principals and groups that may query it. */
  readers: number[];
  /** At its own URL only tokens that name it are taken. */
  routeOptimized: boolean;
}

export interface EntityRoute {
  name: string;
  /** Parts per million; the shares of an endpoint sum to 1,000,000. */
  sharePpm: number;
  /** Name of a deployment of the same snapshot; empty when nothing serves the entity. */
  deployment: string;
  /** Where the entity is counted in every column of the shared memory. */
  statsSlot: number;
  /** Requests of the entity in flight at once, over all workers; 0: any number. */
  maxInFlight: number;
}

export const Protocol = { MLFLOW: 0, RAW: 1 } as const;
export type Protocol = (typeof Protocol)[keyof typeof Protocol];

export interface DeploymentSpec {
  name: string;
  protocol: Protocol;
  headers: Field[];
  connectMs: number;
  responseHeaderMs: number;
  bodyIdleMs: number;
  /** 0: none. */
  totalMs: number;
  keepaliveIdleMs: number;
  replaySafe: boolean;
  /** Where its requests in flight and waiting are counted in every column of the shared memory. */
  limitSlot: number;
  /** Requests in flight at once, over all workers; 0: any number. */
  maxInFlight: number;
  /** Requests that may wait for a place, over all workers. */
  queueMax: number;
  queueMs: number;
}

export interface Field {
  name: string;
  value: string;
}

export interface DeploymentAddresses {
  deployment: string;
  addresses: Address[];
}

export interface Address {
  /** IP literal, or `unix:/path.sock`. */
  host: string;
  /** 0 for a unix socket. */
  port: number;
  /** Value of Host towards the replica. */
  authority: string;
  /** Path of the replica's URL without a trailing slash; may be empty. */
  basePath: string;
  /** 0 drains. */
  weight: number;
  /** False once a probe found it down. */
  ready: boolean;
  /** Where the address is counted in every column of the shared memory. */
  statsSlot: number;
  /** Epoch milliseconds when probes last found it ready again after they had found it down; 0: never. */
  recoveredAtMs: number;
}

/** Exactly one key is present in a message. */
export interface Envelope {
  hello?: Hello;
  setup?: Setup;
  /** The worker can prepare revisions. */
  setupDone?: Record<string, never>;
  prepare?: { delta: SnapshotDelta };
  /** Answers come in the order of the prepares. `error` empty: ready to commit. */
  prepared?: { error: string };
  commit?: { revision: number };
  committed?: { revision: number };
  addresses?: DeploymentAddresses;
  /** Say "not ready" but accept for `delayMs`, then finish what is in flight within `timeoutMs`. */
  drain?: { delayMs: number; timeoutMs: number };
  /** To a worker of an earlier supervisor: send copies of the listening sockets, and go on accepting. */
  lendSockets?: { socketPath: string };
  /** The worker has sent what it has of them: none, when it accepts no more. */
  socketsLent?: Record<string, never>;
  /** To the same: others serve now; finish what is in flight and end. */
  handover?: { drainTimeoutMs: number };
  /** The worker starts no more requests. */
  handedOver?: Record<string, never>;
  /** What was prepared with this number will not become active. */
  discard?: { revision: number };
  access?: Access;
  /** A token names a key of the issuer that is not known: look again. */
  refreshKeys?: { issuer: string };
  /** That was done; what is new came before it. */
  keysRefreshed?: { issuer: string };
  /** Made by the supervisor, so it need not be verified. `verifiedJson`: a Verified. */
  issuedToken?: { token: string; verifiedJson: string };
  wantedUser?: WantedUser;
}

/** A frame larger than this ends the connection: a snapshot of 10,000 endpoints takes about 3 MiB. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;

const PREFIX_BYTES = 4;
/** Of a field and its length, at most. */
const PART_PREFIX_BYTES = 5;

const PROTO_FILE = 'proto/control.proto';
// Numbers for 64-bit integers: a Long object for each of them costs more than all the rest of a small message.
protobuf.util.Long = null as unknown as typeof protobuf.util.Long;
protobuf.configure();
const root = protobuf.loadSync(findUp(import.meta.dirname, PROTO_FILE) ?? PROTO_FILE);
const envelopeType = root.lookupType('pointsman.control.Envelope');
const ENVELOPE_BODY = 'body';

/** One frame: uint32 little-endian length of the envelope, then the envelope. */
export function encodeFrame(envelope: Envelope): Buffer {
  // The shapes above are the codec's own, so nothing has to be converted.
  const body = envelopeType.encode(envelope).finish();
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame.set(body, PREFIX_BYTES);
  return frame;
}

/** The encoded envelope that a frame carries. */
export function envelopeIn(frame: Buffer): Uint8Array {
  return frame.subarray(PREFIX_BYTES);
}

/** What a part of a snapshot takes in a frame. */
export function partBytes(
  type: 'EndpointRoutes' | 'DeploymentSpec' | 'DeploymentAddresses',
  part: object,
): number {
  return PART_PREFIX_BYTES + root.lookupType(`pointsman.control.${type}`).encode(part).pos;
}

/** Bytes that are no frames of envelopes. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** Collects bytes of a stream and calls `onEnvelope` for every whole frame. */
export class FrameReader {
  readonly #onEnvelope: (envelope: Envelope) => void;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(onEnvelope: (envelope: Envelope) => void) {
    this.#onEnvelope = onEnvelope;
  }

  /** @throws FrameError for a frame over the limit or one that holds no envelope; what `onEnvelope` throws passes. */
  push(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      if (this.#bytes < PREFIX_BYTES) return;
      const first = this.#parts[0];
      const head = first !== undefined && first.length >= PREFIX_BYTES ? first : this.#join();
      const bodyBytes = head.readUInt32LE(0);
      if (bodyBytes > FRAME_BYTES_MAX)
        throw new FrameError(`control frame of ${String(bodyBytes)} bytes`);
      if (this.#bytes < PREFIX_BYTES + bodyBytes) return;
      const whole = this.#join();
      const end = PREFIX_BYTES + bodyBytes;
      this.#parts = whole.length > end ? [whole.subarray(end)] : [];
      this.#bytes -= end;
      this.#onEnvelope(envelopeOf(whole.subarray(PREFIX_BYTES, end)));
    }
  }

  #join(): Buffer {
    const whole = this.#parts.length === 1 ? this.#parts[0] : undefined;
    const joined = whole ?? Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [joined];
    return joined;
  }
}

function envelopeOf(bytes: Uint8Array): Envelope {
  try {
    return decodeEnvelope(bytes);
  } catch (error) {
    throw new FrameError(messageOf(error), { cause: error });
  }
}

/** Fields that were not sent have their defaults from the message's prototype: read them, do not spread them. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const message = envelopeType.decode(bytes) as unknown as Record<string, unknown>;
  const key = message[ENVELOPE_BODY] as keyof Envelope | undefined;
  return key === undefined ? {} : { [key]: message[key] };
}
