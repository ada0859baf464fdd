/**
 * The admin port as commands call it: JSON in and out, failures as sentences that say what to do.
 */
import { Agent, request } from 'undici';
import type { Status } from '../control/control-plane.js';
import { messageOf } from '../core/errors.js';
import { CliError, EXIT_INTERRUPTED, type Io } from './io.js';
import { oneLine } from './printable.js';
import { findTarget, type Target, type TargetOptions } from './target.js';

export interface ApiAnswer {
  readonly body: unknown;
  /** Null when the answer has none. */
  readonly etag: string | null;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Instead of a body: a form, as the token endpoint takes it. */
  readonly form?: Readonly<Record<string, string>>;
  readonly ifMatch?: string | null;
  /** Replaces an update in progress instead of being refused. */
  readonly preempt?: boolean;
  /** Default CALL_TIMEOUT_MS. */
  readonly timeoutMs?: number;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** A change may wait for PREPARE_TIMEOUT_MS behind another one; more means that something hangs. */
const CALL_TIMEOUT_MS = 60_000;

export const API = '/api/2.0';

/** The daemon said no. */
export class RefusedError extends CliError {
  /** Empty when the answer has none. */
  readonly code: string;

  constructor(message: string, code: string, hint = '') {
    super(message, hint);
    this.code = code;
  }
}

export class AdminClient {
  readonly target: Target;
  readonly #signal: AbortSignal;
  /** One connection per call: a kept one might be closing just when a change is sent on it. */
  readonly #agent = new Agent({ pipelining: 0 });

  constructor(target: Target, signal: AbortSignal) {
    this.target = target;
    this.#signal = signal;
  }

  /** @throws CliError for everything that can go wrong, the daemon's own refusals included. */
  async call(method: Method, path: string, options: CallOptions = {}): Promise<ApiAnswer> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.target.token !== '') headers['authorization'] = `Bearer ${this.target.token}`;
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.form !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
    if (options.ifMatch) headers['if-match'] = options.ifMatch;
    if (options.preempt) headers['x-pointsman-preempt'] = 'true';
    const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
    let answer: { status: number; etag: string | null; text: string };
    try {
      const response = await request(`${this.target.url}${path}`, {
        dispatcher: this.#agent,
        method,
        headers,
        body: bodyOf(options),
        signal: this.#signal,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      const { etag } = response.headers;
      const text = await response.body.text();
      answer = { status: response.statusCode, etag: typeof etag === 'string' ? etag : null, text };
    } catch (error) {
      throw this.#unreachable(error);
    }
    const body = this.#parse(answer.text);
    if (answer.status < 200 || answer.status > 299) throw this.#refused(answer.status, body);
    return { body, etag: answer.etag };
  }

  async status(): Promise<Status> {
    const { body } = await this.call('GET', `${API}/pointsman/status`);
    return body as Status;
  }

  #parse(text: string): unknown {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new CliError(
        `${this.target.url} does not answer in JSON; it is not a pointsman admin port.`,
        `The address came from ${this.target.source}.`,
      );
    }
  }

  #refused(status: number, body: unknown): CliError {
    const said = body as Readonly<Record<string, unknown>>;
    // The token endpoint has the words of OAuth.
    const code = said['error_code'] ?? said['error'];
    const message = said['message'] ?? said['error_description'];
    const known = typeof message === 'string' && typeof code === 'string';
    const text = known ? oneLine(`${message} (${code})`) : `status ${String(status)}`;
    if (status === 401) {
      const had = this.target.token === '' ? 'No token was found.' : 'The token was not accepted.';
      const hint = `${had} ${this.target.tokenHint}`;
      return new RefusedError(`${this.target.url}: ${text}`, known ? code : '', hint);
    }
    return new RefusedError(text, known ? code : '');
  }

  #unreachable(error: unknown): CliError {
    if (this.#signal.aborted) return new CliError('Interrupted.', '', EXIT_INTERRUPTED);
    const { url, source } = this.target;
    const { code } = error as { code?: unknown };
    const why = typeof code === 'string' ? code : messageOf(error);
    return new CliError(
      `No daemon answers at ${url} (${why}); the address came from ${source}.`,
      'Start one with "pointsman serve", or name a running one with --host URL or POINTSMAN_HOST.',
    );
  }
}

function bodyOf({ body, form }: CallOptions): string | null {
  if (form !== undefined) return new URLSearchParams(form).toString();
  return body === undefined ? null : JSON.stringify(body);
}

export async function createClient(options: TargetOptions, io: Io): Promise<AdminClient> {
  return new AdminClient(await findTarget(options, io), io.signal);
}
