/**
 * The verifier thread's end of the token lane (native/front/token_lane.h): unknown tokens come straight from the front,
 * and what nothing could make good is refused here, so that the loop that relays requests runs no JS for it.
 *
 * Only refusals are decided here. What depends on identities, on a look at an issuer's keys or on keys that this thread
 * does not have yet is passed on, and judged as if there were no lane.
 */
import { Socket } from 'node:net';
import { ExpiringMap } from './expiring-map.js';
import { looksCompact } from './compact-token.js';
import { looksLikeAccessToken, tokenOf, type CredentialChecker } from './credentials.js';
import type { TokenVerifier } from './token-verifier.js';
import type { VerifyAnswer } from './trust.js';

/** Longer frames are none of the front's: a head is at most 16 KiB unless configured otherwise, and never this long. */
const FRAME_BYTES_MAX = 16 * 1024 * 1024;
const PREFIX_BYTES = 4;
const QUESTION_BYTES = 12;
const ANSWER_BYTES = 16;
const REFUSED = 0;
const PASSED = 1;

/** Answers that are remembered, so that many requests with one token cost one verification; and for how long. */
const REMEMBERED_MAX = 1024;
const REMEMBERED_TTL_MS = 1_000;
const REMEMBERED_CHARS_MAX = 4_096;

/**
 * Tokens with a key that nobody has heard of which are passed on in each window, to have it looked for; one more is
 * refused as if the look had failed.
 */
const UNKNOWN_KEYS_MAX = 64;
const WINDOW_MS = 100;

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
  #unknownKeys = 0;
  #received: Buffer = Buffer.alloc(0);

  constructor(options: TokenLaneOptions) {
    this.#options = options;
  }

  /** Serves the descriptor, which it takes over, until the front closes the other end. */
  serve(descriptor: number): void {
    const socket = new Socket({ fd: descriptor, readable: true, writable: true });
    socket.on('data', (chunk: Buffer) => {
      socket.write(this.answer(chunk));
    });
    // 'close' follows, and the front hears of it.
    socket.on('error', () => undefined);
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
    this.#received = rest;
    return Buffer.concat(answers);
  }

  #answerOne(question: Buffer): Buffer {
    const trustVersion = question.readUInt32LE(8);
    const authorization = question.toString('latin1', QUESTION_BYTES);
    const verdict = this.#judge(authorization, trustVersion);
    const said = Buffer.from(typeof verdict === 'number' ? '' : JSON.stringify(verdict));
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + ANSWER_BYTES + said.length);
    frame.writeUInt32LE(ANSWER_BYTES + said.length, 0);
    // Connection, generation and trust version, as they came.
    question.copy(frame, PREFIX_BYTES, 0, QUESTION_BYTES);
    frame.writeUInt32LE(verdict === REFUSED ? REFUSED : PASSED, PREFIX_BYTES + QUESTION_BYTES);
    said.copy(frame, PREFIX_BYTES + ANSWER_BYTES);
    return frame;
  }

  #judge(
    authorization: string,
    trustVersion: number,
  ): typeof REFUSED | typeof PASSED | Extract<VerifyAnswer, { ok: true }> {
    const { verifier, localTokens } = this.#options;
    const token = tokenOf(authorization);
    if (token === null) return REFUSED;
    if (looksCompact(token)) {
      if (verifier.version !== trustVersion) return PASSED;
      const answer = this.#verify(token);
      if (answer.ok) return answer;
      if (answer.reason === 'unknown key' && this.#mayLook()) return PASSED;
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
    }
    const known = this.#answers.get(token, now);
    if (known !== undefined && (!known.ok || known.exp > now / 1000)) return known;
    const answer = verifier.verify(token, now / 1000);
    if (token.length <= REMEMBERED_CHARS_MAX) this.#answers.set(token, answer, now);
    return answer;
  }

  #mayLook(): boolean {
    const now = this.#options.nowMs();
    if (Math.abs(now - this.#windowSinceMs) >= WINDOW_MS) {
      this.#windowSinceMs = now;
      this.#unknownKeys = 0;
    }
    this.#unknownKeys += 1;
    return this.#unknownKeys <= UNKNOWN_KEYS_MAX;
  }
}
