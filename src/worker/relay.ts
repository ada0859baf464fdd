/**
 * One invocation between uWebSockets.js and the engine: body bytes in, answer out, back-pressure both ways.
 *
 * Dies with the first of: answer complete, client gone, failure told. After the client is gone nothing of
 * `response` may be touched, which is what `#gone` guards.
 *
 * Answers of known length go out by tryEnd, which takes what the socket takes and leaves the rest to us: the
 * rest of one read waits in a stall buffer and the replica is not read meanwhile. Other answers go out by
 * write in slices, until uWebSockets.js has to keep one; the rest waits as above. Their head is sent with the first
 * byte of the body: there is no call to send it before.
 */
import { EventFlag, StartRefusal } from '../native/contract.js';
import { READ_BUFFER_BYTES, REQUEST_BUFFER_BYTES_MAX } from '../native/addon.js';
import type { PointsmanError } from '../core/errors.js';
import { beginAnswer, endBodiless, type AnswerIds } from './answer.js';
import { endWithError, type Door, type DoorSettings } from './door.js';
import { endpointIdOfHost, type InvocationPath } from './invocation-path.js';
import { failureRefusal, refusalError } from './refusals.js';
import type { RequestHead } from './request-head.js';
import type { HttpResponse } from './uws.js';

/** Stall buffers kept for reuse; slow readers beyond that allocate theirs. */
const SPARE_STALL_BUFFERS_MAX = 64;
const spareStallBuffers: Uint8Array[] = [];
/** Verdicts that one request may need: each is lost only to a change of who may call. */
const TOKEN_CHECKS_MAX = 16;
/**
 * Of one `write`, with the frame of a chunk. What goes beyond the 16 KiB that uWebSockets.js collects in a `cork` is lost,
 * without a word, when the socket takes nothing at that moment.
 */
const SLICE_BYTES = 15 * 1024;
/** Status line and fields of ours, at most about. */
const OWN_FIELDS_BYTES = 1024;
/** Head and body that go out in one `cork`, or a head that a slice may follow in it. */
const SHORT_BYTES = SLICE_BYTES / 2;
const NO_BYTES = new Uint8Array(0);
const NO_BUFFER = new ArrayBuffer(0);

export class Relay {
  readonly #door: Door;
  readonly #response: HttpResponse;
  readonly #head: RequestHead;
  readonly #ids: AnswerIds;
  readonly #path: InvocationPath;
  readonly #settings: DoorSettings;
  #id = -1;
  #gone = false;
  #answered = false;
  #requestBytes = 0;
  #tokenChecks = 0;
  /** What has come of the body while the token is judged; null: it is not. */
  #unjudged: ArrayBuffer[] | null = null;
  #requestComplete = false;
  #requestPaused = false;
  /** Length of the answer's body when it goes out by tryEnd, else -1. */
  #total = -1;
  /** The engine has handed over everything. */
  #complete = false;
  #stall: Uint8Array | null = null;
  #stallBytes = 0;
  /** Body bytes of the answer before those in the stall buffer; of an answer in slices those of the buffer that are out. */
  #stallOffset = 0;
  /** Writes the head of an answer whose first slice has not come. */
  #heldHead: (() => void) | null = null;
  /** Room for it before the first slice. */
  #heldHeadBytes = 0;

  constructor(
    door: Door,
    response: HttpResponse,
    head: RequestHead,
    ids: AnswerIds,
    path: InvocationPath,
    settings: DoorSettings,
  ) {
    this.#door = door;
    this.#response = response;
    this.#head = head;
    this.#ids = ids;
    this.#path = path;
    this.#settings = settings;
  }

  begin(): void {
    this.#door.unfinished += 1;
    this.#response.onAborted(this.#onAborted);
    this.#response.onData(this.#onData);
  }

  readonly #onAborted = (): void => {
    this.#finish();
  };

  readonly #onData = (chunk: ArrayBuffer, isLast: boolean): void => {
    if (isLast) this.#requestComplete = true;
    if (this.#gone || this.#answered) return;
    this.#requestBytes += chunk.byteLength;
    const { maxRequestBytes } = this.#settings;
    if (this.#requestBytes > maxRequestBytes) {
      this.#endExchange();
      this.#failLater(refusalError('bodyTooLarge', { limit: maxRequestBytes }));
      return;
    }
    if (this.#unjudged !== null) {
      // Already read when the request was paused: uWebSockets.js hands that over in any case.
      this.#unjudged.push(chunk.slice(0));
      return;
    }
    if (this.#id < 0) {
      this.#start(chunk, isLast);
      return;
    }
    const waiting = this.#door.engine.sendBody(this.#id, chunk, isLast);
    if (waiting > REQUEST_BUFFER_BYTES_MAX && !isLast) this.#pauseRequest();
  };

  /** The token is not known to the engine, or not any more: the request waits for a verdict. */
  #checkToken(goOn: () => void): void {
    if (!this.#requestComplete) this.#pauseRequest();
    const verdict = this.#door.desk?.check(this.#head.authorization ?? '');
    void (verdict ?? Promise.resolve('noVerdict' as const)).then((refusal) => {
      if (this.#gone || this.#answered) return;
      this.#resumeRequest();
      this.#tokenChecks += 1;
      if (refusal === null && this.#tokenChecks < TOKEN_CHECKS_MAX) {
        // May ask for another verdict, and pause again.
        goOn();
      } else {
        this.#endExchange();
        this.#failLater(refusalError(refusal ?? 'noVerdict'));
      }
    });
  }

  /** It has its place under a limit, and may have lost its right to it while it waited. */
  #judgeAgain(): void {
    const hostId = endpointIdOfHost(this.#head.host, this.#settings.servingDomain);
    const refusal = this.#door.engine.proceed(
      this.#id,
      this.#path.endpoint,
      this.#head.authorization ?? '',
      this.#path.hasWorkspace || hostId !== '',
      hostId,
    );
    if (refusal === 0) return;
    if (refusal === StartRefusal.UNKNOWN_TOKEN) {
      this.#checkToken(() => {
        this.#judgeAgain();
      });
      return;
    }
    this.#endExchange();
    this.#failLater(this.#refusalError(refusal));
    this.#resumeRequest();
  }

  #start(chunk: ArrayBuffer, isLast: boolean): void {
    const { engine, dispatched } = this.#door;
    const { authRequired, servingDomain } = this.#settings;
    const client =
      this.#head.clientAddress === ''
        ? Buffer.from(this.#response.getRemoteAddressAsText()).toString('latin1')
        : this.#head.clientAddress;
    const hostId = endpointIdOfHost(this.#head.host, servingDomain);
    const id = engine.start(
      this.#path.endpoint,
      this.#path.served,
      this.#head.method,
      this.#head.query,
      this.#head.fields,
      client,
      this.#ids.requestId,
      this.#head.contentLength,
      chunk,
      isLast,
      authRequired ? (this.#head.authorization ?? '') : null,
      this.#path.hasWorkspace || hostId !== '',
      hostId,
    );
    if (id === StartRefusal.UNKNOWN_TOKEN) {
      this.#unjudged = [chunk.slice(0)];
      this.#checkToken(() => {
        const body = joined(this.#unjudged ?? []);
        this.#unjudged = null;
        this.#start(body, this.#requestComplete);
      });
      return;
    }
    this.#ids.revision = dispatched[0] ?? 0;
    const isPicked = id === StartRefusal.NO_DEPLOYMENT || id === StartRefusal.OUT_OF_MEMORY;
    if (id >= 0 || isPicked) this.#ids.servedModel = engine.pickedEntity();
    if (id < 0) {
      this.#failLater(this.#refusalError(id));
      return;
    }
    this.#id = id;
    this.#door.track(id, this);
    if (isLast || chunk.byteLength <= REQUEST_BUFFER_BYTES_MAX) return;
    // `start` neither says how much waits nor promises a DRAIN; sending nothing does both.
    if (engine.sendBody(id, NO_BUFFER, false) > REQUEST_BUFFER_BYTES_MAX) this.#pauseRequest();
  }

  onEvent(
    flags: number,
    status: number,
    contentLength: number,
    fields: string,
    bodyOffset: number,
    bodyBytes: number,
  ): void {
    if ((flags & EventFlag.DRAIN) !== 0) {
      this.#resumeRequest();
      return;
    }
    if ((flags & EventFlag.DOUBT) !== 0) {
      this.#judgeAgain();
      return;
    }
    if ((flags & (EventFlag.END | EventFlag.FAILED)) !== 0) {
      this.#door.forget(this.#id);
      this.#id = -1;
      this.#complete = true;
    }
    if (this.#gone) return;
    if ((flags & EventFlag.FAILED) !== 0) {
      this.#onFailure(status, (flags & EventFlag.HEAD_RELAYED) !== 0);
      return;
    }
    const body =
      bodyBytes === 0
        ? NO_BYTES
        : this.#door.readBuffer.subarray(bodyOffset, bodyOffset + bodyBytes);
    if ((flags & EventFlag.HEAD) !== 0) this.#writeHead(flags, status, contentLength, fields, body);
    else this.#writeBody(body);
  }

  #writeHead(
    flags: number,
    status: number,
    contentLength: number,
    fields: string,
    body: Uint8Array,
  ): void {
    const response = this.#response;
    const close = this.#closesBehind();
    this.#answered = true;
    this.#resumeRequest();
    const isShort = this.#complete && body.length + fields.length <= SHORT_BYTES;
    if ((flags & EventFlag.NO_BODY) !== 0 || isShort) {
      response.cork(() => {
        beginAnswer(response, status, fields, this.#ids);
        if ((flags & EventFlag.NO_BODY) !== 0) endBodiless(response, contentLength, close);
        else response.end(body, close);
      });
      this.#finish();
      return;
    }
    this.#total = this.#complete ? body.length : contentLength;
    response.onWritable(this.#onWritable);
    this.#heldHeadBytes = fields.length + OWN_FIELDS_BYTES;
    this.#heldHead = () => {
      beginAnswer(response, status, fields, this.#ids);
      // uWebSockets.js writes its own "Connection: close" where it is asked to close, which here would be behind
      // the body. So the client is told by us and closes; failing that the idle timeout does.
      if (close) response.writeHeader('connection', 'close');
    };
    this.#writeBody(body);
  }

  /** An answer that came before the whole request: what is left of the request must not be read as the next one. */
  #closesBehind(): boolean {
    return this.#head.close || this.#door.draining || !this.#requestComplete;
  }

  #writeBody(body: Uint8Array): void {
    if (this.#total < 0) {
      this.#writeSliced(body);
      return;
    }
    this.#response.cork(() => {
      this.#writeCounted(body);
    });
  }

  #writeCounted(body: Uint8Array): void {
    this.#sendHeldHead();
    const before = this.#response.getWriteOffset();
    const [ok, done] = this.#response.tryEnd(body, this.#total);
    if (done) {
      this.#finish();
    } else if (!ok) {
      this.#keep(body.subarray(this.#response.getWriteOffset() - before));
      this.#stallOffset = this.#response.getWriteOffset();
    }
  }

  #writeSliced(body: Uint8Array): void {
    const { written, isOut } = this.#writeSlices(body);
    if (written < body.length) {
      this.#keep(body.subarray(written));
      this.#stallOffset = 0;
    } else if (this.#complete) {
      this.#endSliced();
    } else if (!isOut) {
      this.#door.engine.pause(this.#id);
    }
  }

  /**
   * Until `write` says that uWebSockets.js keeps something (`isOut` false), which it does one slice late: in a `cork` it
   * cannot know yet.
   */
  #writeSlices(body: Uint8Array): { written: number; isOut: boolean } {
    for (let written = 0; written < body.length;) {
      // A long head is flushed by itself.
      if (this.#heldHeadBytes > SHORT_BYTES) {
        this.#response.cork(() => {
          this.#sendHeldHead();
        });
      }
      const slice = body.subarray(written, written + SLICE_BYTES - this.#heldHeadBytes);
      written += slice.length;
      if (!this.#writeSlice(slice)) return { written, isOut: false };
    }
    return { written: body.length, isOut: true };
  }

  #writeSlice(slice: Uint8Array): boolean {
    let isOut = false;
    this.#response.cork(() => {
      this.#sendHeldHead();
      isOut = this.#response.write(slice);
    });
    return isOut;
  }

  #endSliced(): void {
    this.#response.cork(() => {
      this.#sendHeldHead();
      this.#response.end();
    });
    this.#finish();
  }

  #sendHeldHead(): void {
    this.#heldHead?.();
    this.#heldHead = null;
    this.#heldHeadBytes = 0;
  }

  /** The rest of one read, until the socket takes more. */
  #keep(rest: Uint8Array): void {
    this.#stall ??= spareStallBuffers.pop() ?? new Uint8Array(READ_BUFFER_BYTES);
    this.#stall.set(rest);
    this.#stallBytes = rest.length;
    if (!this.#complete) this.#door.engine.pause(this.#id);
  }

  readonly #onWritable = (offset: number): boolean => {
    if (this.#gone) return true;
    const stall = this.#stall;
    if (stall === null || this.#stallBytes === 0) {
      // It leaves what it has kept to the handler, and sends it with the next write; of nothing, too.
      this.#response.cork(() => undefined);
      if (!this.#complete) this.#door.engine.resume(this.#id);
      return true;
    }
    if (this.#total < 0) {
      this.#drainSliced(stall);
      return true;
    }
    const rest = stall.subarray(offset - this.#stallOffset, this.#stallBytes);
    const [ok, done] = this.#response.tryEnd(rest, this.#total);
    if (done) {
      this.#finish();
    } else if (ok) {
      this.#stallBytes = 0;
      this.#door.engine.resume(this.#id);
    }
    return ok;
  };

  #drainSliced(stall: Uint8Array): void {
    const { written, isOut } = this.#writeSlices(
      stall.subarray(this.#stallOffset, this.#stallBytes),
    );
    this.#stallOffset += written;
    if (this.#stallOffset < this.#stallBytes) return;
    this.#stallBytes = 0;
    if (this.#complete) this.#endSliced();
    else if (isOut) this.#door.engine.resume(this.#id);
  }

  /** The answer is with uWebSockets.js, which from now on owns the response, or the client is gone. */
  #finish(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#door.unfinished -= 1;
    this.#endExchange();
    this.#releaseStall();
  }

  #onFailure(failure: number, headRelayed: boolean): void {
    if (headRelayed && this.#heldHead === null) {
      // Broken off, so that the client cannot take what it got for the whole.
      this.#response.close();
      return;
    }
    const refusal = failureRefusal(failure);
    const error = refusalError(refusal, { entity: this.#ids.servedModel });
    this.#door.countRefusal(error.code);
    this.#fail(error);
  }

  #failLater(error: PointsmanError): void {
    this.#answered = true;
    this.#door.countRefusal(error.code);
    setImmediate(() => {
      this.#fail(error);
    });
  }

  #fail(error: PointsmanError): void {
    if (this.#gone) return;
    this.#answered = true;
    const close = this.#closesBehind();
    this.#response.cork(() => {
      endWithError(this.#response, this.#head.method, this.#ids, error, close);
    });
    this.#finish();
  }

  #refusalError(refusal: number): PointsmanError {
    switch (refusal) {
      case StartRefusal.NO_ENDPOINT:
        return refusalError('noEndpoint', this.#path);
      case StartRefusal.NO_ENTITY:
        return refusalError('noEntity', this.#path);
      case StartRefusal.METHOD_NOT_ALLOWED:
        return refusalError('methodNotAllowed');
      case StartRefusal.FORBIDDEN:
        return refusalError('forbidden', this.#path);
      case StartRefusal.ROUTE_TOKEN:
        return refusalError('routeToken', this.#path);
      case StartRefusal.NO_SNAPSHOT:
        return refusalError('noConfiguration');
      case StartRefusal.TAKEN_OVER:
        return refusalError('takenOver');
      case StartRefusal.OUT_OF_MEMORY:
        return refusalError('outOfMemory');
      default:
        return refusalError('noReadyAddress');
    }
  }

  #endExchange(): void {
    if (this.#id < 0) return;
    this.#door.engine.cancel(this.#id);
    this.#door.forget(this.#id);
    this.#id = -1;
    this.#complete = true;
  }

  #pauseRequest(): void {
    this.#requestPaused = true;
    this.#response.pause();
  }

  #resumeRequest(): void {
    if (!this.#requestPaused || this.#gone) return;
    this.#requestPaused = false;
    this.#response.resume();
  }

  #releaseStall(): void {
    if (this.#stall !== null && spareStallBuffers.length < SPARE_STALL_BUFFERS_MAX) {
      spareStallBuffers.push(this.#stall);
    }
    this.#stall = null;
  }
}

function joined(parts: readonly ArrayBuffer[]): ArrayBuffer {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return whole.buffer;
}
