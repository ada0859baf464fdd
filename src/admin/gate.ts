/**
 * Who may call what on the admin port, decided before a body is read, and again when it is there: fields that have one meaning,
 * the Host name (against name rebinding by web pages), the credential, and what its principal may do.
 */
import type { FastifyRequest } from 'fastify';
import type { Caller } from '../auth/authenticator.js';
import {
  INSUFFICIENT_SCOPE_CHALLENGE,
  INVALID_TOKEN_CHALLENGE,
  MISSING_TOKEN_CHALLENGE,
} from '../auth/bearer.js';
import type { PermissionLevel, Principal } from '../auth/principal.js';
import { isAdmin, isQueryToken, mayCreateEndpoints } from '../auth/stored-identities.js';
import { isLoopback } from '../config/listen-address.js';
import { holds } from '../control/grants.js';
import { invalidField, PointsmanError } from '../core/errors.js';
import type { RouteAccess } from './context.js';
import type { AdminOptions } from './contract.js';

type GateOptions = Pick<
  AdminOptions,
  'authenticate' | 'identities' | 'control' | 'loopbackOnly' | 'allowedHosts' | 'relayed'
>;

/** Fields of which a request has one. Node keeps the first and drops the others; whoever stands in front may keep the last. */
const SINGLE_FIELDS: readonly string[] = ['host', 'authorization', 'content-type'];

/** @throws PointsmanError INVALID_PARAMETER_VALUE (RFC 9110, 5.3; RFC 9112, 3.2) */
export function checkFields(request: FastifyRequest): void {
  const names = request.raw.rawHeaders.filter((_text, index) => index % 2 === 0);
  for (const single of SINGLE_FIELDS) {
    const [, second] = names.filter((name) => name.toLowerCase() === single);
    if (second !== undefined) throw invalidField(second, 'sent more than once');
  }
}

/**
 * Sets `request.principal`.
 * @throws PointsmanError UNAUTHENTICATED, PERMISSION_DENIED, REQUEST_LIMIT_EXCEEDED, or
 *   RESOURCE_DOES_NOT_EXIST for an endpoint whose permissions would decide
 */
export async function admit(request: FastifyRequest, options: GateOptions): Promise<void> {
  const { access } = request.routeOptions.config;
  if (access === 'public') return;
  checkHost(request, options);
  if (access === 'metrics' && options.loopbackOnly) return;
  const address = options.relayed?.clientAddress(request) ?? request.ip;
  const caller = await options.authenticate(request.headers.authorization, address);
  if (caller === null) {
    throw new PointsmanError(
      'UNAUTHENTICATED',
      'A credential is needed: Authorization: Bearer <token>, or Basic with user "token"',
      { challenge: challengeOf(request) },
    );
  }
  request.principal = caller.principal;
  authorize(request, caller, options);
}

function authorize(request: FastifyRequest, caller: Caller, options: GateOptions): void {
  // Whoever may look around is told that a path does not exist.
  const access = request.is404 ? 'caller' : (request.routeOptions.config.access ?? 'admin');
  const { principal, limitedTo } = caller;
  // The data port judges an invocation again, and these tokens and this principal by itself.
  if (access === 'invocation' && (limitedTo !== null || isQueryToken(principal))) return;
  if (limitedTo !== null) {
    throw new PointsmanError(
      'PERMISSION_DENIED',
      'This token is limited to queries of endpoints; ask for one without authorization_details',
      { challenge: INSUFFICIENT_SCOPE_CHALLENGE },
    );
  }
  if (isQueryToken(principal)) {
    throw denied('The query token opens invocations only; use the admin token for this call');
  }
  if (isAdmin(principal)) return;
  if (access === 'caller') return;
  const level = LEVELS[access];
  if (level !== undefined) checkLevel(request, principal, level, options);
  else if (access === 'create-endpoints') checkEntitlement(principal);
  else throw denied(`${principal.name} is no member of the group admins, which this call is for`);
}

/** The level that an access asks for on the endpoint that the path names. */
const LEVELS: Readonly<Partial<Record<RouteAccess, PermissionLevel>>> = {
  CAN_VIEW: 'CAN_VIEW',
  CAN_MANAGE: 'CAN_MANAGE',
  invocation: 'CAN_QUERY',
};

function checkLevel(
  request: FastifyRequest,
  principal: Principal,
  wanted: PermissionLevel,
  { identities, control }: GateOptions,
): void {
  const { name, id } = request.params as { name?: string; id?: string };
  const endpoint = id ?? name ?? '';
  const found = id === undefined ? control.grants.named(endpoint) : control.grants.of(endpoint);
  if (found === null) {
    // The data port has its own words for an endpoint that is not there.
    if (wanted === 'CAN_QUERY') return;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Endpoint ${endpoint} does not exist.`);
  }
  if (holds(identities.permission(principal, found.id), wanted)) return;
  throw denied(`${principal.name} needs ${wanted} on endpoint ${found.name} for this call`);
}

function checkEntitlement(principal: Principal): void {
  if (mayCreateEndpoints(principal)) return;
  throw denied(`${principal.name} needs the entitlement create-endpoints for this call`);
}

/** An empty field is none, as on the data port. */
function challengeOf({ headers }: FastifyRequest): string {
  return (headers.authorization ?? '') === '' ? MISSING_TOKEN_CHALLENGE : INVALID_TOKEN_CHALLENGE;
}

function denied(message: string): PointsmanError {
  return new PointsmanError('PERMISSION_DENIED', message);
}

function checkHost(request: FastifyRequest, options: GateOptions): void {
  const host = hostName(request.headers.host);
  if (options.allowedHosts.includes(host) || isLoopback(host)) return;
  if (!options.loopbackOnly && options.allowedHosts.length === 0) return;
  throw new PointsmanError(
    'PERMISSION_DENIED',
    `Host: ${JSON.stringify(host)} is not a name of this port; add it to admin.allowed_hosts`,
  );
}

/** `[::1]:8081` -> `::1`, `Name:80` -> `name`. */
function hostName(host: string | undefined): string {
  const found = /^\[([^\]]*)\](?::\d*)?$|^([^:]*)(?::\d*)?$/.exec(host ?? '');
  return (found?.[1] ?? found?.[2] ?? '').toLowerCase();
}
