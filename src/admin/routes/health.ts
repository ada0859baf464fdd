/** Liveness and readiness for load balancers and init systems; no credential, nothing secret. */
import type { FastifyInstance } from 'fastify';
import type { SupervisorView } from '../contract.js';

export function healthRoutes(app: FastifyInstance, supervisor: SupervisorView): void {
  const config = { access: 'public' } as const;
  app.get('/healthz', { config }, () => ({ status: 'ok' }));

  app.get('/readyz', { config }, (_request, reply) => {
    const { ready, reason } = supervisor.ready();
    if (ready) return { status: 'ready' };
    reply
      .code(503)
      .header('retry-after', '1')
      .header('x-pointsman-error', 'TEMPORARILY_UNAVAILABLE');
    return { error_code: 'TEMPORARILY_UNAVAILABLE', message: reason };
  });
}
