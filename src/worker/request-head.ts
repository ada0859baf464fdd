/**
 * Reads and judges the head of a request, as far as uWebSockets.js shows it to JS.
 *
 * Its parser takes messages that RFC 9112 calls ambiguous. What can be seen from here is refused, so that no
 * two readings of one message exist behind the router.
 */
import { CLIENT_ADDRESS_FIELD } from '../control/relay-socket.js';
import type { HttpRequest } from './uws.js';

export interface RequestHead {
  method: string;
  path: string;
  /** Without '?'. */
  query: string;
  /**
   * All fields, `name: value\r\n` each, names in lower case, a character per byte. uWebSockets.js hands over
   * values read as UTF-8: bytes that are none have been replaced before they come here.
   */
  fields: string;
  authorization: string | undefined;
  host: string;
  /** Empty: none. */
  contentType: string;
  requestId: string;
  /** As the front says it; empty where the client's own connection is served. */
  clientAddress: string;
  /** -1: chunked; 0: no body. */
  contentLength: number;
  /** The client asked for the connection to be closed, in whatever spelling. */
  close: boolean;
  /** Why the message must be refused; empty when it is sound. */
  refusal: string;
}

const CONTENT_LENGTH = /^[0-9]{1,15}$/;
// RFC 3986 authority without userinfo: a name, an IPv4 or a bracketed IPv6 address, and a port.
const HOST = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?$/;
/** Same in native/front/client_connection.cc. */
const METHOD = /^[A-Z-]{1,32}$/;
// Visible ASCII without '#', which no request target has.
const TARGET = /^[\x21\x22\x24-\x7e]+$/;
const NON_ASCII = /[^\x20-\x7e\r\n\t]/;

/** Same as kAllFieldsField in native/http1/header_rules.h: what uWebSockets.js cannot read comes in it. */
const ALL_FIELDS_FIELD = 'x-pointsman-fields';

/** `guarded`: the request comes from the front, which alone can set the two fields above then. */
export function readHead(request: HttpRequest, guarded: boolean): RequestHead {
  const head: RequestHead = {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    query: queryOf(request),
    fields: '',
    authorization: undefined,
    host: '',
    contentType: '',
    requestId: '',
    clientAddress: '',
    contentLength: 0,
    close: false,
    refusal: '',
  };
  let hosts = 0;
  let lengths = 0;
  let encodings = 0;
  let fields = '';
  let allFields = '';
  request.forEach((name, value) => {
    fields += `${name}: ${value}\r\n`;
    switch (name) {
      case 'authorization':
        if (head.authorization !== undefined) head.refusal = 'more than one Authorization';
        head.authorization = bytesOf(value);
        break;
      case 'host':
        hosts += 1;
        head.host = value;
        if (!HOST.test(value)) head.refusal = 'Host is not a valid authority';
        break;
      case 'content-length':
        lengths += 1;
        if (CONTENT_LENGTH.test(value)) head.contentLength = Number(value);
        else head.refusal = 'Content-Length is not a number';
        break;
      case 'transfer-encoding':
        encodings += 1;
        if (value.toLowerCase() !== 'chunked') head.refusal = 'Transfer-Encoding is not chunked';
        break;
      case 'connection':
        if (/(?:^|[,\s])close(?:$|[,\s])/i.test(value)) head.close = true;
        break;
      case 'content-type':
        head.contentType = bytesOf(value);
        break;
      case 'x-request-id':
        head.requestId = value;
        break;
      case CLIENT_ADDRESS_FIELD:
        if (guarded) head.clientAddress = value;
        break;
      case ALL_FIELDS_FIELD:
        if (guarded) allFields = Buffer.from(value, 'hex').toString('latin1');
        break;
    }
  });
  head.fields = allFields || bytesOf(fields);
  if (hosts !== 1) head.refusal = 'exactly one Host is needed';
  if (lengths > 1) head.refusal = 'more than one Content-Length';
  if (encodings > 1) head.refusal = 'more than one Transfer-Encoding';
  if (lengths > 0 && encodings > 0) head.refusal = 'Content-Length and Transfer-Encoding together';
  if (!METHOD.test(head.method)) head.refusal = 'the method is not one of HTTP';
  if (!TARGET.test(head.path) || (head.query !== '' && !TARGET.test(head.query)))
    head.refusal = 'the request target has a character that none may have';
  if (encodings > 0) head.contentLength = -1;
  return head;
}

/** What was read as UTF-8, a character per byte again. */
function bytesOf(text: string): string {
  return NON_ASCII.test(text) ? Buffer.from(text).toString('latin1') : text;
}

/** uWebSockets.js answers undefined without a '?', whatever its type declarations say. */
function queryOf(request: HttpRequest): string {
  const query: unknown = request.getQuery();
  return typeof query === 'string' ? query : '';
}
