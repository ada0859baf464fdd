/**
 * What the addon offers, call by call: units, thread, ownership, failure. Types only.
 *
 * Everything runs on the thread of the environment that loaded the addon. Strings cross as latin1 unless a
 * line says otherwise. The C++ side re-checks only what memory safety needs: validation is JS's.
 */
import type { SharedBlock, SharedBlockAddon } from './shared-block.js';

/** Bits of `flags` in an event; same in native/binding/engine_binding.cc. */
export const EventFlag = {
  /** `status`, `contentLength` and `fields` are those of the answer's head. */
  HEAD: 1,
  /** The answer is complete; the id is free. */
  END: 2,
  /** There is no (complete) answer; `status` is a FailureCode; the id is free. */
  FAILED: 4,
  /** The replica took the waiting request bytes; more are welcome. */
  DRAIN: 8,
  /** With HEAD: the answer has no body whatever its fields say (HEAD, 204, 304). */
  NO_BODY: 16,
  /** With FAILED: the head was relayed, so the client's answer must be broken off. */
  HEAD_RELAYED: 32,
  /** It waited under a limit, and what spoke for it may not hold any more: `proceed` or `cancel`. */
  DOUBT: 64,
} as const;

/** Why an exchange has no (complete) answer; same numbers in native/net/exchange.h. */
export const FailureCode = {
  NO_READY_ADDRESS: 1,
  CONNECT_FAILED: 2,
  CONNECT_TIMEOUT: 3,
  CONNECTION_LIMIT: 4,
  CLOSED_BEFORE_ANSWER: 5,
  BAD_ANSWER: 6,
  RESPONSE_HEADER_TIMEOUT: 7,
  TOTAL_TIMEOUT: 8,
  TRUNCATED: 9,
  BODY_IDLE_TIMEOUT: 10,
  BAD_REQUEST: 11,
  OUT_OF_MEMORY: 12,
  LOOP: 13,
  DEPLOYMENT_LIMIT: 20,
  DEPLOYMENT_QUEUE_FULL: 21,
  DEPLOYMENT_QUEUE_TIMEOUT: 22,
  ENTITY_LIMIT: 23,
  ENTITY_QUEUE_FULL: 24,
  ENTITY_QUEUE_TIMEOUT: 25,
} as const;

/** Negative answers of `start`: nothing was started. */
export const StartRefusal = {
  NO_SNAPSHOT: -1,
  NO_ENDPOINT: -2,
  NO_ENTITY: -3,
  /** Nothing serves the picked entity; `pickedEntity` names it. */
  NO_DEPLOYMENT: -4,
  /** The deployment relays POST only. */
  METHOD_NOT_ALLOWED: -5,
  /** The token is not known, or not any more: verify it, `rememberToken`, and start again. */
  UNKNOWN_TOKEN: -6,
  /** The token does not open the endpoint. */
  FORBIDDEN: -7,
  /** By this URL the endpoint takes only tokens that name it. */
  ROUTE_TOKEN: -8,
  /** The worker has no memory for one more; `pickedEntity` names the one picked. */
  OUT_OF_MEMORY: -9,
  /** After `startNothing`. */
  TAKEN_OVER: -10,
} as const;

/**
 * Called from loop events only, never from inside a call of the engine; must not throw.
 * `fields`: end-to-end fields, `name: value\r\n` each. The body lies in the read buffer and is gone after the
 * call. `contentLength` -1: unknown.
 */
export type OnEvent = (
  id: number,
  flags: number,
  status: number,
  contentLength: number,
  fields: string,
  bodyOffset: number,
  bodyBytes: number,
) => void;

/** An answer of the front's own; `body` is JSON with `{endpoint}`, `{served}` and `{reason}` to be filled in. */
export interface RefusalText {
  readonly status: number;
  readonly codeNumber: number;
  readonly code: string;
  readonly body: string;
  /** 0: none. */
  readonly retryAfterS: number;
  /** Empty: none. */
  readonly allow: string;
  /** Value of `www-authenticate`; empty: none. */
  readonly challenge: string;
}

export interface FrontSettings {
  readonly workspaceId: string;
  readonly authRequired: boolean;
  /** False: every request takes the JS door. */
  readonly fastPath: boolean;
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  /** Behind the endpoint's id in host names; empty: none. */
  readonly servingDomain: string;
  /** In the order of native/front/refusal.h. */
  readonly refusals: readonly RefusalText[];
}

/** What a verified token opens; judged against an endpoint's `readers` at each dispatch. */
export interface TokenTerms {
  /** Every endpoint, whatever its grants say. */
  readonly everything: boolean;
  /** Nothing but `endpoints`. */
  readonly limited: boolean;
  /** Ids of the principal and its groups. */
  readonly holders: readonly number[];
  /** Ids; names too with `byName`, which mean whichever endpoint has them at dispatch. */
  readonly endpoints: readonly string[];
  readonly byName: boolean;
}

/** `verifiedJson`: what the token says, as the keys of the present trust have proved; empty: not known. */
export type OnUnknownToken = (connection: number, generation: number, verifiedJson: string) => void;

/** For `steerConnections`. */
export const ANY_SOCKET = -1;

export interface Engine {
  /**
   * Builds the revision aside, from the active or a prepared one. It takes over by itself at the first dispatch after
   * the shared block names it. `envelope`: an encoded Envelope that holds a Prepare (proto/control.proto), read where it
   * is. Throws an Error that says what cannot be built, or that the base is unknown.
   */
  prepare(envelope: Uint8Array): void;
  /** Lets the shared block's revision take over without waiting for a dispatch or a beat, and frees what is older. */
  commit(): void;
  /** Drops a prepared revision; unknown ones are ignored. */
  discard(revision: number): void;
  /**
   * Connects to control.sock (native/net/control_link.h), in place of the connection before. Prepares, discards and
   * addresses that come are acted on by the engine itself, everything else goes to `onEnvelope`, encoded, one per turn of
   * the loop. `onFault`: addresses that cannot be used. `onLost` is called once, after what had come. False: nobody is
   * there, and none of them is called. `path`: UTF-8, of at most 107 bytes.
   */
  openControl(
    path: string,
    onEnvelope: (envelope: Buffer) => void,
    onFault: (problem: string) => void,
    onLost: () => void,
  ): boolean;
  /** A whole frame, copied; lost silently when the connection is. */
  sendControl(frame: Uint8Array): void;
  /**
   * Dispatches one request under the active snapshot. `entity` empty: drawn by the endpoint's split.
   * Answers the exchange's id, or a StartRefusal. Writes the revision to `dispatched`. Copies all it is given.
   * `fields`: as received, `name: value\r\n` each.
   * `contentLength` -1: unknown, relayed chunked. `authorization`: looked up among the remembered tokens; null: the
   * caller may query everything. `byRoute`: by the URL of route-optimized endpoints. `hostId`: endpoint id that the
   * host names, or ''.
   */
  start(
    endpoint: string,
    entity: string,
    method: string,
    query: string,
    fields: string,
    clientAddress: string,
    requestId: string,
    contentLength: number,
    body: ArrayBuffer,
    last: boolean,
    authorization: string | null,
    byRoute: boolean,
    hostId: string,
  ): number;
  /** Name (UTF-8) of the entity that the last `start` picked; only what picked one changes it. */
  pickedEntity(): string;
  /**
   * After DOUBT: judges the request's claim again and lets it go on. Answers 0 or a StartRefusal; after one it keeps its
   * place still. The strings as in `start`.
   */
  proceed(
    id: number,
    endpoint: string,
    authorization: string,
    byRoute: boolean,
    hostId: string,
  ): number;
  /** More of the request's body; copied. Answers the bytes that wait for the replica: pause past the limit, until DRAIN. */
  sendBody(id: number, body: ArrayBuffer, last: boolean): number;
  /** Stops reading the answer; events already under way may still come. */
  pause(id: number): void;
  resume(id: number): void;
  /** The client is gone: the replica's connection is closed, no event follows. Unknown ids are ignored. */
  cancel(id: number): void;
  /** Counts an answer of the worker's own, by number of its code. */
  countRefusal(code: number): void;
  /** Says that the loop turns; a revision that became active since the last beat takes over, as in `commit`. */
  beat(): void;
  requestsInFlight(): number;
  /**
   * Prepares the hand-over of accepted connections to the uWebSockets.js app of `listenSocket`. `binaryPath`: the
   * file of its binary (UTF-8). Answers '' or why it is impossible.
   */
  attach(listenSocket: unknown, binaryPath: string): string;
  /**
   * Accepts from the descriptor too, which it takes over; at most `connectionsMax` connections are open over all
   * descriptors. Throws if it cannot.
   */
  accept(descriptor: number, connectionsMax: number): void;
  /**
   * Closes the descriptors. `takeWaiting`: accepts the connections that wait in them first; without it they are left to
   * the other processes that have them.
   */
  stopAccepting(takeWaiting: boolean): void;
  /**
   * Puts the front before accepted connections: request parser, native door, and uWebSockets.js behind connections of
   * its own. Call once, attached, before `accept`; without it accepted connections go to uWebSockets.js as they are.
   * `onUnknownToken` is called from loop events; answer with `admit`, `admitVerified` or `reject`, now or later.
   */
  openFront(settings: FrontSettings, onUnknownToken: OnUnknownToken): void;
  /**
   * Makes a token lane (native/front/token_lane.h), in place of the one before, and answers the descriptor of its other
   * end, which is the caller's; -1: there is none to be had. What the lane does not refuse comes by `onUnknownToken`.
   * `onLost` is called once, from a loop event, when the other end was closed or says nothing any more.
   */
  openTokenLane(onLost: () => void): number;
  /** Ends the lane, whose other end nobody has: `onLost` is not called. */
  closeTokenLane(): void;
  /** Of the keys that verdicts of the lane must come from; uint32. */
  setTrustVersion(version: number): void;
  /** The Authorization value of a waiting connection; empty when it waits no more. */
  authorizationOf(connection: number, generation: number): string;
  /** The token of a waiting connection is good, and remembered. Connections that wait no more are ignored. */
  admit(connection: number, generation: number): void;
  /**
   * The same, and it is to be remembered as by `rememberToken`. `verifiedJson` is what `onUnknownToken` got, `trustVersion` the
   * one of that moment.
   */
  admitVerified(
    connection: number,
    generation: number,
    epoch: number,
    expiresAtMs: number,
    terms: TokenTerms,
    verifiedJson: string,
    trustVersion: number,
  ): void;
  /** `refusal`: its number in the list that openFront got. */
  reject(connection: number, generation: number, refusal: number): void;
  /**
   * The Authorization value is good while the block's auth epoch is `epoch`, until `expiresAtMs` (Unix
   * time; 0: for ever), and opens what `terms` says. Both doors look here; works without a front too. `verifiedJson`: what
   * the keys of `trustVersion` have proved that the token says; empty: nothing.
   */
  rememberToken(
    authorization: string,
    epoch: number,
    expiresAtMs: number,
    terms: TokenTerms,
    verifiedJson: string,
    trustVersion: number,
  ): void;
  /** What was remembered as proved by the keys of `trustVersion`, whatever the verdict was and is; empty: nothing. */
  proofOf(authorization: string, trustVersion: number): string;
  /** Connections of the front are closed behind their next answer. */
  drainFront(): void;
  /**
   * Every further request is refused, by the front too, and those that wait under a limit when they get their place,
   * if they came with a token: another process has taken over.
   */
  startNothing(): void;
  /** Connections of the front with a request or an answer under way. */
  busyConnections(): number;
  /** One accepted connection is closed; not called for those of the front. */
  connectionClosed(): void;
  /** Cancels everything and frees the native parts; later calls throw or do nothing. */
  close(): void;
}

export interface Addon extends SharedBlockAddon {
  readonly constants: {
    readonly readBufferBytes: number;
    readonly requestBufferBytesMax: number;
    readonly latencyBucketsMs: readonly number[];
  };
  /**
   * `readBuffer`: of constants.readBufferBytes; `dispatched`: one number. Both are written by native code. It counts in
   * the block's column `slot`, which must be nobody else's. `wakeDescriptors`: one per column, by which the engines of
   * the columns wake each other; they stay the caller's. Empty: there is no other. Throws an Error when its own cannot
   * be watched: requests that wait for a limit would not hear of places.
   */
  readonly Engine: new (
    onEvent: OnEvent,
    readBuffer: Uint8Array,
    dispatched: Float64Array,
    block: SharedBlock,
    slot: number,
    wakeDescriptors: readonly number[],
  ) => Engine;
  /**
   * Opens a listening TCP socket on an IP literal (UTF-8) and answers its descriptor, close-on-exec. `shared`:
   * with SO_REUSEPORT. Throws an Error with `code` (EADDRINUSE, ...).
   */
  listenTcp(host: string, port: number, backlog: number, shared: boolean): number;
  /**
   * From now on new connections to the sockets that share the address of `descriptor` (listenTcp, shared) go to those
   * at `places` alone, in the order in which they began to listen; connections that wait stay where they are. At
   * least one place; ANY_SOCKET is none, and leaves the choice to the kernel. False: the kernel does not do it, and
   * nothing has changed.
   */
  steerConnections(descriptor: number, places: readonly number[]): boolean;
  /**
   * Whether the listening socket answers who wants to connect; handshakes under way end either way. It holds for all
   * processes that have the socket, and is the last call to it that counts. False: the kernel does not do it.
   */
  answerConnects(descriptor: number, areAnswered: boolean): boolean;
  portOf(descriptor: number): number;
  /** Locks the file (made with mode 0600) for as long as the answered descriptor is open; -1: somebody else holds it. */
  lockFile(path: string): number;
  closeDescriptor(descriptor: number): void;
  /**
   * Makes the thread that starts processes; it keeps the priority that the caller has now. `spawnProcess` makes it
   * when it was not asked for.
   */
  openNursery(): void;
  /**
   * Starts a process and answers its id; waits for that, some milliseconds. `arguments`: path of the program first;
   * `environment`: NAME=value, all there is. Its standard input is empty, its output is that of this process, and
   * it gets copies of `descriptors` as 3 and following. `onExit` is called once, later; until then the id is nobody
   * else's. Keeps the event loop alive until then. Throws an Error with `code` (EAGAIN, ...).
   */
  spawnProcess(
    arguments_: readonly string[],
    environment: readonly string[],
    descriptors: readonly number[],
    onExit: (code: number | null, signal: number | null) => void,
  ): number;
  /**
   * Of all threads of this process but the nursery: time slice in µs, and how much nicer they become. Threads that are
   * started later inherit it. False: not taken by all, for another policy or in a sandbox. A kernel older than 6.12
   * knows no slices.
   */
  yieldToWorkers(sliceUs: number, niceAdded: number): boolean;
  /**
   * Of the calling thread: a time slice in µs, the kernel's shortest is 100, so that it interrupts what has a longer one.
   * Threads that it starts later have the kernel's own again. False as above.
   */
  runAtOnce(sliceUs: number): boolean;
  /**
   * This process, and those that it starts, leave no memory behind when they crash: no core file, and an empty one where
   * a handler takes it all the same. False: one of the two could not be had.
   */
  disableCoreDumps(): boolean;
  /**
   * The allocator keeps up to 8 MiB of what this process has freed, rather than give it back with every request.
   * False: it knows no such setting.
   */
  keepFreedMemory(): boolean;
}
