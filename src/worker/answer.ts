/** The head of an answer on the data port: status, relayed fields, and the fields every answer carries. */
import { STATUS_CODES } from 'node:http';
import type { HttpResponse } from './uws.js';

/** What design.md promises on every invocation's answer, errors included. */
export interface AnswerIds {
  databricksRequestId: string;
  requestId: string;
  /** 0: nothing was dispatched. */
  revision: number;
  /** Empty: no entity was picked. */
  servedModel: string;
}

const STATUS_LINES = new Map(
  Object.entries(STATUS_CODES).map(([code, text]) => [Number(code), `${code} ${text ?? ''}`]),
);

const NON_ASCII = /[\x80-\xff]/;

/** Writes status and header; `fields` are `name: value\r\n` each. Call corked, once per answer. */
export function beginAnswer(
  response: HttpResponse,
  status: number,
  fields: string,
  ids: AnswerIds,
): void {
  response.writeStatus(STATUS_LINES.get(status) ?? `${String(status)} Unknown`);
  const isAscii = !NON_ASCII.test(fields);
  for (let at = 0; at < fields.length;) {
    const colon = fields.indexOf(': ', at);
    const end = fields.indexOf('\r\n', at);
    const name = fields.slice(at, colon);
    // uWebSockets.js writes a Date of its own and cannot be told not to.
    if (name.length !== 4 || name.toLowerCase() !== 'date') {
      const value = fields.slice(colon + 2, end);
      // A string is written as UTF-8, which would change the bytes that a replica sent.
      response.writeHeader(name, isAscii ? value : Buffer.from(value, 'latin1'));
    }
    at = end + 2;
  }
  if (ids.servedModel !== '') response.writeHeader('served-model-name', ids.servedModel);
  response.writeHeader('x-databricks-request-id', ids.databricksRequestId);
  response.writeHeader('x-request-id', ids.requestId);
  if (ids.revision > 0) response.writeHeader('x-pointsman-revision', String(ids.revision));
}

/**
 * Ends an answer without a body; `contentLength` -1: none is written. A length that is given to uWebSockets.js is one
 * whose bytes it waits for: it breaks the connection off at the next request. That is what has to happen behind a
 * request that cannot be trusted; otherwise the length is a field like any other.
 */
export function endBodiless(response: HttpResponse, contentLength: number, close: boolean): void {
  if (close && contentLength >= 0) {
    response.endWithoutBody(contentLength, true);
    return;
  }
  if (contentLength >= 0) response.writeHeader('content-length', String(contentLength));
  // Any first argument, undefined too, is taken for a length, so the second cannot be given: the client is asked to close.
  if (close) response.writeHeader('connection', 'close');
  response.endWithoutBody();
}
