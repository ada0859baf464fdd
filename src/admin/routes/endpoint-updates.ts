/** Our own calls about the configs of an endpoint: history, rollback, cancel. */
import type { FastifyInstance } from 'fastify';
import type { ControlPlane } from '../../control/control-plane.js';
import { changeOptions, pathParam, requireBody, sendTagged, updateOptions } from '../context.js';

const PATH = '/api/2.0/pointsman/endpoints/:name';

export function endpointUpdateRoutes(app: FastifyInstance, control: ControlPlane): void {
  app.get(`${PATH}/history`, { config: { access: 'CAN_VIEW' } }, (request) => ({
    configs: control.endpointHistory(pathParam(request, 'name')),
  }));

  const manage = { config: { access: 'CAN_MANAGE' } } as const;

  app.post(`${PATH}/rollback`, manage, async (request, reply) => {
    const name = pathParam(request, 'name');
    const body = requireBody(request);
    return sendTagged(reply, await control.rollbackEndpoint(name, body, updateOptions(request)));
  });

  app.post(`${PATH}/cancel-update`, manage, async (request, reply) => {
    const name = pathParam(request, 'name');
    return sendTagged(reply, await control.cancelUpdate(name, changeOptions(request)));
  });
}
