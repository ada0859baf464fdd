/**
 * Messages that two parsers could cut differently, each with a whole request hidden where one of the readings ends. They are
 * generated: spellings of names and values, white space, line ends, chunk framing, request lines, in every place.
 *
 * A gadget may be refused, or be one message with exactly `body`; where there is no `body` it must be refused.
 */
import { chunkGadgets } from './smuggling-chunks.js';
import { headGadgets } from './smuggling-heads.js';

import { CONTROL, head, shown, type Gadget, type GadgetSetting } from './smuggling-kit.js';

/** Lines that some parser takes for a field of this name. */
function spellingsOf(name: string): string[] {
  const [first = '', second = ''] = name.split('-');
  return [
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    `${first}_${second}`,
    `${first}.${second}`,
    `${first}--${second}`,
    `${first} ${second}`,
    `${first}${second}`,
    `${name} `,
    `${name}\t`,
    ` ${name}`,
    `\t${name}`,
    `${name}:`,
    `:${name}`,
    `"${name}"`,
    `(${name})`,
    `X-${name}`,
    `${name}-X`,
    `X: a\r\n ${name}`,
    `X: a\r\n\t${name}`,
    `X: a\n${name}`,
    `X: a\r${name}`,
    `X: a\n\r${name}`,
    `X: a\r\r\n${name}`,
    `X\r\n${name}`,
    `: a\r\n${name}`,
    `:\r\n${name}`,
    `\n${name}`,
    `\r${name}`,
    ...CONTROL.flatMap((byte) => [`${byte}${name}`, `${name}${byte}`, `${first}${byte}${second}`]),
  ];
}

function codings(): string[] {
  return [
    ...[
      'chunked',
      'Chunked',
      'CHUNKED',
      'chunked ',
      '\tchunked\t',
      ' chunked',
      'xchunked',
      'chunkedx',
    ],
    ...[
      'chunked,',
      ',chunked',
      'chunked, chunked',
      'chunked,identity',
      'identity, chunked',
      'gzip',
    ],
    ...['gzip, chunked', 'chunked, gzip', 'identity', '', '"chunked"', "'chunked'", 'chunked;q=1'],
    ...[
      'chunked;a',
      'chunk',
      'chun\tked',
      'chunked chunked',
      'x chunked',
      'chunked\r\n x',
      '\r\n chunked',
    ],
    ...[
      'identity\r\nTransfer-Encoding: chunked',
      'chunked\r\nTransfer-Encoding: identity',
      'null',
      '0',
    ],
    ...CONTROL.flatMap((byte) => [`${byte}chunked`, `chunked${byte}`, `chu${byte}nked`]),
  ];
}

/** Values of Content-Length that some parser reads as `length`. */
function lengthsLike(length: number): string[] {
  const plain = String(length);
  const hex = length.toString(16);
  return [
    ...[`0${plain}`, `+${plain}`, `-${plain}`, ` ${plain}`, `${plain} `, `\t${plain}`, `${plain},`],
    ...[
      `,${plain}`,
      `${plain},${plain}`,
      `${plain}, 0`,
      `0, ${plain}`,
      `0x${hex}`,
      `${hex}h`,
      `${plain}.0`,
    ],
    ...[
      `${plain}e0`,
      `${plain};`,
      `"${plain}"`,
      `${plain} ${plain}`,
      `${plain}\r\n 0`,
      `\r\n ${plain}`,
    ],
    ...[
      `${plain}_`,
      `${plain}L`,
      '',
      ' ',
      'x',
      '-0',
      '+0',
      '00',
      '1e1',
      `18446744073709551616${plain}`,
    ],
    ...[`${plain}\r\nContent-Length: ${plain}`, `${plain}\r\nContent-Length: 0`],
    ...CONTROL.flatMap((byte) => [`${byte}${plain}`, `${plain}${byte}`]),
  ];
}

function chunk(data: string): string {
  return `${data.length.toString(16)}\r\n${data}\r\n`;
}

/** The length says that the hidden request is a part of the body; the coding, if it is believed, that it is not. */
function lengthBesideCoding(setting: GadgetSetting): Gadget[] {
  const body = `0\r\n\r\n${setting.hidden}`;
  const length = `Content-Length: ${String(body.length)}`;
  const lines = [
    ...spellingsOf('Transfer-Encoding').flatMap((name) => [`${name}: chunked`, `${name}:identity`]),
    ...codings().map((value) => `Transfer-Encoding:${value}`),
    ...codings().map((value) => `Transfer-encoding: ${value}`),
  ];
  return lines.flatMap((line) =>
    [
      [length, line],
      [line, length],
    ].map((both) => ({ title: shown(both.join('|')), bytes: head(setting, both) + body, body })),
  );
}

/** The coding says that the hidden request is a part of the body; the length, if it is believed, that it is not. */
function codingBesideLength(setting: GadgetSetting): Gadget[] {
  const body = `A=1${setting.hidden}`;
  const start = `${body.length.toString(16)}\r\nA=1`;
  const coding = 'Transfer-Encoding: chunked';
  const lines = [
    ...spellingsOf('Content-Length').map((name) => `${name}: ${String(start.length)}`),
    ...lengthsLike(start.length).map((value) => `Content-Length:${value}`),
    ...lengthsLike(0).map((value) => `Content-Length: ${value}`),
  ];
  return lines.flatMap((line) =>
    [
      [coding, line],
      [line, coding],
    ].map((both) => ({
      title: shown(both.join('|')),
      bytes: `${head(setting, both)}${chunk(body)}0\r\n\r\n`,
      body,
    })),
  );
}

/** Two lengths, of which the other one ends before the hidden request. */
function twoLengths(setting: GadgetSetting): Gadget[] {
  const body = `A=1${setting.hidden}`;
  const length = `Content-Length: ${String(body.length)}`;
  const lines = [
    ...spellingsOf('Content-Length').map((name) => `${name}: 3`),
    ...lengthsLike(3).map((value) => `Content-Length: ${value}`),
  ];
  return lines.flatMap((line) =>
    [
      [length, line],
      [line, length],
    ].map((both) => ({ title: shown(both.join('|')), bytes: head(setting, both) + body, body })),
  );
}

/** A length that is no number, and nothing beside it. */
function oddLengths(setting: GadgetSetting): Gadget[] {
  const body = `A=1${setting.hidden}`;
  const values = lengthsLike(body.length).filter((value) => !/^[-+]?0+$/.test(value));
  return values.map((value) => ({
    title: `Content-Length alone ${shown(value)}`,
    bytes: `${head(setting, [`Content-Length:${value}`])}${body}`,
    body,
  }));
}

export function gadgets(setting: GadgetSetting): Gadget[] {
  return [
    ...lengthBesideCoding(setting),
    ...codingBesideLength(setting),
    ...twoLengths(setting),
    ...oddLengths(setting),
    ...chunkGadgets(setting),
    ...headGadgets(setting),
  ];
}
