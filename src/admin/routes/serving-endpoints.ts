/** Serving endpoints as Databricks has them (reference/databricks-serving-api.md, M1-M5). */
import type { FastifyInstance } from 'fastify';
import type { ControlPlane } from '../../control/control-plane.js';
import { invalidField } from '../../core/errors.js';
import { changeOptions, pathParam, requireBody, sendTagged, updateOptions } from '../context.js';

/** Segments that other calls use in an endpoint's place. */
const RESERVED_NAMES: ReadonlySet<unknown> = new Set(['pt', 'get-model-optimization-info']);

export function servingEndpointRoutes(app: FastifyInstance, control: ControlPlane): void {
  app.post('/api/2.0/serving-endpoints', async (request, reply) => {
    const body = requireBody(request);
    const name =
      typeof body === 'object' && body !== null ? (body as { name?: unknown }).name : null;
    if (RESERVED_NAMES.has(name)) throw invalidField('name', `${String(name)} is a reserved name`);
    return sendTagged(reply, await control.createEndpoint(body, changeOptions(request)));
  });

  app.get('/api/2.0/serving-endpoints', () => ({ endpoints: control.listEndpoints() }));

  app.get('/api/2.0/serving-endpoints/:name', (request, reply) =>
    sendTagged(reply, control.getEndpoint(pathParam(request, 'name'))),
  );

  app.put('/api/2.0/serving-endpoints/:name/config', async (request, reply) => {
    const name = pathParam(request, 'name');
    const body = requireBody(request);
    return sendTagged(reply, await control.updateConfig(name, body, updateOptions(request)));
  });

  app.delete('/api/2.0/serving-endpoints/:name', async (request) => {
    await control.deleteEndpoint(pathParam(request, 'name'), changeOptions(request));
    return {};
  });
}
