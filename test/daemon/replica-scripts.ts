/**
 * What hostile replicas send in answer to one request, and what a client may see of it. Own table, after RFC 9110 and
 * RFC 9112 and after ways in which proxies are known to have failed.
 *
 * `ID` in the bytes stands for the six digits of the request, so that an answer can be told from that to any
 * other request; `POISON` marks bytes that no client may ever see.
 */

/**
 *   whole     a complete answer: this status and body
 *   refused   a complete 502 of ours, nothing of the replica's in it
 *   cut       502, or an answer that visibly breaks off within this body
 *   either    whole or refused: both readings are allowed
 *   any       whole or cut: whether all of it arrives is a race
 */
export type Expectation = 'whole' | 'refused' | 'cut' | 'either' | 'any';

export interface ReplicaScript {
  readonly name: string;
  readonly bytes: string;
  readonly expect: Expectation;
  /** What the replica does with its connection behind the bytes. */
  readonly then: 'keep' | 'fin' | 'reset';
  readonly method: 'POST' | 'GET' | 'HEAD';
  readonly status: number;
  readonly body: string;
  /** The daemon may use the connection again. */
  readonly sound: boolean;
  /** What of `bytes` stands behind the end of a complete answer. */
  readonly behind: string;
  /** The answer is complete without the close behind it: whether the next request meets that close is a race. */
  readonly isEndedBefore: boolean;
}

export const ID = 'ID####';
const OWN = `own ${ID}`;
const OK = 'HTTP/1.1 200 OK\r\n';
const LENGTH = `Content-Length: ${String(OWN.length)}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const SIZE = OWN.length.toString(16);
const IN_CHUNK = `${SIZE}\r\n${OWN}\r\n`;
const LAST = '0\r\n\r\n';
const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON';

type Part = Partial<Omit<ReplicaScript, 'name' | 'bytes' | 'expect'>>;

function script(name: string, answer: string, expect: Expectation, part: Part = {}): ReplicaScript {
  return {
    name,
    expect,
    then: 'keep',
    method: 'POST',
    status: 200,
    body: OWN,
    sound: false,
    behind: '',
    isEndedBefore: false,
    ...part,
    bytes: answer + (part.behind ?? ''),
  };
}

/** The answer of a good replica behind another status line. */
function statusLine(name: string, line: string, expect: Expectation, part: Part = {}) {
  return script(`status line: ${name}`, `${line}${LENGTH}\r\n${OWN}`, expect, part);
}

/** A good answer with one more field line. */
function field(name: string, line: string, expect: Expectation, part: Part = {}) {
  return script(`field: ${name}`, `${OK}${line}${LENGTH}\r\n${OWN}`, expect, part);
}

/** A good answer whose length is said like this. */
function length(value: string, expect: Expectation, part: Part = {}) {
  const bytes = `${OK}Content-Length:${value}\r\n\r\n${OWN}`;
  return script(`length: ${JSON.stringify(value)}`, bytes, expect, part);
}

function chunks(name: string, body: string, expect: Expectation, part: Part = {}) {
  return script(`chunks: ${name}`, `${OK}${CHUNKED}\r\n${body}`, expect, part);
}

const SOUND = { sound: true } as const;
const FIN = { then: 'fin' } as const;
const RESET = { then: 'reset' } as const;
const FIN_BEHIND = { ...FIN, isEndedBefore: true } as const;
const RESET_BEHIND = { ...RESET, isEndedBefore: true } as const;

const STATUS_LINES: readonly ReplicaScript[] = [
  statusLine('as it should be', OK, 'whole', SOUND),
  statusLine('no reason', 'HTTP/1.1 200 \r\n', 'whole', SOUND),
  statusLine('no blank either', 'HTTP/1.1 200\r\n', 'either', SOUND),
  statusLine('reason beyond ASCII', 'HTTP/1.1 200 \xd6\xc9\r\n', 'whole', SOUND),
  statusLine('another number', 'HTTP/1.1 299 Odd\r\n', 'whole', { ...SOUND, status: 299 }),
  statusLine('minor version 2', 'HTTP/1.2 200 OK\r\n', 'either', SOUND),
  statusLine('major version 2', 'HTTP/2.0 200 OK\r\n', 'refused'),
  statusLine('version 0.9', 'HTTP/0.9 200 OK\r\n', 'refused'),
  statusLine('version of three digits', 'HTTP/1.10 200 OK\r\n', 'refused'),
  statusLine('lower case', 'http/1.1 200 OK\r\n', 'refused'),
  statusLine('two blanks', 'HTTP/1.1  200 OK\r\n', 'refused'),
  statusLine('tab', 'HTTP/1.1\t200 OK\r\n', 'refused'),
  statusLine('two digits', 'HTTP/1.1 20 OK\r\n', 'refused'),
  statusLine('four digits', 'HTTP/1.1 2000 OK\r\n', 'refused'),
  statusLine('099', 'HTTP/1.1 099 OK\r\n', 'refused'),
  statusLine('600', 'HTTP/1.1 600 OK\r\n', 'refused'),
  statusLine('minus', 'HTTP/1.1 -20 OK\r\n', 'refused'),
  statusLine('letters', 'HTTP/1.1 2OO OK\r\n', 'refused'),
  statusLine('NUL in the reason', 'HTTP/1.1 200 O\0K\r\n', 'refused'),
  statusLine('bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n', 'refused'),
  statusLine('CR CR LF', 'HTTP/1.1 200 OK\r\r\n', 'refused'),
  statusLine('bare LF', 'HTTP/1.1 200 OK\n', 'either', SOUND),
  statusLine('empty line before it', `\r\n${OK}`, 'either', SOUND),
  statusLine('blank before it', ` ${OK}`, 'refused'),
  statusLine('twice', OK + OK, 'refused'),
  statusLine('of another protocol', 'ICY 200 OK\r\n', 'refused'),
  statusLine('a request line', 'GET / HTTP/1.1\r\n', 'refused'),
];

const NO_ANSWERS: readonly ReplicaScript[] = [
  script('FIN at once', '', 'refused', FIN),
  script('reset at once', '', 'refused', RESET),
  script('FIN at once, GET', '', 'refused', { ...FIN, method: 'GET' }),
  script('reset at once, GET', '', 'refused', { ...RESET, method: 'GET' }),
  script('one byte, then FIN', 'H', 'refused', FIN),
  script('one byte, then reset', 'H', 'refused', { ...RESET, method: 'GET' }),
  script('half a status line, then FIN', 'HTTP/1.1 200', 'refused', FIN),
  script('half a head, then FIN', `${OK}Content-Le`, 'refused', FIN),
  script('half a head, then reset', `${OK}Content-Le`, 'refused', RESET),
  script('head without its empty line, then FIN', OK + LENGTH, 'refused', FIN),
  script('a body and nothing else', '<html>POISON</html>', 'refused', FIN),
  script('a TLS alert', '\x15\x03\x01\x00\x02\x02\x28', 'refused', FIN),
  script('zero bytes', '\0\0\0\0\0\0\0\0', 'refused'),
];

const FIELDS: readonly ReplicaScript[] = [
  field('no value', 'X-A:\r\n', 'whole', SOUND),
  field('no blank', 'X-A:1\r\n', 'whole', SOUND),
  field('blanks and tabs around the value', 'X-A: \t 1 \t \r\n', 'whole', SOUND),
  field('value beyond ASCII', 'X-A: \xe4\xff\r\n', 'whole', SOUND),
  field('folded', 'X-A: 1\r\n 2\r\n', 'either', SOUND),
  field('folded before the first', ' X-A: 1\r\n', 'refused'),
  field('folded with a tab into a length', 'X-A: 1\r\n\tContent-Length: 2\r\n', 'either', SOUND),
  field('blank before the colon', 'X-A : 1\r\n', 'either', SOUND),
  field('blank before the colon of a coding', 'Transfer-Encoding : chunked\r\n', 'refused'),
  field('no colon', 'X-A\r\n', 'refused'),
  field('no name', ': 1\r\n', 'refused'),
  field('blank in the name', 'X A: 1\r\n', 'refused'),
  field('bracket in the name', 'X(A): 1\r\n', 'refused'),
  field('NUL in the name', 'X\0A: 1\r\n', 'refused'),
  field('name beyond ASCII', 'X\xe4: 1\r\n', 'refused'),
  field('NUL in the value', 'X-A: 1\0\r\n', 'refused'),
  field('bare CR in the value', 'X-A: 1\rX-B: 2\r\n', 'refused'),
  field('bare CR before a length', `X-A: 1\rContent-Length: 2\r\n`, 'refused'),
  field('bare LF', 'X-A: 1\n', 'either', SOUND),
  field('bell in the value', 'X-A: \x07\r\n', 'refused'),
  field('delete in the value', 'X-A: \x7f\r\n', 'refused'),
  script('field: empty line of LF alone', `${OK}${LENGTH}\n${OWN}`, 'either', SOUND),
  field('close', 'Connection: close\r\n', 'whole'),
  field('close among others', 'Connection: x-a , Close\r\nX-A: POISON\r\n', 'whole'),
  field('upgrade offered', 'Connection: upgrade\r\nUpgrade: POISON\r\n', 'whole', SOUND),
  field('200 of them', 'X-A: 1\r\n'.repeat(200), 'whole', SOUND),
  field('5,000 of them', 'X-A: 1\r\n'.repeat(5_000), 'refused'),
  field('one of 8 KiB', `X-A: ${'a'.repeat(8_192)}\r\n`, 'whole', SOUND),
  field('one of 200 KiB', `X-A: ${'a'.repeat(200_000)}\r\n`, 'refused'),
  script('field: one that never ends', `${OK}X-A: ${'a'.repeat(200_000)}`, 'refused'),
];

const LENGTHS: readonly ReplicaScript[] = [
  length('10', 'whole', SOUND),
  length(' \t10\t ', 'whole', SOUND),
  length(' 0000000000000000000010', 'either', SOUND),
  length(' -10', 'refused'),
  length(' +10', 'refused'),
  length(' 0x0a', 'refused'),
  length(' 1e1', 'refused'),
  length(' 10.0', 'refused'),
  length(' 1 0', 'refused'),
  length(' 10;', 'refused'),
  length(' 10, 10', 'either', SOUND),
  length(' 10, 11', 'refused'),
  length(' 10,', 'refused'),
  length('', 'refused'),
  length(' 18446744073709551626', 'refused'),
  length(' 9223372036854775818', 'refused'),
  length(' 99999999999999999999999999', 'refused'),
  field('length twice, equal', LENGTH, 'either', SOUND),
  field('length twice, differing', 'Content-Length: 9\r\n', 'refused'),
  script('length: 3 more bytes', `${OK}${LENGTH}\r\n${OWN}`, 'whole', { behind: 'POI' }),
  script('length: a second answer', `${OK}${LENGTH}\r\n${OWN}`, 'whole', { behind: POISON }),
  script('length: a second answer and FIN', `${OK}${LENGTH}\r\n${OWN}`, 'whole', {
    ...FIN_BEHIND,
    behind: POISON,
  }),
  script('length: half of a second answer', `${OK}${LENGTH}\r\n${OWN}`, 'whole', {
    behind: 'HTTP/1.1 2',
  }),
  script('length: an empty line behind', `${OK}${LENGTH}\r\n${OWN}`, 'whole', { behind: '\r\n' }),
  script('length: 0, and a second answer', `${OK}Content-Length: 0\r\n\r\n`, 'whole', {
    behind: POISON,
    body: '',
  }),
  script('length: FIN behind', `${OK}${LENGTH}\r\n${OWN}`, 'whole', FIN_BEHIND),
  script('length: reset behind', `${OK}${LENGTH}\r\n${OWN}`, 'any', RESET_BEHIND),
  script('length: one byte short', `${OK}Content-Length: 11\r\n\r\n${OWN}`, 'cut', FIN),
  script('length: reset, one byte short', `${OK}Content-Length: 11\r\n\r\n${OWN}`, 'cut', RESET),
  script('length: no body', `${OK}${LENGTH}\r\n`, 'cut', { ...FIN, body: '' }),
];

const CODINGS: readonly ReplicaScript[] = [
  ...['gzip', 'identity', 'gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'xchunked'].map(
    (value) =>
      script(
        `coding: ${value}`,
        `${OK}Transfer-Encoding: ${value}\r\n\r\n${IN_CHUNK}${LAST}`,
        'refused',
      ),
  ),
  ...['"chunked"', 'chunked;q=1', 'chunked,', ',chunked', 'chunked\x0b', ''].map((value) =>
    script(
      `coding: ${JSON.stringify(value)}`,
      `${OK}Transfer-Encoding: ${value}\r\n\r\n${IN_CHUNK}${LAST}`,
      value.includes(',') ? 'either' : 'refused',
      { sound: value.includes(',') },
    ),
  ),
  script('coding: CHUNKED', `${OK}Transfer-Encoding: CHUNKED\r\n\r\n${IN_CHUNK}${LAST}`, 'whole', {
    ...SOUND,
  }),
  script('coding: twice', `${OK}${CHUNKED}${CHUNKED}\r\n${IN_CHUNK}${LAST}`, 'refused'),
  script('coding: and a length', `${OK}${CHUNKED}${LENGTH}\r\n${IN_CHUNK}${LAST}`, 'either'),
  script('coding: behind a length', `${OK}${LENGTH}${CHUNKED}\r\n${IN_CHUNK}${LAST}`, 'either'),
  script(
    'coding: and length 0',
    `${OK}Content-Length: 0\r\n${CHUNKED}\r\n${IN_CHUNK}${LAST}`,
    'either',
  ),
  script(
    'coding: in HTTP/1.0',
    `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n${IN_CHUNK}${LAST}`,
    'refused',
    FIN,
  ),
];

const CHUNKS: readonly ReplicaScript[] = [
  chunks('one', IN_CHUNK + LAST, 'whole', SOUND),
  chunks('several', `1\r\no\r\n1\r\nw\r\n2\r\nn \r\n6\r\n${ID}\r\n${LAST}`, 'whole', SOUND),
  chunks('upper case size', `A\r\n${OWN}\r\n${LAST}`, 'whole', SOUND),
  chunks('none', LAST, 'whole', { ...SOUND, body: '' }),
  chunks('leading zeros', `00000${IN_CHUNK}${LAST}`, 'whole', SOUND),
  chunks('extensions', `${SIZE};a;b=c;d="e f"\r\n${OWN}\r\n0;x\r\n\r\n`, 'whole', SOUND),
  chunks('extension of 20 KiB', `${SIZE};${'a'.repeat(20_000)}\r\n${OWN}\r\n${LAST}`, 'cut', {
    body: '',
  }),
  chunks('NUL in an extension', `${SIZE};\0\r\n${OWN}\r\n${LAST}`, 'cut', { body: '' }),
  chunks('trailers', `${IN_CHUNK}0\r\nX-T: POISON\r\nContent-Length: 3\r\n\r\n`, 'whole', SOUND),
  chunks('bad trailer', `${IN_CHUNK}0\r\nno colon\r\n\r\n`, 'cut'),
  chunks('folded trailer', `${IN_CHUNK}0\r\nX-T: 1\r\n 2\r\n\r\n`, 'cut'),
  chunks('200 KiB of trailers', `${IN_CHUNK}0\r\n${'X-T: 1\r\n'.repeat(25_000)}\r\n`, 'cut'),
  ...['g', '-a', '+a', '0xa', ' a', '', ';a', 'a,', 'a b', '\x0ba'].map((size) =>
    chunks(`size ${JSON.stringify(size)}`, `${size}\r\n${OWN}\r\n${LAST}`, 'cut', { body: '' }),
  ),
  chunks('size with a blank behind', `${SIZE} \r\n${OWN}\r\n${LAST}`, 'any', SOUND),
  chunks('size past 64 bits', `1000000000000000${SIZE}\r\n${OWN}\r\n${LAST}`, 'cut', { body: '' }),
  chunks('size of 16 f', `ffffffffffffffff\r\n${OWN}\r\n${LAST}`, 'cut', { ...FIN }),
  chunks('LF behind a size', `${SIZE}\n${OWN}\r\n${LAST}`, 'cut', { body: '' }),
  chunks('LF behind data', `${SIZE}\r\n${OWN}\n${LAST}`, 'cut'),
  chunks('XX behind data', `${SIZE}\r\n${OWN}XX${LAST}`, 'cut'),
  chunks('data longer than its size', `9\r\n${OWN}\r\n${LAST}`, 'cut'),
  chunks('data shorter than its size', `b\r\n${OWN}\r\n${LAST}`, 'cut', { body: `${OWN}\r` }),
  chunks('a second answer', IN_CHUNK + LAST, 'whole', { behind: POISON }),
  chunks('more chunks behind the last', IN_CHUNK + LAST, 'whole', {
    behind: `6\r\nPOISON\r\n${LAST}`,
  }),
  chunks('FIN behind', IN_CHUNK + LAST, 'whole', FIN_BEHIND),
  chunks('reset behind', IN_CHUNK + LAST, 'any', RESET_BEHIND),
  chunks('no last one', IN_CHUNK, 'cut', FIN),
  chunks('no last one, reset', IN_CHUNK, 'cut', RESET),
  chunks('half of the last one', `${IN_CHUNK}0`, 'cut', FIN),
  chunks('no empty line at the end', `${IN_CHUNK}0\r\n`, 'cut', FIN),
  chunks('within data', `${SIZE}\r\nown`, 'cut', FIN),
];

const INTERIM = 'HTTP/1.1 100 Continue\r\n\r\n';
const HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </POISON>\r\n\r\n';
const GOOD = `${OK}${LENGTH}\r\n${OWN}`;

const INTERIMS: readonly ReplicaScript[] = [
  script('interim: 100', INTERIM + GOOD, 'whole', SOUND),
  script('interim: 102 and 103', `HTTP/1.1 102 P\r\n\r\n${HINTS}${GOOD}`, 'whole', SOUND),
  script('interim: 199', `HTTP/1.1 199 X\r\n\r\n${GOOD}`, 'whole', SOUND),
  script('interim: ten', INTERIM.repeat(10) + GOOD, 'whole', SOUND),
  script('interim: ten thousand', INTERIM.repeat(10_000) + GOOD, 'refused'),
  script('interim: alone', INTERIM, 'refused', FIN),
  script('interim: alone, GET', INTERIM, 'refused', { ...FIN, method: 'GET' }),
  script('interim: alone, then reset', INTERIM, 'refused', RESET),
  script('interim: with a length', `HTTP/1.1 100 C\r\nContent-Length: 6\r\n\r\n${GOOD}`, 'either'),
  script(
    'interim: with a body',
    `HTTP/1.1 100 C\r\nContent-Length: 6\r\n\r\nPOISON${GOOD}`,
    'refused',
  ),
  script('interim: bad field', `HTTP/1.1 103 E\r\nbad\r\n\r\n${GOOD}`, 'refused'),
  script(
    'interim: 101',
    `HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nPOISON`,
    'refused',
  ),
  script('interim: 101 and an answer', `HTTP/1.1 101 S\r\n\r\n${GOOD}`, 'refused'),
];

const OLD = 'HTTP/1.0 200 OK\r\n';

const CLOSE_DELIMITED: readonly ReplicaScript[] = [
  script('1.0: until FIN', `${OLD}\r\n${OWN}`, 'whole', FIN),
  script('1.0: until reset', `${OLD}\r\n${OWN}`, 'cut', RESET),
  script('1.0: empty', `${OLD}\r\n`, 'whole', { ...FIN, body: '' }),
  script('1.0: length', `${OLD}${LENGTH}\r\n${OWN}`, 'whole'),
  script('1.0: length, short', `${OLD}Content-Length: 11\r\n\r\n${OWN}`, 'cut', FIN),
  script('1.0: kept', `${OLD}Connection: keep-alive\r\n${LENGTH}\r\n${OWN}`, 'whole', SOUND),
  script('1.0: a second answer', `${OLD}${LENGTH}\r\n${OWN}`, 'whole', { behind: POISON }),
  script('1.1: until FIN', `${OK}\r\n${OWN}`, 'whole', FIN),
  script('1.1: until reset', `${OK}\r\n${OWN}`, 'cut', RESET),
  script('1.1: said to be kept', `${OK}Connection: keep-alive\r\n\r\n${OWN}`, 'whole', FIN),
];

const NO_BODY = { body: '' } as const;
const HEAD = { method: 'HEAD', ...NO_BODY } as const;

const BODILESS: readonly ReplicaScript[] = [
  script('HEAD: length', `${OK}Content-Length: 1234\r\n\r\n`, 'whole', { ...HEAD, ...SOUND }),
  script('HEAD: chunked', `${OK}${CHUNKED}\r\n`, 'whole', HEAD),
  script('HEAD: nothing said', `${OK}\r\n`, 'whole', { ...HEAD, ...SOUND }),
  script('HEAD: a body', `${OK}Content-Length: 6\r\n\r\n`, 'whole', { ...HEAD, behind: 'POISON' }),
  script('HEAD: chunks', `${OK}${CHUNKED}\r\n`, 'whole', {
    ...HEAD,
    behind: `6\r\nPOISON\r\n${LAST}`,
  }),
  script('HEAD: bad length', `${OK}Content-Length: x\r\n\r\n`, 'refused', HEAD),
  ...[204, 304].flatMap((status) => {
    const line = `HTTP/1.1 ${String(status)} N\r\n`;
    const name = String(status);
    return [
      script(name, `${line}\r\n`, 'whole', { ...NO_BODY, ...SOUND, status }),
      script(`${name}: length 0`, `${line}Content-Length: 0\r\n\r\n`, 'whole', {
        ...NO_BODY,
        ...SOUND,
        status,
      }),
      script(`${name}: length`, `${line}Content-Length: 6\r\n\r\n`, 'whole', {
        ...NO_BODY,
        sound: status === 304,
        status,
      }),
      script(`${name}: a body`, `${line}Content-Length: 6\r\n\r\n`, 'whole', {
        behind: 'POISON',
        ...NO_BODY,
        status,
      }),
      script(`${name}: chunks`, `${line}${CHUNKED}\r\n`, 'whole', {
        behind: `6\r\nPOISON\r\n${LAST}`,
        ...NO_BODY,
        status,
      }),
      script(`${name}: a second answer`, `${line}\r\n`, 'whole', {
        ...NO_BODY,
        status,
        behind: POISON,
      }),
    ];
  }),
];

export const REPLICA_SCRIPTS: readonly ReplicaScript[] = [
  ...STATUS_LINES,
  ...NO_ANSWERS,
  ...FIELDS,
  ...LENGTHS,
  ...CODINGS,
  ...CHUNKS,
  ...INTERIMS,
  ...CLOSE_DELIMITED,
  ...BODILESS,
];
