/**
 * The one catalogue of errors that a client can see, on both ports.
 *
 * `error_code` strings are those that Databricks clients switch on; the status is the HTTP status that
 * goes with the code unless the thrower names another one. docs/errors.md lists the same rows and a test
 * holds the two together.
 */

export interface ErrorEntry {
  /** HTTP status used when the thrower names none. */
  readonly status: number;
  /** One sentence for docs/errors.md: when a client sees the code. */
  readonly when: string;
}

export const ERROR_CATALOGUE = {
  INVALID_PARAMETER_VALUE: {
    status: 400,
    when: 'A field is missing, unknown or has a wrong value',
  },
  MALFORMED_REQUEST: {
    status: 400,
    when: 'The body is not JSON (or not YAML where YAML is taken)',
  },
  UNAUTHENTICATED: { status: 401, when: 'No usable credential came with the request' },
  PERMISSION_DENIED: { status: 403, when: 'The credential is good but does not allow this' },
  ENDPOINT_NOT_FOUND: { status: 404, when: 'An invocation or path names nothing that exists' },
  RESOURCE_DOES_NOT_EXIST: { status: 404, when: 'A management call names nothing that exists' },
  RESOURCE_ALREADY_EXISTS: { status: 400, when: 'A resource of this name already exists' },
  RESOURCE_CONFLICT: { status: 409, when: 'Another change is under way or came first' },
  NOT_IMPLEMENTED: { status: 501, when: 'The call or method is known but not served here' },
  REQUEST_LIMIT_EXCEEDED: { status: 429, when: 'A rate limit is used up' },
  RESOURCE_EXHAUSTED: { status: 429, when: 'A concurrency or queue limit is used up' },
  INTERNAL_ERROR: { status: 500, when: 'pointsman or (502) a replica failed' },
  TEMPORARILY_UNAVAILABLE: { status: 503, when: 'Nothing is ready to answer now; try again' },
  DEADLINE_EXCEEDED: { status: 504, when: 'A replica did not answer in time' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** Numbers of the codes in the catalogue's order, by which shared memory counts them. */
export function errorCodeNumbers(): Record<ErrorCode, number> {
  const codes = Object.keys(ERROR_CATALOGUE);
  return Object.fromEntries(codes.map((code, number) => [code, number])) as Record<
    ErrorCode,
    number
  >;
}

export interface ErrorOptions {
  /** HTTP status, where it differs from the catalogue's (405, 408, 413, 414, 431, 502). */
  readonly status?: number;
  /** Whole seconds for `Retry-After`. */
  readonly retryAfterS?: number;
  /** `Allow` of a 405. */
  readonly allow?: string;
  /** `WWW-Authenticate` of a 401 or 403 (RFC 6750). */
  readonly challenge?: string;
  readonly cause?: unknown;
}

/** An expected failure whose `message` may be shown to the client: no secrets, no replica internals. */
export class PointsmanError extends Error {
  override readonly name = 'PointsmanError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryAfterS: number | null;
  readonly allow: string | null;
  readonly challenge: string | null;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? ERROR_CATALOGUE[code].status;
    this.retryAfterS = options.retryAfterS ?? null;
    this.allow = options.allow ?? null;
    this.challenge = options.challenge ?? null;
  }

  /** The body every client of the API reads: both keys, never empty, no `details` (reference, section 13). */
  toBody(): ErrorBody {
    return { error_code: this.code, message: this.message };
  }
}

export interface ErrorBody {
  error_code: ErrorCode;
  message: string;
}

/** 400 that names the field at fault, e.g. `config.traffic_config.routes[1].traffic_percentage`. */
export function invalidField(field: string, problem: string): PointsmanError {
  return new PointsmanError('INVALID_PARAMETER_VALUE', `${field}: ${problem}`);
}

/** True for a failure that says nothing against what was tried: the same may succeed later. */
export function isTemporary(error: unknown): boolean {
  return error instanceof PointsmanError && error.code === 'TEMPORARILY_UNAVAILABLE';
}

/** The message of an unknown thrown value, for logs. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
