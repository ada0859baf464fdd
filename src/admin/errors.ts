/**
 * Every failure of the admin port ends here: one body form, one header, nothing of the inside
 * shown. Expected failures are PointsmanErrors; fastify's own (limits, bad URLs) are translated by
 * status; anything else is a fault of ours: logged with its stack, answered with a generic 500.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { ADMIN_BODY_BYTES_MAX } from '../core/limits.js';
import { PointsmanError, messageOf, type ErrorCode } from '../core/errors.js';

/** `Retry-After` of a 503 that names none: what is in the way passes soon, or nobody knows when. */
const RETRY_AFTER_S = 1;

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const known = toPointsmanError(error);
  if (known === null) {
    request.log.error({ err: error, requestId: request.id }, 'admin call failed unexpectedly');
  }
  const answer = known ?? unexpected(request.id);
  if (answer.allow !== null) reply.header('allow', answer.allow);
  const retryAfterS = answer.retryAfterS ?? (answer.status === 503 ? RETRY_AFTER_S : null);
  if (retryAfterS !== null) reply.header('retry-after', String(retryAfterS));
  if (answer.challenge !== null) reply.header('www-authenticate', answer.challenge);
  reply
    .code(answer.status)
    .header('x-pointsman-error', answer.code)
    .header('content-type', 'application/json; charset=utf-8')
    .send(JSON.stringify(answer.toBody()));
}

function unexpected(requestId: string): PointsmanError {
  return new PointsmanError(
    'INTERNAL_ERROR',
    `The call failed inside pointsman; request id ${requestId}`,
  );
}

/** Null: not an expected failure. */
function toPointsmanError(error: unknown): PointsmanError | null {
  if (error instanceof PointsmanError) return error;
  const { statusCode: status, code: own } = error as { statusCode?: unknown; code?: unknown };
  if (typeof own !== 'string' || !own.startsWith('FST_ERR_')) return null;
  if (typeof status !== 'number' || status < 400 || status > 499) return null;
  if (status === 413) {
    const limit = String(ADMIN_BODY_BYTES_MAX);
    return new PointsmanError('INVALID_PARAMETER_VALUE', `The body is larger than ${limit} bytes`, {
      status,
    });
  }
  const code: ErrorCode = status === 404 ? 'ENDPOINT_NOT_FOUND' : 'MALFORMED_REQUEST';
  return new PointsmanError(code, messageOf(error), { status, cause: error });
}

/**
 * Whether the next bytes on the connection can be the answer to what is wrong: not inside another answer, nor before
 * or behind one to the same request.
 */
function isOwedAnswer(socket: Socket, last: ServerResponse | undefined): boolean {
  if (last === undefined) return true;
  // Behind the last request: its answer must be out. Within it: none may have begun, and none of an earlier one be
  // under way, for then Node has not given the socket to this one yet.
  if (last.req.complete) return last.writableFinished;
  return last.socket === socket && !last.headersSent;
}

const CLIENT_ERRORS: Readonly<Record<string, { status: number; reason: string; message: string }>> =
  {
    HPE_HEADER_OVERFLOW: {
      status: 431,
      reason: 'Request Header Fields Too Large',
      message: 'The request head is too large',
    },
    ERR_HTTP_REQUEST_TIMEOUT: {
      status: 408,
      reason: 'Request Timeout',
      message: 'The request did not arrive in time',
    },
  };

/** How long a client that is answered so may take to read it and to close its side, in milliseconds. */
const LINGER_MS = 2_000;

/**
 * Answers bytes that are not an HTTP request, or the rest of one that does not come; there may be no request object, so
 * the answer is raw.
 * @param last of the connection's requests whose head was whole; undefined: there was none
 */
export function answerClientError(
  error: Error,
  socket: Socket,
  last: ServerResponse | undefined,
  logger: FastifyBaseLogger,
): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ECONNRESET' || !socket.writable || !isOwedAnswer(socket, last)) {
    socket.destroy();
    return;
  }
  logger.debug({ code }, 'not an HTTP request on the admin port');
  const known = code === undefined ? undefined : CLIENT_ERRORS[code];
  const status = known?.status ?? 400;
  const errorCode = known === undefined ? 'MALFORMED_REQUEST' : 'INVALID_PARAMETER_VALUE';
  const message = known?.message ?? 'The bytes received are not an HTTP/1.1 request';
  const body = JSON.stringify({ error_code: errorCode, message });
  // Closed at once it might be reset, and the answer be lost with it; a client that never closes its side would keep it.
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => {
    clearTimeout(linger);
  });
  socket.end(
    `HTTP/1.1 ${String(status)} ${known?.reason ?? 'Bad Request'}\r\n` +
      `x-pointsman-error: ${errorCode}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${String(Buffer.byteLength(body))}\r\nconnection: close\r\n\r\n${body}`,
  );
}
