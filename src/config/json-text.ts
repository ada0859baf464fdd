/**
 * A strict JSON reader (RFC 8259) that knows where every error stands. JSON.parse will not do: its
 * messages differ between Node versions, some carry no position at all (truncated input), and it
 * takes duplicate keys. Here duplicate keys, `__proto__` and nesting deeper than DEPTH_MAX are
 * refused, because two readers of one document must not see two different configurations. So are
 * texts that UTF-8 cannot carry: they would be others once stored, and end whoever decodes strictly.
 */
import { PointsmanError, invalidField } from '../core/errors.js';
import { malformed, positionAt } from './text-position.js';

/** Arrays and objects inside one another. The deepest legal document of ours has 8. */
export const DEPTH_MAX = 100;

/** Keys whose value must not lose its spelling: `1.10` and `2.0` are versions, not numbers. */
const VERSION_KEYS: ReadonlySet<string> = new Set(['entity_version', 'model_version']);

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;
/** A run of letters that need no decoding. */
const PLAIN = /[^"\\\u0000-\u001f]*/y;

/** Half of a pair: JSON can escape it alone. */
const LONE_SURROGATE = /\p{Cs}/u;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/**
 * @throws PointsmanError MALFORMED_REQUEST with line and column; INVALID_PARAMETER_VALUE for a
 * version that is written as a float, and for a text with half of a surrogate pair.
 */
export function parseJson(text: string): unknown {
  return new JsonReader(text).readDocument();
}

/** Refuses the spellings of a version that a number cannot keep. */
export function checkVersionSpelling(path: string, key: string, source: string): void {
  if (!VERSION_KEYS.has(key) || /^-?[0-9]+$/.test(source)) return;
  throw invalidField(
    path,
    `must be a text or an integer, not the number ${source}; put it in quotes`,
  );
}

/** Refuses what no UTF-8 spells. */
export function checkUnicode(path: string, text: string): void {
  if (!LONE_SURROGATE.test(text)) return;
  throw invalidField(path === '' ? 'body' : path, 'must be well-formed Unicode');
}

/** `a.b[0].c` from keys and indices. */
export function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${String(part)}]` : index === 0 ? part : `.${part}`,
    )
    .join('');
}

class JsonReader {
  readonly #text: string;
  readonly #path: (string | number)[] = [];
  #offset = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readDocument(): unknown {
    this.#skipSpace();
    const value = this.#readValue();
    this.#skipSpace();
    if (this.#offset < this.#text.length) throw this.#unexpected('the end');
    return value;
  }

  #readValue(): unknown {
    switch (this.#text[this.#offset]) {
      case '{':
        return this.#readObject();
      case '[':
        return this.#readArray();
      case '"':
        return this.#readString();
      case 't':
        return this.#readWord('true', true);
      case 'f':
        return this.#readWord('false', false);
      case 'n':
        return this.#readWord('null', null);
      default:
        return this.#readNumber();
    }
  }

  #readObject(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#open();
    if (this.#take('}')) return object;
    for (;;) {
      const keyOffset = this.#offset;
      if (this.#text[this.#offset] !== '"') throw this.#unexpected('a key in double quotes');
      const key = this.#readString();
      if (key === '__proto__') throw this.#errorAt(keyOffset, 'The key "__proto__" is not allowed');
      if (Object.hasOwn(object, key)) {
        throw this.#errorAt(keyOffset, `The key ${JSON.stringify(key)} appears twice`);
      }
      this.#skipSpace();
      if (!this.#take(':')) throw this.#unexpected('":"');
      this.#skipSpace();
      this.#path.push(key);
      object[key] = this.#readValue();
      this.#path.pop();
      if (this.#closes('}')) return object;
    }
  }

  #readArray(): unknown[] {
    const array: unknown[] = [];
    this.#open();
    if (this.#take(']')) return array;
    for (;;) {
      this.#path.push(array.length);
      array.push(this.#readValue());
      this.#path.pop();
      if (this.#closes(']')) return array;
    }
  }

  /** Behind a member: true at the closing bracket, false behind a comma. */
  #closes(bracket: string): boolean {
    this.#skipSpace();
    if (this.#take(bracket)) return true;
    if (!this.#take(',')) throw this.#unexpected(`"," or "${bracket}"`);
    this.#skipSpace();
    return false;
  }

  #readString(): string {
    const start = this.#offset;
    this.#offset += 1;
    let value = '';
    let isEscaped = false;
    for (;;) {
      value += this.#match(PLAIN);
      const letter = this.#text[this.#offset];
      if (letter === '"') {
        this.#offset += 1;
        if (isEscaped) checkUnicode(formatPath(this.#path), value);
        return value;
      }
      if (letter === undefined)
        throw this.#errorAt(start, 'A text that starts here has no closing quote,');
      if (letter !== '\\') throw this.#unexpected('an escape in place of a control character');
      value += this.#readEscape();
      isEscaped = true;
    }
  }

  #readEscape(): string {
    const letter = this.#text[this.#offset + 1];
    if (letter === 'u') {
      const digits = this.#text.slice(this.#offset + 2, this.#offset + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits))
        throw this.#unexpected('four hexadecimal digits after \\u');
      this.#offset += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const decoded = letter === undefined ? undefined : ESCAPES[letter];
    if (decoded === undefined) throw this.#unexpected('a known escape');
    this.#offset += 2;
    return decoded;
  }

  #readNumber(): number {
    const start = this.#offset;
    const source = this.#match(NUMBER);
    if (source === '') throw this.#unexpected('a value');
    const value = Number(source);
    if (!Number.isFinite(value)) throw this.#errorAt(start, `The number ${source} is too large`);
    const key = this.#path.at(-1);
    if (typeof key === 'string') checkVersionSpelling(formatPath(this.#path), key, source);
    return value;
  }

  #readWord<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#offset)) throw this.#unexpected('a value');
    this.#offset += word.length;
    return value;
  }

  #open(): void {
    if (this.#path.length >= DEPTH_MAX) {
      throw this.#errorAt(this.#offset, `More than ${String(DEPTH_MAX)} levels of nesting`);
    }
    this.#offset += 1;
    this.#skipSpace();
  }

  #take(letter: string): boolean {
    if (this.#text[this.#offset] !== letter) return false;
    this.#offset += 1;
    return true;
  }

  #skipSpace(): void {
    this.#match(SPACE);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#offset;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#offset += found.length;
    return found;
  }

  #unexpected(expected: string): PointsmanError {
    const code = this.#text.codePointAt(this.#offset);
    const found = code === undefined ? 'the end' : JSON.stringify(String.fromCodePoint(code));
    return this.#errorAt(
      this.#offset,
      `The text is not JSON: found ${found}, expected ${expected},`,
    );
  }

  #errorAt(offset: number, problem: string): PointsmanError {
    return malformed(problem, positionAt(this.#text, offset));
  }
}
