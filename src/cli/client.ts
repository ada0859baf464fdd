/**
 * The admin port as commands call it: JSON in and out, failures as sentences that say what to do.
 */
import { Agent, request } from 'undici';
import type { Status } from '../control/control-plane.js';
import { messageOf } from '../core/errors.js';
import { CliError, interrupted, type Io } from './io.js';
import { oneLine } from './printable.js';
import { objectOf, text, type Shape } from './shape.js';
import { statusShape } from './status-shape.js';
import { findTarget, type Target, type TargetOptions } from './target.js';

export interface ApiAnswer<T> {
  readonly body: T;
  /** Null when the answer has none. */
  readonly etag: string | null;
  /** What the daemon routed by when it answered; null when a proxy in front has taken it away. */
  readonly revision: number | null;
}

export interface CallOptions {
  readonly body?: unknown;
  /** Instead of a body: a form, as the token endpoint takes it. */
  readonly form?: Readonly<Record<string, string>>;
  readonly ifMatch?: string | null;
  /** Replaces an update in progress instead of being refused. */
  readonly preempt?: boolean;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * From the call to the last byte of its answer. A change may wait for PREPARE_TIMEOUT_MS behind
 * another one; more means that something hangs.
 */
export const CALL_TIMEOUT_MS = 60_000;

/** Of one answer. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export const ANSWER_MIB = String(ANSWER_BYTES_MAX / 1024 / 1024);

export const API = '/api/2.0';

interface RawAnswer {
  readonly status: number;
  readonly etag: string | null;
  readonly revision: number | null;
  readonly text: string;
}

const isError = objectOf<{ error_code: string; message: string }>({
  error_code: text,
  message: text,
});
const isOauthError = objectOf<{ error: string; error_description: string }>({
  error: text,
  error_description: text,
});

/** In the words of the Databricks API, which stay. */
const BEING_UPDATED = /^Endpoint (\S+) is being updated; /;

/** The daemon said no. */
export class RefusedError extends CliError {
  readonly code: string;

  constructor(message: string, code: string, hint = '') {
    super(message, hint);
    this.code = code;
  }
}

/** The caller is known and may not do that. */
export function isDenied(error: unknown): boolean {
  return error instanceof RefusedError && error.code === 'PERMISSION_DENIED';
}

export class AdminClient {
  readonly target: Target;
  readonly #signal: AbortSignal;
  /** One connection per call: a kept one might be closing just when a change is sent on it. */
  readonly #agent = new Agent({ pipelining: 0, maxResponseSize: ANSWER_BYTES_MAX });

  constructor(target: Target, signal: AbortSignal) {
    this.target = target;
    this.#signal = signal;
  }

  /**
   * @param shape what the caller reads of the answer.
   * @throws CliError for everything that can go wrong, the daemon's own refusals included.
   */
  async call<T>(
    method: Method,
    path: string,
    shape: Shape<T>,
    options: CallOptions = {},
  ): Promise<ApiAnswer<T>> {
    const answer = await this.#send(method, path, options);
    const { status, etag, revision } = answer;
    const body = this.#parse(answer);
    if (status < 200 || status > 299) throw this.#refused(status, body, options);
    if (!shape(body)) throw this.#isStranger(status);
    return { body, etag, revision };
  }

  /** A command to copy, for the same daemon. */
  line(words: string): string {
    return `pointsman ${words}${this.target.flags}`;
  }

  /** @throws RefusedError when an admin alone may ask. */
  async status(): Promise<Status> {
    const { body } = await this.call('GET', `${API}/pointsman/status`, statusShape);
    return body;
  }

  /** Null: the daemon shows it to admins alone. */
  async tryStatus(): Promise<Status | null> {
    try {
      return await this.status();
    } catch (error) {
      if (isDenied(error)) return null;
      throw error;
    }
  }

  async #send(method: Method, path: string, options: CallOptions): Promise<RawAnswer> {
    const headers: Record<string, string> = { accept: 'application/json' };
    if (this.target.token !== '') headers['authorization'] = `Bearer ${this.target.token}`;
    if (options.body !== undefined) headers['content-type'] = 'application/json';
    if (options.form !== undefined) headers['content-type'] = 'application/x-www-form-urlencoded';
    if (options.ifMatch) headers['if-match'] = options.ifMatch;
    if (options.preempt) headers['x-pointsman-preempt'] = 'true';
    const deadline = AbortSignal.timeout(CALL_TIMEOUT_MS);
    try {
      const response = await request(`${this.target.url}${path}`, {
        dispatcher: this.#agent,
        method,
        headers,
        body: bodyOf(options),
        signal: AbortSignal.any([this.#signal, deadline]),
      });
      const { etag } = response.headers;
      const revision = Number(response.headers['x-pointsman-revision'] ?? NaN);
      const text = await response.body.text();
      return {
        status: response.statusCode,
        etag: typeof etag === 'string' ? etag : null,
        revision: Number.isSafeInteger(revision) ? revision : null,
        text,
      };
    } catch (error) {
      throw this.#failed(error, deadline);
    }
  }

  #parse({ status, text }: RawAnswer): unknown {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw this.#isStranger(status);
    }
  }

  #refused(status: number, body: unknown, { preempt }: CallOptions): CliError {
    // The token endpoint has the words of OAuth.
    const [code, message] = isError(body)
      ? [body.error_code, body.message]
      : isOauthError(body)
        ? [body.error, body.error_description]
        : [null, ''];
    if (code === null) return this.#isStranger(status);
    const said = oneLine(`${message} (${code})`);
    if (status === 401) {
      const had = this.target.token === '' ? 'No token was found.' : 'The token was not accepted.';
      const hint = `${had} ${this.target.tokenHint}`;
      return new RefusedError(`${this.target.url}: ${said}`, code, hint);
    }
    const busy = preempt === undefined ? null : BEING_UPDATED.exec(message);
    return new RefusedError(said, code, busy === null ? '' : this.#busyHint(busy[1] ?? ''));
  }

  #busyHint(name: string): string {
    const cancel = `End that update with "${this.line(`cancel-update ${name}`)}"`;
    return `${cancel}, or replace it with --preempt (in the API the field X-Pointsman-Preempt: true).`;
  }

  #isStranger(status: number): CliError {
    const { url, source } = this.target;
    return new CliError(
      `${url} answers (status ${String(status)}) what no pointsman daemon sends.`,
      `It is not an admin port, or of another version. The address came from ${source}.`,
    );
  }

  #failed(error: unknown, deadline: AbortSignal): CliError {
    if (this.#signal.aborted) return interrupted();
    const { url, source } = this.target;
    const from = `The address came from ${source}.`;
    if (deadline.aborted) {
      const seconds = String(CALL_TIMEOUT_MS / 1000);
      return new CliError(`${url} has not answered in full within ${seconds} s.`, from);
    }
    const { code } = error as { code?: unknown };
    if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
      return new CliError(`${url} answers with more than ${ANSWER_MIB} MiB.`, from);
    }
    if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET') {
      return new CliError(
        `The connection to ${url} was lost before the answer came. ${from}`,
        `What was asked for may have been done: look with "${this.line('status')}".`,
      );
    }
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
