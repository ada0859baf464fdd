/** Serving endpoints as Databricks has them (reference/databricks-serving-api.md, M1-M5). */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isAdmin, type StoredIdentities } from '../../auth/stored-identities.js';
import type { ControlPlane, JsonObject, Tagged } from '../../control/control-plane.js';
import { invalidField } from '../../core/errors.js';
import {
  callerOf,
  changeOptions,
  pathParam,
  requireBody,
  sendTagged,
  updateOptions,
} from '../context.js';

const PATH = '/api/2.0/serving-endpoints';

/** Segments that other calls use in an endpoint's place. */
const RESERVED_NAMES: ReadonlySet<unknown> = new Set(['pt', 'get-model-optimization-info']);

export function servingEndpointRoutes(
  app: FastifyInstance,
  control: ControlPlane,
  identities: StoredIdentities,
): void {
  const withLevel = (request: FastifyRequest, { value, etag }: Tagged<JsonObject>) => {
    const { id } = value;
    const level = typeof id === 'string' ? identities.permission(callerOf(request), id) : null;
    return { value: level === null ? value : { ...value, permission_level: level }, etag };
  };

  app.post(PATH, { config: { access: 'create-endpoints' } }, async (request, reply) => {
    const body = requireBody(request);
    const name =
      typeof body === 'object' && body !== null ? (body as { name?: unknown }).name : null;
    if (RESERVED_NAMES.has(name)) throw invalidField('name', `${String(name)} is a reserved name`);
    return sendTagged(reply, await control.createEndpoint(body, changeOptions(request)));
  });

  app.get(PATH, { config: { access: 'caller' } }, (request) => {
    const caller = callerOf(request);
    const all = control.listEndpoints();
    if (isAdmin(caller)) return { endpoints: all };
    const mayView = ({ id }: JsonObject) => identities.permission(caller, id as string) !== null;
    return { endpoints: all.filter(mayView) };
  });

  app.get(`${PATH}/:name`, { config: { access: 'CAN_VIEW' } }, (request, reply) => {
    const endpoint = control.getEndpoint(pathParam(request, 'name'));
    return sendTagged(reply, withLevel(request, endpoint));
  });

  const manage = { config: { access: 'CAN_MANAGE' } } as const;

  app.put(`${PATH}/:name/config`, manage, async (request, reply) => {
    const name = pathParam(request, 'name');
    const body = requireBody(request);
    return sendTagged(reply, await control.updateConfig(name, body, updateOptions(request)));
  });

  app.delete(`${PATH}/:name`, manage, async (request) => {
    await control.deleteEndpoint(pathParam(request, 'name'), changeOptions(request));
    return {};
  });
}
