/**
 * Seeded HTTP/1.1 messages, most of them well-formed, the others broken in one or two of the ways that parsers
 * disagree about. Strings are latin1.
 */

/** Mulberry32: small, seeded, good enough to choose cases. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `bound` - 1. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * bound);
  }

  oneOf<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error('there is nothing to choose from');
    return choice;
  }

  /** True once in `times`. */
  rarely(times: number): boolean {
    return this.below(times) === 0;
  }
}

const METHODS = [
  'GET',
  'GET',
  'POST',
  'POST',
  'PUT',
  'HEAD',
  'OPTIONS',
  'DELETE',
  'get',
  'G{T',
  '',
];
const TARGETS = [
  '/',
  '/a/b',
  '/a?b=c&d',
  '/%41//..',
  'http://b/c?d',
  'http://b',
  '*',
  '/a#b',
  'a',
  '',
];
const VERSIONS = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/2.0',
  'http/1.1',
];
const HOSTS = [
  'Host: a',
  'Host: a',
  'Host: a',
  'host:a:80',
  'Host: [::1]',
  'Host: ',
  'Host: a b',
  '',
];
const PLAIN_FIELDS = [
  'Accept: */*',
  'X-Empty:',
  'x-blanks: \t v \t',
  'X-Text: caf\xe9 \xff, "q"',
  'Authorization: Bearer t',
  'Content-Type: application/json',
  'Connection: keep-alive',
  'Cookie: a=b',
];
const ODD_FIELDS = [
  'Connection: close',
  'Connection: foo, close',
  'X-Fold: a\r\n b',
  'X-Space : a',
  ': y',
  'NoColon',
  'X[: a',
  'X-Nul: a\0b',
  'X-Cr: a\rb',
  'X-Lf: a\nb',
  'X-Del: a\x7f',
  'Content_Length: 7',
  'X-Bell: \x07',
  ' X-Lead: a',
];
const LENGTHS = [
  '0',
  '5',
  '05',
  '5',
  '5',
  '+5',
  '-1',
  '5, 5',
  '0x5',
  '',
  ' 5 ',
  '5 5',
  '99999999999999999999',
];
const CODINGS = [
  'chunked',
  'chunked',
  'Chunked',
  'chunked ',
  'gzip',
  'gzip, chunked',
  'chunked, gzip',
  'xchunked',
  '',
  'chunked;a',
  '"chunked"',
];
const SIZES = [
  '5',
  '5',
  '5',
  '05',
  '5;a',
  '5;a=b',
  '5;a="b;c"',
  '5 ;a',
  '5;',
  '5;a b',
  '5 ',
  '0x5',
  '+5',
  'g',
  '',
  '5\t',
  'fffffffffffffffff5',
];
const ENDS = ['\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', 'XX', ''];
const TRAILERS = ['', '', '', 'X-Sum: 1\r\n', 'Content-Length: 3\r\n', 'bad\r\n', 'A : b\r\n'];
const PIECES = ['\r\n', '\n', '\r', ' ', '\t', ':', ',', ';', '\0', '0', 'x', '\x80'];

/** A body in chunks, sometimes with a fault in one of the places that have one. */
function chunkedBody(random: Random): string {
  let body = '';
  const isOdd = random.rarely(2);
  for (let count = random.below(3); count > 0; count -= 1) {
    const end = isOdd ? random.oneOf(ENDS) : '\r\n';
    body += `${isOdd ? random.oneOf(SIZES) : '5'}\r\nhello${end}`;
  }
  return `${body}0\r\n${isOdd ? random.oneOf(TRAILERS) : ''}\r\n`;
}

/** Field lines that frame a body, and the body behind the head. */
function framing(random: Random): { fields: string[]; body: string } {
  switch (random.below(8)) {
    case 0:
    case 1:
      return { fields: [], body: '' };
    case 2:
    case 3:
      return { fields: ['Content-Length: 5'], body: 'hello' };
    case 4:
    case 5:
      return { fields: ['Transfer-Encoding: chunked'], body: chunkedBody(random) };
    case 6:
      return { fields: [`Content-Length: ${random.oneOf(LENGTHS)}`], body: 'hello' };
    default: {
      const fields = [`Transfer-Encoding: ${random.oneOf(CODINGS)}`];
      if (random.rarely(4)) fields.push('Content-Length: 5');
      if (random.rarely(6)) fields.unshift(`Transfer-Encoding: ${random.oneOf(CODINGS)}`);
      return { fields, body: chunkedBody(random) };
    }
  }
}

function insertFields(random: Random, fields: string[]): void {
  for (let count = random.below(4); count > 0; count -= 1) {
    const field = random.rarely(8) ? random.oneOf(ODD_FIELDS) : random.oneOf(PLAIN_FIELDS);
    fields.splice(random.below(fields.length + 1), 0, field);
  }
}

/** Puts in, takes out or replaces a byte or two. */
function disturb(random: Random, bytes: string): string {
  let text = bytes;
  for (let count = 1 + random.below(2); count > 0; count -= 1) {
    const at = random.below(text.length + 1);
    const removed = random.below(3);
    text =
      text.slice(0, at) + (random.rarely(3) ? '' : random.oneOf(PIECES)) + text.slice(at + removed);
  }
  return text;
}

/** One to three requests of one connection. */
export function generateRequests(random: Random): string {
  let bytes = random.rarely(10) ? '\r\n' : '';
  for (let count = random.rarely(4) ? 1 + random.below(3) : 1; count > 0; count -= 1) {
    const isOdd = random.rarely(4);
    const method = isOdd ? random.oneOf(METHODS) : random.oneOf(METHODS.slice(0, 5));
    const target = isOdd ? random.oneOf(TARGETS) : random.oneOf(TARGETS.slice(0, 5));
    const version = isOdd ? random.oneOf(VERSIONS) : 'HTTP/1.1';
    const { fields, body } = framing(random);
    insertFields(random, fields);
    const host = isOdd ? random.oneOf(HOSTS) : 'Host: a';
    if (host !== '') fields.splice(random.below(fields.length + 1), 0, host);
    const head = `${method} ${target} ${version}\r\n${fields.map((field) => `${field}\r\n`).join('')}`;
    bytes += `${head}\r\n${body}`;
  }
  return random.rarely(4) ? disturb(random, bytes) : bytes;
}

const STATUS_LINES = [
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200 OK',
  'HTTP/1.1 200 OK',
  'HTTP/1.1 404 Not Found',
  'HTTP/1.1 204 No',
  'HTTP/1.1 304 Not',
  'HTTP/1.0 200 OK',
  'HTTP/1.1 500',
  'HTTP/1.1 200 caf\xe9',
];
const ODD_STATUS_LINES = [
  'HTTP/1.1 20 OK',
  'HTTP/1.1 2000 OK',
  'HTTP/2.0 200 OK',
  'HTTP/1.1  200 OK',
  'http/1.1 200 OK',
  'HTTP/1.1 099 x',
  'HTTP/1.1 600 x',
  'HTTP/1.1 101 x',
  'HTTP/1.1 200 a\rb',
];
const INTERIMS = ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\nLink: x\r\n\r\n', '\r\n'];

/** The answer to one request, and perhaps bytes that belong to none. */
export function generateResponse(random: Random): string {
  const statusLine = random.rarely(10)
    ? random.oneOf(ODD_STATUS_LINES)
    : random.oneOf(STATUS_LINES);
  const { fields, body } = framing(random);
  insertFields(random, fields);
  const head = `${statusLine}\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`;
  const bytes = `${random.rarely(8) ? random.oneOf(INTERIMS) : ''}${head}${body}${random.rarely(10) ? 'EXTRA' : ''}`;
  return random.rarely(4) ? disturb(random, bytes) : bytes;
}
