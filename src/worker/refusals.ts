/**
 * What a worker answers by itself instead of relaying, on both doors: one list, in the order of
 * native/front/refusal.h, which fills in the same texts without JS.
 *
 * Words in braces are filled in: `endpoint`, `served`, `entity`, `reason`.
 */
import { errorCodeNumbers, ERROR_CATALOGUE, PointsmanError } from '../core/errors.js';
import type { ErrorCode } from '../core/errors.js';
import { FailureCode, type RefusalText } from '../native/contract.js';
import {
  INSUFFICIENT_SCOPE_CHALLENGE,
  INVALID_TOKEN_CHALLENGE,
  MISSING_TOKEN_CHALLENGE,
} from '../auth/bearer.js';

interface RefusalEntry {
  readonly code: ErrorCode;
  readonly message: string;
  readonly status?: number;
  readonly retryAfterS?: number;
  readonly allow?: string;
  readonly challenge?: string;
}

/** Seconds a client is asked to wait when nothing is ready: about one probe interval. */
const READY_RETRY_S = 2;
/** When it only needs a new connection. */
const AGAIN_RETRY_S = 1;

const DEPLOYMENT = 'limits.max_in_flight of its deployment';
const ENTITY = 'limits.from_workload of its deployment with its workload size';
const FULL = 'and limits.queue requests wait already';
const LATE = 'and no place became free within limits.queue_ms';

const REFUSALS = {
  malformed: { code: 'INVALID_PARAMETER_VALUE', message: 'The request is malformed: {reason}' },
  notImplemented: { code: 'NOT_IMPLEMENTED', message: 'The request is not served: {reason}' },
  methodUnknown: { code: 'NOT_IMPLEMENTED', message: '{reason} is not served' },
  unauthenticated: {
    code: 'UNAUTHENTICATED',
    message: 'A credential is needed: Authorization: Bearer <token>, or Basic with user "token"',
    challenge: MISSING_TOKEN_CHALLENGE,
  },
  tokenInvalid: {
    code: 'UNAUTHENTICATED',
    message: 'The credential of the Authorization field is not valid, has expired or was revoked',
    challenge: INVALID_TOKEN_CHALLENGE,
  },
  forbidden: {
    code: 'PERMISSION_DENIED',
    message: 'The credential does not allow a query of endpoint {endpoint}',
    challenge: INSUFFICIENT_SCOPE_CHALLENGE,
  },
  routeToken: {
    code: 'PERMISSION_DENIED',
    message:
      'Endpoint {endpoint} is route-optimized: its URL takes only OAuth tokens that were issued for it; ask ' +
      '/oidc/v1/token for one with the authorization_details that the endpoint shows in data_plane_info',
    challenge: INSUFFICIENT_SCOPE_CHALLENGE,
  },
  noConfiguration: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'No configuration is active yet',
    retryAfterS: AGAIN_RETRY_S,
  },
  noEndpoint: {
    code: 'ENDPOINT_NOT_FOUND',
    message: 'Endpoint {endpoint} does not exist or has no active config',
  },
  noEntity: {
    code: 'ENDPOINT_NOT_FOUND',
    message: 'Endpoint {endpoint} has no served entity {served}',
  },
  methodNotAllowed: {
    code: 'NOT_IMPLEMENTED',
    message: 'Invocations are sent with POST',
    status: 405,
    allow: 'POST',
  },
  bodyTooLarge: {
    code: 'INVALID_PARAMETER_VALUE',
    message: 'The request body is larger than data_plane.max_request_bytes ({limit})',
    status: 413,
  },
  takenOver: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'Another process has taken over; send the request again on a new connection',
    retryAfterS: AGAIN_RETRY_S,
  },
  headTimeout: {
    code: 'INVALID_PARAMETER_VALUE',
    message: 'The head of the request did not come in time',
    status: 408,
  },
  bodyTimeout: {
    code: 'INVALID_PARAMETER_VALUE',
    message: 'The body of the request came too slowly',
    status: 408,
  },
  noReadyAddress: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'The served entity has no replica that is ready',
    retryAfterS: READY_RETRY_S,
  },
  connectionLimit: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'No connection to a replica can be opened now',
    retryAfterS: READY_RETRY_S,
  },
  replicaTimeout: {
    code: 'DEADLINE_EXCEEDED',
    message: 'The replica did not answer in the time allowed',
  },
  fieldsRefused: {
    code: 'INVALID_PARAMETER_VALUE',
    message: 'The header fields cannot be forwarded',
  },
  unusableAnswer: {
    code: 'INTERNAL_ERROR',
    message: 'The replica gave no usable answer',
    status: 502,
  },
  noVerdict: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'The credential could not be checked, or its user not be made, in time',
    retryAfterS: AGAIN_RETRY_S,
  },
  localFailed: { code: 'INTERNAL_ERROR', message: 'The request could not be handled' },
  deploymentLimit: limited(DEPLOYMENT),
  deploymentQueueFull: limited(`${DEPLOYMENT}, ${FULL}`),
  deploymentQueueTimeout: limited(`${DEPLOYMENT}, ${LATE}`),
  entityLimit: limited(ENTITY),
  entityQueueFull: limited(`${ENTITY}, ${FULL}`),
  entityQueueTimeout: limited(`${ENTITY}, ${LATE}`),
  headTooLarge: {
    code: 'INVALID_PARAMETER_VALUE',
    message: 'The request head is larger than data_plane.max_header_bytes ({headLimit})',
    status: 431,
  },
  outOfMemory: {
    code: 'TEMPORARILY_UNAVAILABLE',
    message: 'There is no memory for the request now',
    retryAfterS: AGAIN_RETRY_S,
  },
  loop: {
    code: 'INTERNAL_ERROR',
    message:
      'The request goes in a loop: a replica of served entity {entity} leads back to pointsman',
    status: 508,
  },
} as const satisfies Record<string, RefusalEntry>;

/** No place under a limit; places become free all the time. */
function limited(reason: string): RefusalEntry {
  return {
    code: 'RESOURCE_EXHAUSTED',
    message: `Served entity {entity} has as many requests in flight as it may have: ${reason}`,
    retryAfterS: AGAIN_RETRY_S,
  };
}

export type Refusal = keyof typeof REFUSALS;

export interface RefusalDetails {
  readonly endpoint?: string;
  readonly served?: string;
  /** The one that was picked. */
  readonly entity?: string;
  readonly reason?: string;
  readonly limit?: number;
  readonly headLimit?: number;
}

const NAMES = Object.keys(REFUSALS) as Refusal[];

/** By which native code knows it. */
export function refusalNumber(refusal: Refusal): number {
  return NAMES.indexOf(refusal);
}

export function refusalError(refusal: Refusal, details: RefusalDetails = {}): PointsmanError {
  const entry: RefusalEntry = REFUSALS[refusal];
  const { code, status, retryAfterS, allow, challenge } = entry;
  return new PointsmanError(code, fill(entry.message, { ...details }), {
    ...(status === undefined ? {} : { status }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    ...(allow === undefined ? {} : { allow }),
    ...(challenge === undefined ? {} : { challenge }),
  });
}

/** How a client is told of an exchange that gave no answer; same in native/front/refusal.cc. */
export function failureRefusal(failure: number): Refusal {
  switch (failure) {
    case FailureCode.NO_READY_ADDRESS:
    case FailureCode.CONNECT_FAILED:
    case FailureCode.CONNECT_TIMEOUT:
      return 'noReadyAddress';
    case FailureCode.CONNECTION_LIMIT:
      return 'connectionLimit';
    case FailureCode.RESPONSE_HEADER_TIMEOUT:
    case FailureCode.TOTAL_TIMEOUT:
    case FailureCode.BODY_IDLE_TIMEOUT:
      return 'replicaTimeout';
    case FailureCode.OUT_OF_MEMORY:
      return 'outOfMemory';
    case FailureCode.BAD_REQUEST:
      return 'fieldsRefused';
    case FailureCode.LOOP:
      return 'loop';
    case FailureCode.DEPLOYMENT_LIMIT:
      return 'deploymentLimit';
    case FailureCode.DEPLOYMENT_QUEUE_FULL:
      return 'deploymentQueueFull';
    case FailureCode.DEPLOYMENT_QUEUE_TIMEOUT:
      return 'deploymentQueueTimeout';
    case FailureCode.ENTITY_LIMIT:
      return 'entityLimit';
    case FailureCode.ENTITY_QUEUE_FULL:
      return 'entityQueueFull';
    case FailureCode.ENTITY_QUEUE_TIMEOUT:
      return 'entityQueueTimeout';
    default:
      return 'unusableAnswer';
  }
}

/** For native code: bodies as JSON, all filled in but what differs from request to request. */
export function refusalTexts(maxRequestBytes: number, maxHeaderBytes: number): RefusalText[] {
  const numbers = errorCodeNumbers();
  return NAMES.map((name) => {
    const entry: RefusalEntry = REFUSALS[name];
    const limits = { limit: maxRequestBytes, headLimit: maxHeaderBytes };
    const message = fill(entry.message, limits);
    return {
      status: entry.status ?? ERROR_CATALOGUE[entry.code].status,
      codeNumber: numbers[entry.code],
      code: entry.code,
      body: JSON.stringify({ error_code: entry.code, message }),
      retryAfterS: entry.retryAfterS ?? 0,
      allow: entry.allow ?? '',
      challenge: entry.challenge ?? '',
    };
  });
}

function fill(message: string, details: Record<string, string | number | undefined>): string {
  return message.replace(/\{(\w+)\}/g, (placeholder, word: string) =>
    String(details[word] ?? placeholder),
  );
}
