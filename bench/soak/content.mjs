/**
 * What requests and answers of the soak are made of: bytes that follow from the request's id, so that a byte of another
 * answer, or one at the wrong place, is seen.
 */
const ID_DIGITS = 9;

export function idOf(number) {
  return String(number).padStart(ID_DIGITS, '0');
}

/** `size` bytes: the id and a blank, over and over. */
export function fill(id, size) {
  return Buffer.alloc(size, `${id} `, 'latin1');
}

/** Checks pieces as they come; nothing is kept. */
export class Checker {
  #pattern;
  #offset = 0;

  constructor(id) {
    this.#pattern = Buffer.from(`${id} `, 'latin1');
  }

  get bytes() {
    return this.#offset;
  }

  /** False at the first piece that is not what it should be. */
  take(piece) {
    const period = this.#pattern.length;
    const start = this.#offset % period;
    const expected = Buffer.alloc(piece.length + start, this.#pattern).subarray(start);
    this.#offset += piece.length;
    return piece.equals(expected);
  }
}

/** Small and seedable; good enough to mix kinds of requests. */
export function randomFrom(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
