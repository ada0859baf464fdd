/**
 * Calls of the data port that only the supervisor can answer: the token endpoint and its documents, reading endpoints,
 * and who one is. They go over a Unix socket of the state directory to the admin port's application, which judges the
 * credential again. So an application needs the data port alone, and sees no more of the admin port than this list.
 *
 * Bounded: calls under way (until the client has the answer), the size of a form and of an answer, and time. While the
 * supervisor is away they are answered 503; invocations never come here.
 */
import { Agent, request as sendRequest, type IncomingHttpHeaders } from 'node:http';
import { RELAYED_KINDS, relayedPath, type RelayedKind } from '../control/relayed-paths.js';
import { CLIENT_ADDRESS_FIELD } from '../control/relay-socket.js';
import { PointsmanError } from '../core/errors.js';
import { RELAYED_CALLS_MAX, RelayPlaces } from './relay-places.js';
import type { RequestHead } from './request-head.js';

/** A form with a whole token as assertion takes a third of it. */
export const RELAYED_BODY_BYTES_MAX = 64 * 1024;
/** The list of 10,000 endpoints with their configs. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
const RETRY_AFTER_S = 1;

/** Fields of an answer that the client gets; ids and framing are the worker's own. */
const ANSWER_FIELDS = [
  'content-type',
  'cache-control',
  'pragma',
  'etag',
  'allow',
  'retry-after',
  'www-authenticate',
  'x-content-type-options',
  'x-databricks-org-id',
  'x-pointsman-error',
  'x-pointsman-revision',
] as const;

export interface RelayedAnswer {
  readonly status: number;
  /** `name: value\r\n` each. */
  readonly fields: string;
  readonly contentLength: number;
  readonly body: Buffer;
  /** The client has it, or has left: until then the call is under way. */
  readonly freePlace: () => void;
}

export class SupervisorRelay {
  readonly #socketPath: string;
  readonly #agent = new Agent({
    keepAlive: true,
    maxSockets: RELAYED_KINDS.length * RELAYED_CALLS_MAX,
  });
  readonly #places = {
    token: new RelayPlaces(),
    document: new RelayPlaces(),
    read: new RelayPlaces(),
  } as const satisfies Record<RelayedKind, RelayPlaces>;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** @throws PointsmanError when there are too many, or nobody answers. */
  async call(head: RequestHead, requestId: string, body: Uint8Array): Promise<RelayedAnswer> {
    const places = this.#places[relayedPath(head.path)?.kind ?? 'read'];
    if (!places.take(head.clientAddress)) {
      throw new PointsmanError(
        'REQUEST_LIMIT_EXCEEDED',
        'Too many calls to the control plane are under way; try again later',
        { retryAfterS: RETRY_AFTER_S },
      );
    }
    const freePlace = (): void => {
      places.free(head.clientAddress);
    };
    try {
      return { ...(await this.#send(head, requestId, body)), freePlace };
    } catch (cause) {
      freePlace();
      throw new PointsmanError(
        'TEMPORARILY_UNAVAILABLE',
        'The control plane does not answer now; invocations are not concerned',
        { retryAfterS: RETRY_AFTER_S, cause },
      );
    }
  }

  #send(
    head: RequestHead,
    requestId: string,
    form: Uint8Array,
  ): Promise<Omit<RelayedAnswer, 'freePlace'>> {
    return new Promise((resolve, reject) => {
      const call = sendRequest({
        agent: this.#agent,
        socketPath: this.#socketPath,
        method: head.method,
        path: head.query === '' ? head.path : `${head.path}?${head.query}`,
        headers: headersOf(head, requestId, form),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      call.once('error', reject);
      call.once('response', (answer) => {
        const parts: Buffer[] = [];
        let bytes = 0;
        answer.on('data', (part: Buffer) => {
          bytes += part.length;
          if (bytes > ANSWER_BYTES_MAX) call.destroy(new Error('the answer is too large'));
          else parts.push(part);
        });
        answer.once('error', reject);
        answer.once('end', () => {
          const { statusCode: status = 502, headers } = answer;
          const body = Buffer.concat(parts, bytes);
          const contentLength = Number(headers['content-length'] ?? body.length);
          resolve({ status, fields: fieldsOf(headers), contentLength, body });
        });
      });
      // Node frames the body of a GET in no way: its bytes would be the next request on this connection.
      if (head.method === 'POST') call.end(form);
      else call.end();
    });
  }
}

function headersOf(
  head: RequestHead,
  requestId: string,
  body: Uint8Array,
): Readonly<Record<string, string>> {
  return {
    host: 'localhost',
    'x-request-id': requestId,
    [CLIENT_ADDRESS_FIELD]: head.clientAddress,
    ...(head.authorization === undefined ? {} : { authorization: head.authorization }),
    ...(head.contentType === '' ? {} : { 'content-type': head.contentType }),
    ...(head.method === 'POST' ? { 'content-length': String(body.length) } : {}),
  };
}

function fieldsOf(headers: IncomingHttpHeaders): string {
  let fields = '';
  for (const name of ANSWER_FIELDS) {
    const value = headers[name];
    if (typeof value === 'string') fields += `${name}: ${value}\r\n`;
  }
  return fields;
}
