/**
 * The verifier thread's end of the token lane (native/front/token_lane.h): unknown tokens come straight from the front,
 * and what nothing could make good is refused here, so that the loop that relays requests runs no JS for it.
 *
 * Only refusals are decided here. What depends on identities or on keys that this thread does not have yet is passed on,
 * and judged as if there were no lane. So are the first tokens with keys that nobody has heard of, which have them looked
 * for; behind that look such tokens are refused here for a while (`IN_VAIN_MS`).
 */
import { closeSync, writeSync } from 'node:fs';
import { Socket, type OnReadOpts } from 'node:net';
import { ExpiringMap } from './expiring-map.js';
import { looksCompact } from './compact-token.js';
import { looksLikeAccessToken, tokenOf, type CredentialChecker } from './credentials.js';
import type { TokenVerifier } from './token-verifier.js';
import { IN_VAIN_MS, type Verified, type VerifyAnswer } from './trust.js';

/** Longer frames are none of the front's: a head is at most 16 KiB unless configured otherwise, and never this long. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** Read at once; between such parts batches have their turn, after some dozens at the latest. */
const READ_BYTES = 16 * 1024;
const PREFIX_BYTES = 4;
const QUESTION_BYTES = 12;
const ANSWER_BYTES = 16;
const REFUSED = 0;
const PASSED = 1;
const UNDECIDED = 2;
type Verdict = typeof REFUSED | typeof PASSED | typeof UNDECIDED | Verified;

/** Answers that are remembered, so that many requests with one token cost one verification; and for how long. */
const REMEMBERED_MAX = 1024;
const REMEMBERED_TTL_MS = 1_000;
const REMEMBERED_CHARS_MAX = 4_096;

/**
 * Tokens of an issuer with a key that nobody has heard of which are passed on in each window, to have it looked for; while
 * that goes on, one more is undecided. One look finds all keys of the issuer.
 */
const UNKNOWN_KEYS_MAX = 16;
const WINDOW_MS = 1_000;

export interface TokenLaneOptions {
  readonly verifier: Pick<TokenVerifier, 'verify' | 'version'>;
  /** The daemon's own two tokens. */
  readonly localTokens: Pick<CredentialChecker, 'check'>;
  /** Epoch milliseconds. */
  readonly nowMs: () => number;
}

export class TokenLane {
  readonly #options: TokenLaneOptions;
  readonly #answers = new ExpiringMap<string, VerifyAnswer>(REMEMBERED_MAX, REMEMBERED_TTL_MS);
  #answersOf = -1;
  #windowSinceMs = 0;
  /** Passed on in this window, by issuer. One token may come many times. */
  readonly #ofUnknownKeys = new Map<string, Set<string>>();
  /** When the last look at the issuer's keys ended; none since the keys are those of now. */
  readonly #lookedAtMs = new Map<string, number>();
  #received: Buffer = Buffer.alloc(0);

  constructor(options: TokenLaneOptions) {
    this.#options = options;
  }

  /**
   * Serves the descriptor, which it takes over, until the front closes the other end; then calls `onEnd`. Past the streams of
   * Node as far as possible: a token that comes alone would wait for them longer than for its signature.
   */
  serve(descriptor: number, onEnd: () => void): void {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const take = (bytes: number): boolean => {
      const answers = this.answer(buffer.subarray(0, bytes));
      if (answers.length > 0) writeAll(socket, descriptor, answers);
      return true;
    };
    const socket = socketOf(descriptor, { buffer, callback: take });
    // 'close' follows, and the front hears of it.
    socket.on('error', () => undefined);
    socket.on('close', onEnd);
    socket.resume();
  }

  /** Somebody looked for the issuer's keys, and what was found came before. Issuers are those of the configuration. */
  onLooked(issuer: string): void {
    this.#lookedAtMs.set(issuer, this.#options.nowMs());
  }

  /** Bytes of questions; answers those of the answers to all that are whole. */
  answer(chunk: Buffer): Buffer {
    let rest = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const answers: Buffer[] = [];
    while (rest.length >= PREFIX_BYTES) {
      const bytes = rest.readUInt32LE(0);
      if (bytes < QUESTION_BYTES || bytes > FRAME_BYTES_MAX) throw new Error('no frame of a front');
      const end = PREFIX_BYTES + bytes;
      if (rest.length < end) break;
      answers.push(this.#answerOne(rest.subarray(PREFIX_BYTES, end)));
      rest = rest.subarray(end);
    }
    // A copy: the chunk's memory is used again.
    this.#received = Buffer.from(rest);
    const [only] = answers;
    return answers.length === 1 && only !== undefined ? only : Buffer.concat(answers);
  }

  #answerOne(question: Buffer): Buffer {
    const trustVersion = question.readUInt32LE(8);
    const authorization = question.toString('latin1', QUESTION_BYTES);
    const verdict = this.#judgeSafely(authorization, trustVersion);
    const isVerified = typeof verdict !== 'number';
    const said = Buffer.from(isVerified ? JSON.stringify(verdict) : '');
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + ANSWER_BYTES + said.length);
    frame.writeUInt32LE(ANSWER_BYTES + said.length, 0);
    // Connection, generation and trust version, as they came.
    question.copy(frame, PREFIX_BYTES, 0, QUESTION_BYTES);
    frame.writeUInt32LE(isVerified ? PASSED : verdict, PREFIX_BYTES + QUESTION_BYTES);
    said.copy(frame, PREFIX_BYTES + ANSWER_BYTES);
    return frame;
  }

  #judgeSafely(authorization: string, trustVersion: number): Verdict {
    try {
      return this.#judge(authorization, trustVersion);
    } catch {
      // Whatever it is, it concerns one token, and must not end the thread of all.
      return PASSED;
    }
  }

  #judge(authorization: string, trustVersion: number): Verdict {
    const { verifier, localTokens } = this.#options;
    const token = tokenOf(authorization);
    if (token === null) return REFUSED;
    if (looksCompact(token)) {
      if (verifier.version !== trustVersion) return PASSED;
      const answer = this.#verify(token);
      if (answer.ok) return answer;
      if (answer.reason === 'unknown key') {
        const verdict = this.#judgeUnknownKey(token, answer.issuer);
        if (verdict !== REFUSED) return verdict;
      }
    } else if (looksLikeAccessToken(token)) {
      return PASSED;
    }
    // Last: it costs a hash of the token.
    return localTokens.check(authorization) === null ? REFUSED : PASSED;
  }

  #verify(token: string): VerifyAnswer {
    const { verifier, nowMs } = this.#options;
    const now = nowMs();
    if (this.#answersOf !== verifier.version) {
      this.#answersOf = verifier.version;
      this.#answers.clear();
      this.#ofUnknownKeys.clear();
      this.#lookedAtMs.clear();
    }
    const known = this.#answers.get(token, now);
    if (known !== undefined && (!known.ok || known.exp > now / 1000)) return known;
    const answer = verifier.verify(token, now / 1000);
    if (token.length <= REMEMBERED_CHARS_MAX) this.#answers.set(token, answer, now);
    return answer;
  }

  #judgeUnknownKey(token: string, issuer: string): Verdict {
    const now = this.#options.nowMs();
    const lookedAtMs = this.#lookedAtMs.get(issuer);
    if (lookedAtMs !== undefined && Math.abs(now - lookedAtMs) < IN_VAIN_MS) return REFUSED;
    // Also when the clock was set back.
    if (Math.abs(now - this.#windowSinceMs) >= WINDOW_MS) {
      this.#windowSinceMs = now;
      this.#ofUnknownKeys.clear();
    }
    const tokens = this.#ofUnknownKeys.get(issuer) ?? new Set<string>();
    this.#ofUnknownKeys.set(issuer, tokens);
    if (tokens.size < UNKNOWN_KEYS_MAX) tokens.add(token);
    return tokens.has(token) ? PASSED : UNDECIDED;
  }
}

function socketOf(descriptor: number, onread: OnReadOpts): Socket {
  // The types know `onread` of connect() alone; the constructor takes it, too.
  const options = { fd: descriptor, readable: true, writable: true, onread };
  try {
    return new Socket(options);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function writeAll(socket: Socket, descriptor: number, bytes: Buffer): void {
  let written = 0;
  // Behind what the stream still holds nothing may pass.
  if (socket.writableLength === 0) {
    try {
      written = writeSync(descriptor, bytes);
    } catch {
      // The socket is full, or closed; the stream knows what to do.
    }
  }
  if (written < bytes.length) socket.write(Buffer.from(bytes.subarray(written)));
}
