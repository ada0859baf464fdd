/**
 * Who may call what on the admin port, decided before a body is read: the Host name (against name
 * rebinding by web pages), the credential, and what its role opens.
 */
import type { FastifyRequest } from 'fastify';
import { isLoopback } from '../config/listen-address.js';
import { PointsmanError } from '../core/errors.js';
import type { AdminOptions } from './contract.js';

type GateOptions = Pick<AdminOptions, 'authenticate' | 'loopbackOnly' | 'allowedHosts'>;

/**
 * Sets `request.principal`.
 * @throws PointsmanError UNAUTHENTICATED or PERMISSION_DENIED
 */
export function admit(request: FastifyRequest, options: GateOptions): void {
  const { access } = request.routeOptions.config;
  if (access === 'public') return;
  checkHost(request, options);
  if (access === 'metrics' && options.loopbackOnly) return;
  const principal = options.authenticate(request.headers.authorization);
  if (principal === null) {
    throw new PointsmanError(
      'UNAUTHENTICATED',
      'A credential is needed: Authorization: Bearer <token>, or Basic with user "token"',
    );
  }
  request.principal = principal;
  if (principal.role === 'query' && access !== 'query') {
    throw new PointsmanError(
      'PERMISSION_DENIED',
      'The query token opens invocations only; use the admin token for this call',
    );
  }
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
