/** Prometheus text exposition. */
import type { FastifyInstance } from 'fastify';
import type { MetricsSource } from '../contract.js';

export function metricsRoutes(app: FastifyInstance, metrics: MetricsSource): void {
  app.get('/metrics', { config: { access: 'metrics' } }, async (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.render();
  });
}
