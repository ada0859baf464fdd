/**
 * Per-request state that the hooks set and the routes read, and small readers of what a client
 * sent.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ChangeOptions, Tagged } from '../control/control-plane.js';
import { PointsmanError, invalidField } from '../core/errors.js';
import type { PermissionLevel, Principal } from '../auth/principal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Null on routes that need no credential. */
    principal: Principal | null;
  }
  interface FastifyContextConfig {
    /** Who may call; absent: an admin only. */
    access?: RouteAccess;
  }
}

/**
 * Admins may call everything. Beside them: `public`: no credential needed. `metrics`: none on a
 * loopback-only port. `caller`: every principal but that of the query token. `create-endpoints`: who
 * has that entitlement. A level: who has it on the endpoint that the path names (`:id` or `:name`).
 * `invocation`: who has CAN_QUERY there, the query token, and tokens that are limited to queries.
 */
export type RouteAccess =
  | 'public'
  | 'metrics'
  | 'admin'
  | 'caller'
  | 'create-endpoints'
  | 'invocation'
  | Exclude<PermissionLevel, 'CAN_QUERY'>;

/**
 * ETag as RFC 9110 writes it; weak tags never match, so they are let through to fail the
 * comparison.
 */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e]*"$/;

const PREEMPT_FIELD = 'x-pointsman-preempt';

/** Who calls a route that needs a credential. */
export function callerOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new Error('route without a principal');
  return request.principal;
}

/** @throws PointsmanError for an `If-Match` that is not one entity tag. */
export function changeOptions(request: FastifyRequest): ChangeOptions {
  const { id: principalId, name: principal } = callerOf(request);
  const ifMatch = request.headers['if-match'];
  if (ifMatch === undefined) return { principal, principalId };
  if (!ENTITY_TAG.test(ifMatch)) {
    throw invalidField(
      'If-Match',
      'must be one entity tag in quotes, as the ETag of a GET shows it',
    );
  }
  return { principal, principalId, ifMatch };
}

/**
 * Of a call that may start an update: `X-Pointsman-Preempt: true` replaces one in progress.
 * @throws PointsmanError for any other value but `false`: a mistyped one must not decide.
 */
export function updateOptions(request: FastifyRequest): ChangeOptions {
  const options = changeOptions(request);
  const preempt = request.headers[PREEMPT_FIELD];
  if (preempt === undefined || preempt === 'false') return options;
  if (preempt === 'true') return { ...options, preempt: true };
  throw invalidField('X-Pointsman-Preempt', 'must be true or false');
}

/** The parsed body of a call that must have one. */
export function requireBody(request: FastifyRequest): unknown {
  if (request.body !== undefined) return request.body;
  throw new PointsmanError('MALFORMED_REQUEST', 'The body is empty at line 1, column 1');
}

export function sendTagged<T>(reply: FastifyReply, tagged: Tagged<T>): T {
  reply.header('etag', tagged.etag);
  return tagged.value;
}

/** A parameter of the query string, the last one of its name; null: none. */
export function queryText(request: FastifyRequest, name: string): string | null {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  return [value].flat().at(-1) ?? null;
}

/** A text parameter of the path; the router has decoded it. */
export function pathParam(request: FastifyRequest, name: string): string {
  const value = (request.params as Record<string, string | undefined>)[name];
  if (value === undefined) throw new Error(`route without parameter ${name}`);
  return value;
}
