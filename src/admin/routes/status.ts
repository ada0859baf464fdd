/** The daemon's state in one answer: what the command line and people look at first. */
import type { FastifyInstance } from 'fastify';
import type { Status } from '../../control/control-plane.js';
import type { AdminOptions } from '../contract.js';

type StatusOptions = Pick<AdminOptions, 'control' | 'supervisor' | 'version'>;

export function statusRoutes(app: FastifyInstance, options: StatusOptions): void {
  const { control, supervisor, version } = options;
  app.get('/api/2.0/pointsman/status', (): Status => {
    const { revision, endpoints, deployments } = control.status();
    const uptime = Math.floor(process.uptime());
    const workers = supervisor.workers();
    return { version, revision, uptime_s: uptime, workers, endpoints, deployments };
  });
}
