/**
 * Calls of the Databricks API that clients know and this version does not serve. They answer 501
 * with their name, so that a client's log says what is missing, where 404 would look like a wrong
 * host. Numbers are those of reference/databricks-serving-api.md, section 2.
 */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { PointsmanError } from '../../core/errors.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';

export const UNBUILT_CALLS: readonly (readonly [
  call: string,
  method: HTTPMethods,
  path: string,
])[] = [
  ['M6', 'PATCH', `${ENDPOINTS}/:name/tags`],
  ['M7', 'PUT', `${ENDPOINTS}/:name/rate-limits`],
  ['M8', 'PUT', `${ENDPOINTS}/:name/ai-gateway`],
  ['M9', 'PATCH', `${ENDPOINTS}/:name/notifications`],
  ['M10', 'PATCH', `${ENDPOINTS}/:name/telemetry-config`],
  ['M11', 'PATCH', `${ENDPOINTS}/:name/system-metrics-export-state`],
  ['M12', 'POST', `${ENDPOINTS}/pt`],
  ['M13', 'PUT', `${ENDPOINTS}/pt/:name/config`],
  ['M14', 'GET', `${ENDPOINTS}/:name/served-models/:served/build-logs`],
  ['M15', 'GET', `${ENDPOINTS}/:name/served-models/:served/logs`],
  ['M16', 'GET', `${ENDPOINTS}/:name/metrics`],
  ['M17', 'GET', `${ENDPOINTS}/:name/openapi`],
  ['M22', 'GET', `${ENDPOINTS}/get-model-optimization-info/:model/:version`],
  ['M23', 'GET', `${ENDPOINTS}/:name/events`],
  ['M24', 'POST', '/api/2.0/external-function'],
];

export function unbuiltRoutes(app: FastifyInstance): void {
  for (const [, method, path] of UNBUILT_CALLS) {
    const shown = path.replaceAll(/:(\w+)/g, '{$1}');
    app.route({
      method,
      url: path,
      config: { access: 'caller' },
      handler: () => {
        throw new PointsmanError(
          'NOT_IMPLEMENTED',
          `${method} ${shown} is not served by this version`,
        );
      },
    });
  }
}
