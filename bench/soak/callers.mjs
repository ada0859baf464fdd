/** The clients of the soak: each sends one request after another and checks every byte of what comes back. */
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Checker, fill, idOf } from './content.mjs';

const STUCK_MS = 30_000;
const SLOW_READ_GAP_MS = 10;

/** Kinds of requests, their shares, and sizes from least to most. */
const KINDS = [
  { kind: 'sized', share: 0.6, sizes: [20, 2_000] },
  { kind: 'sized', share: 0.08, sizes: [10_000, 1_000_000] },
  { kind: 'upload', share: 0.1, sizes: [100, 500_000] },
  { kind: 'stream', share: 0.08, sizes: [1, 40] },
  { kind: 'slow', share: 0.02, sizes: [100_000, 1_000_000] },
  { kind: 'reset', share: 0.05, sizes: [1_000, 20_000] },
  { kind: 'endless', share: 0.07, sizes: [100, 100_000] },
];

/**
 *   ok        right to the last byte
 *   refused   an error answer of the daemon
 *   broken    the answer, or the connection before it, broke off
 *   left      we left, as meant
 *   mismatch  a byte or a name that is not ours: the one thing that must never be
 *   stuck     nothing happened for STUCK_MS
 */
export class Caller {
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #target;
  #random;
  #onOutcome;
  #ids;
  /** When the request under way was begun, else 0. */
  busySince = 0;

  constructor({ target, random, ids, onOutcome }) {
    this.#target = target;
    this.#random = random;
    this.#ids = ids;
    this.#onOutcome = onOutcome;
  }

  async run(signal) {
    while (!signal.aborted) {
      this.busySince = performance.now();
      this.#ids.last += 1;
      const one = this.#draw(idOf(this.#ids.last));
      const outcome = await this.#send(one);
      this.#onOutcome({ ...one, ...outcome, tookMs: performance.now() - this.busySince });
      this.busySince = 0;
      if (outcome.outcome === 'refused') await pause(5);
    }
    this.#agent.destroy();
  }

  #draw(id) {
    let left = this.#random();
    const { kind, sizes } = KINDS.find(({ share }) => (left -= share) < 0) ?? KINDS[0];
    const [least, most] = sizes;
    const size = Math.floor(least * (most / least) ** this.#random());
    // Half goes by the split, half straight to the entity whose replica never goes away.
    const steady = this.#random() < 0.5;
    return { id, kind, size, steady };
  }

  #send({ id, kind, size, steady }) {
    const body = kind === 'upload' ? fill(id, size) : Buffer.alloc(0);
    const asked = kind === 'slow' ? 'sized' : kind;
    return new Promise((resolve) => {
      const request = http.request({
        ...this.#target,
        agent: this.#agent,
        method: 'POST',
        path: `/serving-endpoints/soak/${steady ? 'served-models/b/' : ''}invocations`,
        headers: {
          authorization: `Bearer ${this.#target.token}`,
          'x-lab': `${id} ${asked} ${size}`,
          ...(Number(id) % 3 === 0
            ? { 'transfer-encoding': 'chunked' }
            : { 'content-length': body.length }),
        },
      });
      const end = (outcome, detail = '') => {
        clearTimeout(timer);
        resolve({ outcome, detail });
      };
      const timer = setTimeout(() => {
        end('stuck');
        request.destroy();
      }, STUCK_MS);
      request.on('error', (error) => end('broken', error.code ?? error.message));
      request.on('response', (response) => {
        response.on('error', (error) => end('broken', error.code ?? error.message));
        void read(response, { id, kind, size, request }).then(({ outcome, detail }) =>
          end(outcome, detail),
        );
      });
      request.end(body);
    });
  }
}

async function read(response, { id, kind, size, request }) {
  try {
    if (response.headers['x-pointsman-error'] !== undefined) {
      response.resume();
      await new Promise((resolve) => response.once('end', resolve));
      return { outcome: 'refused', detail: String(response.statusCode) };
    }
    const { 'x-lab': lab, 'x-served': served, 'served-model-name': model } = response.headers;
    if (response.statusCode !== 200) return mismatch(`status ${response.statusCode}`);
    if (lab !== id) return mismatch(`answer to ${lab}`);
    if (served?.charAt(0) !== model) return mismatch(`${model} answered by ${served}`);
    return await readBody(response, { id, kind, size, request });
  } catch (error) {
    return { outcome: 'broken', detail: error.code ?? error.message };
  }
}

function mismatch(detail) {
  return { outcome: 'mismatch', detail };
}

async function readBody(response, { id, kind, size, request }) {
  const checker = new Checker(id);
  for await (const piece of response) {
    if (!checker.take(piece)) return mismatch(`a byte before ${checker.bytes}`);
    if (kind === 'endless') {
      request.destroy();
      return { outcome: 'left', detail: '' };
    }
    if (kind === 'slow') await pause(SLOW_READ_GAP_MS);
  }
  if (kind === 'reset') return mismatch('a clean end of what broke off');
  const expected = { upload: 100, stream: size * (id.length + 1) }[kind] ?? size;
  if (checker.bytes !== expected) return mismatch(`${checker.bytes} of ${expected} bytes`);
  return { outcome: 'ok', detail: '' };
}
