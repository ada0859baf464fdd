/**
 * The JS door of the data port: every request that uWebSockets.js hands over.
 *
 *   onRequest: head read and judged -> path -> credential -> Relay
 *   Relay:     first body bytes -> engine.start (pick, pool, send) -> events -> answer
 *
 * Nothing is answered inside onRequest itself: bytes behind the request in the same packet would then be
 * taken for the next one. Owns the relays of the worker, by exchange id.
 */
import { randomUUID } from 'node:crypto';
import { OAuthError } from '../auth/oauth-error.js';
import { errorCodeNumbers, PointsmanError, type ErrorCode } from '../core/errors.js';
import { READ_BUFFER_BYTES } from '../native/addon.js';
import type { Addon, Engine } from '../native/contract.js';
import type { SharedBlock } from '../native/shared-block.js';
import { beginAnswer, endBodiless, type AnswerIds } from './answer.js';
import { parseInvocationPath } from './invocation-path.js';
import { refusalError } from './refusals.js';
import { Relay } from './relay.js';
import { readHead, type RequestHead } from './request-head.js';
import { relayedPath, type RelayedPath } from '../control/relayed-paths.js';
import {
  RELAYED_BODY_BYTES_MAX,
  type RelayedAnswer,
  type SupervisorRelay,
} from './supervisor-relay.js';
import type { TokenDesk } from './token-desk.js';
import type { HttpRequest, HttpResponse } from './uws.js';

export interface DoorSettings {
  readonly workspaceId: string;
  readonly authRequired: boolean;
  /** Behind an endpoint's id in host names; empty: none. */
  readonly servingDomain: string;
  readonly maxRequestBytes: number;
  readonly maxHeaderBytes: number;
  /** The front stands before it: requests are sound, and say themselves who the client is. */
  readonly guarded: boolean;
}

/** Bytes of a refused request that are read and dropped so that its connection can live on. */
const DISCARD_BYTES_MAX = 64 * 1024;
/** An answer of the supervisor that is left to uWebSockets.js, however slow its client is. */
const HANDED_OVER_BYTES_MAX = 64 * 1024;
const CODE_NUMBERS = errorCodeNumbers();
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

export class Door {
  readonly engine: Engine;
  /** Where the engine puts what replicas send. */
  readonly readBuffer = new Uint8Array(READ_BUFFER_BYTES);
  /** The revision of the last start. */
  readonly dispatched = new Float64Array(1);
  readonly #settings: () => DoorSettings;
  readonly #relays: (Relay | null)[] = [];
  /** Judges tokens that the engine does not know; set before the first request. */
  desk: Pick<TokenDesk, 'check'> | null = null;
  /** For calls that only the supervisor can answer; set before the first request. */
  supervisor: SupervisorRelay | null = null;
  /** Why this worker is not ready; empty when it is. */
  notReady = 'no configuration yet';
  /** Connections are closed behind their answers. */
  draining = false;
  /** Another process has taken over: requests are refused by their heads. The engine refuses those that are further. */
  startsNothing = false;
  /** Relays whose answer is not yet with uWebSockets.js whole. */
  unfinished = 0;

  constructor(
    addon: Addon,
    block: SharedBlock,
    slot: number,
    wakeDescriptors: readonly number[],
    settings: () => DoorSettings,
  ) {
    this.#settings = settings;
    this.engine = new addon.Engine(
      this.#onEvent,
      this.readBuffer,
      this.dispatched,
      block,
      slot,
      wakeDescriptors,
    );
  }

  countRefusal(code: ErrorCode): void {
    this.engine.countRefusal(CODE_NUMBERS[code]);
  }

  track(id: number, relay: Relay): void {
    while (this.#relays.length <= id) this.#relays.push(null);
    this.#relays[id] = relay;
  }

  forget(id: number): void {
    this.#relays[id] = null;
  }

  readonly onRequest = (response: HttpResponse, request: HttpRequest): void => {
    const settings = this.#settings();
    const head = readHead(request, settings.guarded);
    if (this.draining) head.close = true;
    const ids: AnswerIds = {
      databricksRequestId: randomUUID(),
      requestId: '',
      revision: 0,
      servedModel: '',
    };
    ids.requestId = REQUEST_ID.test(head.requestId) ? head.requestId : ids.databricksRequestId;
    const invocation = parseInvocationPath(head.path, settings.workspaceId);
    const refusal = this.#judge(head, invocation !== null, settings);
    if (refusal !== null) {
      this.#refuse(response, head, ids, refusal);
    } else if (invocation === null && relayedPath(head.path) !== null) {
      this.#relayToSupervisor(response, head, ids);
    } else if (invocation === null) {
      this.#answerHealth(response, head, ids);
    } else {
      new Relay(this, response, head, ids, invocation, settings).begin();
    }
  };

  /** What speaks against the request before anything is relayed. */
  #judge(head: RequestHead, isInvocation: boolean, settings: DoorSettings): PointsmanError | null {
    if (head.refusal !== '') return refusalError('malformed', { reason: head.refusal });
    // uWebSockets.js has its eye on heads that come in pieces only.
    const headBytes = head.path.length + head.query.length + head.fields.length;
    if (!settings.guarded && headBytes > settings.maxHeaderBytes) {
      return refusalError('headTooLarge', { headLimit: settings.maxHeaderBytes });
    }
    if (head.method === 'CONNECT' || head.method === 'TRACE') {
      return refusalError('methodUnknown', { reason: head.method });
    }
    if (!isInvocation) return judgeOther(head, settings.authRequired);
    if (this.startsNothing) return refusalError('takenOver');
    if (settings.authRequired && (head.authorization ?? '') === '') {
      return refusalError('unauthenticated');
    }
    if (head.contentLength > settings.maxRequestBytes) {
      return refusalError('bodyTooLarge', { limit: settings.maxRequestBytes });
    }
    return null;
  }

  #relayToSupervisor(response: HttpResponse, head: RequestHead, ids: AnswerIds): void {
    let isGone = false;
    let freePlace = (): void => undefined;
    this.unfinished += 1;
    const leave = (): void => {
      isGone = true;
      this.unfinished -= 1;
      freePlace();
    };
    const finish = (answer: () => void): void => {
      if (isGone) return;
      leave();
      response.cork(answer);
    };
    // The response is not valid any more: touching it throws.
    response.onAborted(leave);
    if (head.clientAddress === '') {
      head.clientAddress = Buffer.from(response.getRemoteAddressAsText()).toString('latin1');
    }
    const fail = (error: PointsmanError, close: boolean): void => {
      this.countRefusal(error.code);
      finish(() => {
        endWithError(response, head.method, ids, error, close, errorForm(head.path, error));
      });
    };
    readSmallBody(response, (body) => {
      const call =
        body === null
          ? Promise.reject(relayedTooLarge())
          : (this.supervisor?.call(head, ids.requestId, body) ?? Promise.reject(noSupervisor()));
      call.then(
        (answer) => {
          ({ freePlace } = answer);
          if (isGone) {
            freePlace();
          } else if (answer.body.length > HANDED_OVER_BYTES_MAX) {
            sendLarge(response, answer, head.close, ids, leave);
          } else {
            const { status, fields, contentLength, body: small } = answer;
            finish(() => {
              beginAnswer(response, status, fields, ids);
              if (head.method === 'HEAD') endBodiless(response, contentLength, head.close);
              else response.end(small, head.close);
            });
          }
        },
        (error: unknown) => {
          const known = error instanceof PointsmanError ? error : refusalError('localFailed');
          fail(known, head.close || body === null);
        },
      );
    });
  }

  #answerHealth(response: HttpResponse, head: RequestHead, ids: AnswerIds): void {
    const ready = head.path === '/healthz' || this.notReady === '';
    const body = JSON.stringify(
      ready ? { status: 'ok' } : { status: 'not ready', reason: this.notReady },
    );
    answerWhenRead(response, head, (close) => {
      beginAnswer(response, ready ? 200 : 503, 'content-type: application/json\r\n', ids);
      if (head.method === 'HEAD') endBodiless(response, body.length, close);
      else response.end(body, close);
    });
  }

  #refuse(
    response: HttpResponse,
    head: RequestHead,
    ids: AnswerIds,
    refusal: PointsmanError,
  ): void {
    this.countRefusal(refusal.code);
    if (head.refusal !== '') head.close = true;
    answerWhenRead(response, head, (close) => {
      endWithError(response, head.method, ids, refusal, close, errorForm(head.path, refusal));
    });
  }

  readonly #onEvent = (
    id: number,
    flags: number,
    status: number,
    contentLength: number,
    fields: string,
    bodyOffset: number,
    bodyBytes: number,
  ): void => {
    const relay = this.#relays[id];
    if (relay === null || relay === undefined) return;
    relay.onEvent(flags, status, contentLength, fields, bodyOffset, bodyBytes);
  };
}

function noSupervisor(): PointsmanError {
  return new PointsmanError('TEMPORARILY_UNAVAILABLE', 'The control plane is not known yet');
}

/** What the path of a request makes of an error. */
interface ErrorForm {
  readonly body: object;
  /** Beside those of every error. */
  readonly fields: string;
}

/** Ends a response that nothing was written to with the error's JSON. Call corked. */
export function endWithError(
  response: HttpResponse,
  method: string,
  ids: AnswerIds,
  error: PointsmanError,
  close: boolean,
  form: ErrorForm = { body: error.toBody(), fields: '' },
): void {
  let fields = `content-type: application/json\r\nx-pointsman-error: ${error.code}\r\n`;
  if (error.retryAfterS !== null) fields += `retry-after: ${String(error.retryAfterS)}\r\n`;
  if (error.allow !== null) fields += `allow: ${error.allow}\r\n`;
  if (error.challenge !== null) fields += `www-authenticate: ${error.challenge}\r\n`;
  beginAnswer(response, error.status, fields + form.fields, ids);
  const body = JSON.stringify(form.body);
  if (method === 'HEAD') endBodiless(response, Buffer.byteLength(body), close);
  else response.end(body, close);
}

function judgeOther(head: RequestHead, authRequired: boolean): PointsmanError | null {
  const relayed = relayedPath(head.path);
  if (relayed !== null) return judgeRelayed(head, relayed, authRequired);
  if (head.path !== '/healthz' && head.path !== '/readyz') {
    return new PointsmanError('ENDPOINT_NOT_FOUND', 'The path names nothing that is served here');
  }
  if (head.method === 'GET' || head.method === 'HEAD') return null;
  return new PointsmanError('NOT_IMPLEMENTED', 'Health is read with GET', {
    status: 405,
    allow: 'GET, HEAD',
  });
}

function judgeRelayed(
  head: RequestHead,
  { methods, kind }: RelayedPath,
  authRequired: boolean,
): PointsmanError | null {
  if (!methods.includes(head.method)) {
    const allow = methods.join(', ');
    return new PointsmanError('NOT_IMPLEMENTED', `This path takes ${allow}`, {
      status: 405,
      allow,
    });
  }
  // Whoever brings no credential does not keep the supervisor busy.
  if (authRequired && kind === 'read' && (head.authorization ?? '') === '') {
    return refusalError('unauthenticated');
  }
  if (head.contentLength <= RELAYED_BODY_BYTES_MAX) return null;
  return relayedTooLarge();
}

function relayedTooLarge(): PointsmanError {
  const limit = String(RELAYED_BODY_BYTES_MAX);
  return new PointsmanError('INVALID_PARAMETER_VALUE', `The body is larger than ${limit} bytes`, {
    status: 413,
  });
}

/** An answer that the client may take its time for; `onOut` when the kernel has it all. */
function sendLarge(
  response: HttpResponse,
  { status, fields, body }: RelayedAnswer,
  close: boolean,
  ids: AnswerIds,
  onOut: () => void,
): void {
  response.onWritable((offset) => {
    const [ok, done] = response.tryEnd(body.subarray(offset), body.length);
    if (done) onOut();
    return ok;
  });
  response.cork(() => {
    beginAnswer(response, status, fields, ids);
    if (close) response.writeHeader('connection', 'close');
    const [, done] = response.tryEnd(body, body.length);
    if (done) onOut();
  });
}

/** What an OAuth client reads has the form of RFC 6749, 5.2, whoever refuses. */
function errorForm(path: string, error: PointsmanError): ErrorForm {
  if (relayedPath(path)?.kind !== 'token') return { body: error.toBody(), fields: '' };
  const isFault = error.status < 500 && error.status !== 429;
  const code = isFault ? 'invalid_request' : 'temporarily_unavailable';
  const fields = 'cache-control: no-store\r\npragma: no-cache\r\n';
  return { body: new OAuthError(code, error.message, error.status).toBody(), fields };
}

/**
 * Reads a body of at most RELAYED_BODY_BYTES_MAX; null: it is longer. Never called back when the client leaves.
 */
function readSmallBody(response: HttpResponse, done: (body: Buffer | null) => void): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let isDone = false;
  response.onData((chunk, isLast) => {
    if (isDone) return;
    bytes += chunk.byteLength;
    isDone = isLast || bytes > RELAYED_BODY_BYTES_MAX;
    // Copied: the bytes are gone after this call.
    parts.push(Buffer.from(chunk.slice(0)));
    if (isDone) done(bytes > RELAYED_BODY_BYTES_MAX ? null : Buffer.concat(parts, bytes));
  });
}

/**
 * Answers without a relay: a small body is read and dropped first, so that the connection can be used again;
 * with a large one, or after a message that cannot be trusted, the connection is closed behind the answer.
 */
function answerWhenRead(
  response: HttpResponse,
  head: RequestHead,
  answer: (close: boolean) => void,
): void {
  let state: 'reading' | 'answering' | 'gone' = 'reading';
  response.onAborted(() => {
    state = 'gone';
  });
  const later = (close: boolean): void => {
    state = 'answering';
    setImmediate(() => {
      if (state === 'gone') return;
      response.cork(() => {
        answer(close);
      });
    });
  };
  if (head.close || head.contentLength > DISCARD_BYTES_MAX) {
    later(true);
    return;
  }
  let discarded = 0;
  response.onData((chunk, isLast) => {
    discarded += chunk.byteLength;
    if (state !== 'reading') return;
    if (isLast) later(false);
    else if (discarded > DISCARD_BYTES_MAX) later(true);
  });
}
