/** Where in a text something is, and the one form in which document errors say so. */
import { PointsmanError } from '../core/errors.js';

const REPLACEMENT = '\uFFFD';

/** Both count from 1; columns count UTF-16 units, as editors do. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** `offset` in UTF-16 units; LF, CRLF and CR each end a line. */
export function positionAt(text: string, offset: number): TextPosition {
  let line = 1;
  let lineStart = 0;
  for (let index = 0; index < offset; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit === 0x0a || (unit === 0x0d && text.charCodeAt(index + 1) !== 0x0a)) {
      line += 1;
      lineStart = index + 1;
    }
  }
  return { line, column: offset - lineStart + 1 };
}

/** 400 MALFORMED_REQUEST that ends in `at line L, column C`. */
export function malformed(problem: string, position: TextPosition): PointsmanError {
  const where = `at line ${String(position.line)}, column ${String(position.column)}`;
  return new PointsmanError('MALFORMED_REQUEST', `${problem} ${where}`);
}

/** UTF-8 to text; a byte order mark is dropped. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // The lenient decoder puts U+FFFD where the first bad sequence stands. A text may hold that
    // character itself, so the position is that of the first one whose bytes are not EF BF BD.
    const lenient = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    throw malformed('The text is not UTF-8', positionAt(lenient, firstReplacement(lenient, bytes)));
  }
}

function firstReplacement(lenient: string, bytes: Uint8Array): number {
  let index = lenient.indexOf(REPLACEMENT);
  while (index >= 0) {
    const at = Buffer.byteLength(lenient.slice(0, index));
    const genuine = bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd;
    if (!genuine) return index;
    index = lenient.indexOf(REPLACEMENT, index + 1);
  }
  return lenient.length;
}
