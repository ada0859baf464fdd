/** Deployments: where served entities really run. */
import type { FastifyInstance } from 'fastify';
import type { ControlPlane } from '../../control/control-plane.js';
import { changeOptions, pathParam, requireBody, sendTagged } from '../context.js';

export function deploymentRoutes(app: FastifyInstance, control: ControlPlane): void {
  app.get('/api/2.0/pointsman/deployments', () => ({ deployments: control.listDeployments() }));

  app.get('/api/2.0/pointsman/deployments/:name', (request, reply) =>
    sendTagged(reply, control.getDeployment(pathParam(request, 'name'))),
  );

  app.put('/api/2.0/pointsman/deployments/:name', async (request, reply) => {
    const name = pathParam(request, 'name');
    const body = requireBody(request);
    return sendTagged(reply, await control.putDeployment(name, body, changeOptions(request)));
  });

  app.delete('/api/2.0/pointsman/deployments/:name', async (request) => {
    await control.deleteDeployment(pathParam(request, 'name'), changeOptions(request));
    return {};
  });
}
