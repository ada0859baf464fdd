/** Chunked bodies that are framed oddly: sizes, extensions, the ends of chunks and of the body, trailers. */
import { CONTROL, head, shown, type Gadget, type GadgetSetting } from './smuggling-kit.js';

const CHUNK_SIZES_REFUSED = [
  ...[
    '0x5',
    '+5',
    '-5',
    ' 5',
    '\t5',
    '5g',
    'g',
    '5,',
    '5,5',
    '"5"',
    '%35',
    '5.',
    '5_',
    '\\x35',
    '5h',
  ],
  ...[
    '5;',
    '5;;',
    '5;=',
    '5;=b',
    '5;a=',
    '5;a b',
    '5;a=b c',
    '5;a="',
    '5;a="b',
    '5;"a"',
    '5:a',
    '5 a',
  ],
  ...[
    '5;a=b\n',
    '5\n',
    '5\r',
    '5\r\r',
    '\r\n5',
    '\n5',
    '',
    ';a',
    ';',
    '10000000000000005',
    '5\n\r',
  ],
  ...[
    'ffffffffffffffff5',
    '8000000000000005',
    '5;a\nX',
    '5;a\rX',
    '5;\r',
    '5;a="\n"',
    '5;a="\r\n"',
  ],
  ...[
    '\xef\xbc\x95',
    '5\xc2\xa0',
    ...CONTROL.flatMap((byte) => [`5${byte}`, `${byte}5`, `5;a${byte}`]),
  ],
];
const CHUNK_SIZES_FINE = [
  '5',
  '05',
  '0000000000000005',
  '5;a',
  '5;a=b',
  '5;a="b"',
  '5;a="b;c"',
  '5;a;b=c',
];
const CHUNK_SIZES_EITHER = [
  '5 ',
  '5\t',
  '5 ;a',
  '5; a',
  '5;a =b',
  '5;a= b',
  '5;a="\\""',
  '5;a="\xe9"',
];
const CHUNK_ENDS_REFUSED = [
  ...[
    '\n',
    '\r',
    '',
    'XX',
    'X\r\n',
    '\n\r',
    ' \r\n',
    '\r\r\n',
    '\r\n\r\n',
    '\0\0',
    '\r\n ',
    '\rX',
    'X\n',
  ],
];
const LAST_CHUNKS_REFUSED = [
  ...[
    '0\n\n',
    '0\r\n\n',
    '0\n\r\n',
    '0\r\r\n',
    '0\r\n\r',
    '-0\r\n\r\n',
    '+0\r\n\r\n',
    '0x0\r\n\r\n',
  ],
  ...[
    '\r\n\r\n',
    '\r\n',
    '0;\r\n\r\n',
    '0\r\nXX',
    '0\r\n X: y\r\n\r\n',
    '0\r\nX : y\r\n\r\n',
    '0h\r\n\r\n',
  ],
  ...[
    '0\r\n: y\r\n\r\n',
    '0\r\nX\r\n\r\n',
    '0\r\nX: y\n\r\n',
    '0\r\nX: y\n\n',
    '0\r\nX: y\r\r\n\r\n',
  ],
  ...[
    '0\r\nX: y\r\n z\r\n\r\n',
    '0\r\nX: \0\r\n\r\n',
    '0\r\nX\0: y\r\n\r\n',
    ' 0\r\n\r\n',
    '0\r\n\t\r\n',
  ],
];
const LAST_CHUNKS_FINE = [
  ...['0\r\n\r\n', '000\r\n\r\n', '0;a=b\r\n\r\n', '0\r\nX: y\r\n\r\n', '0\r\nX: y\r\nZ:\r\n\r\n'],
];
/** Trailers that frame a message must do nothing; refusing them is as good. */
const LAST_CHUNKS_EITHER = [
  ...[
    '0\r\nContent-Length: 5\r\n\r\n',
    '0\r\nTransfer-Encoding: chunked\r\n\r\n',
    '0\r\nHost: b\r\n\r\n',
  ],
  ...['0\r\nConnection: close\r\n\r\n', '0 \r\n\r\n', '0\r\nAuthorization: Bearer x\r\n\r\n'],
];

export function chunkGadgets(setting: GadgetSetting): Gadget[] {
  const start = head(setting, ['Transfer-Encoding: chunked']);
  const refused = (title: string, text: string): Gadget => ({
    title: `chunk ${shown(title)}`,
    bytes: start + text + setting.hidden,
    body: null,
  });
  const read = (title: string, text: string): Gadget => ({
    title: `chunk ${shown(title)}`,
    bytes: start + text,
    body: 'hello',
  });
  return [
    ...CHUNK_SIZES_REFUSED.map((size) => refused(size, `${size}\r\nhello\r\n0\r\n\r\n`)),
    ...CHUNK_SIZES_REFUSED.map((size) =>
      refused(`1,${size}`, `1\r\nx\r\n${size}\r\nhello\r\n0\r\n\r\n`),
    ),
    ...CHUNK_ENDS_REFUSED.map((end) => refused(end, `5\r\nhello${end}0\r\n\r\n`)),
    ...CHUNK_ENDS_REFUSED.map((end) => refused(end, `5\r\nhello${end}1\r\nx\r\n0\r\n\r\n`)),
    ...LAST_CHUNKS_REFUSED.map((last) => refused(last, `5\r\nhello\r\n${last}`)),
    ...CHUNK_SIZES_FINE.map((size) => read(size, `${size}\r\nhello\r\n0\r\n\r\n`)),
    ...CHUNK_SIZES_EITHER.map((size) => read(size, `${size}\r\nhello\r\n0\r\n\r\n`)),
    ...[...LAST_CHUNKS_FINE, ...LAST_CHUNKS_EITHER].map((last) =>
      read(last, `5\r\nhello\r\n${last}`),
    ),
  ];
}
