/** The manifest: all deployments and endpoints as one document, JSON or YAML. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { stringify } from 'yaml';
import type { ManifestOptions } from '../../control/control-plane.js';
import { invalidField } from '../../core/errors.js';
import { nearestOf } from '../../core/nearest.js';
import { YAML_TYPES } from '../body-parser.js';
import { requireBody, sendTagged, updateOptions } from '../context.js';
import type { AdminOptions } from '../contract.js';

const PATH = '/api/2.0/pointsman/manifest';

/** Pending configs fail at their deadline; the rest covers the work of saying so. */
const WAIT_MARGIN_MS = 5000;

type ManifestRouteOptions = Pick<AdminOptions, 'control' | 'updateDeadlineMs'>;

export function manifestRoutes(app: FastifyInstance, options: ManifestRouteOptions): void {
  app.get(PATH, (request, reply) => {
    const manifest = sendTagged(reply, options.control.getManifest());
    reply.header('vary', 'accept');
    if (!prefersYaml(request.headers.accept)) return manifest;
    reply.type('application/yaml; charset=utf-8');
    return stringify(manifest, { lineWidth: 100 });
  });
  app.put(PATH, (request) => apply(request, 'replace', options));
  app.patch(PATH, (request) => apply(request, 'upsert', options));
}

async function apply(
  request: FastifyRequest,
  mode: ManifestOptions['mode'],
  options: ManifestRouteOptions,
): Promise<object> {
  const { dryRun, waitAll } = readQuery(request.query as Record<string, unknown>);
  const body = requireBody(request);
  const change = { ...updateOptions(request), mode, dryRun };
  const result = await options.control.applyManifest(body, change);
  if (!waitAll || dryRun) return result;
  const settled = await options.control.waitSettled(options.updateDeadlineMs + WAIT_MARGIN_MS);
  return { ...result, settled };
}

/** Strict: a mistyped `dry_run` would change what was only to be looked at. */
function readQuery(query: Record<string, unknown>): { dryRun: boolean; waitAll: boolean } {
  const known = ['dry_run', 'wait'];
  for (const key of Object.keys(query)) {
    if (known.includes(key)) continue;
    const nearest = nearestOf(key, known);
    const hint = nearest === null ? `known: ${known.join(', ')}` : `did you mean ${nearest}?`;
    throw invalidField(key, `unknown query parameter; ${hint}`);
  }
  const { dry_run: dryRun, wait } = query;
  if (dryRun !== undefined && dryRun !== 'true' && dryRun !== 'false') {
    throw invalidField('dry_run', 'must be true or false');
  }
  if (wait !== undefined && wait !== 'all') throw invalidField('wait', 'must be all');
  return { dryRun: dryRun === 'true', waitAll: wait === 'all' };
}

/** YAML only for who asks for it by name; `*` and browsers get JSON. */
function prefersYaml(accept: string | undefined): boolean {
  const types = (accept ?? '')
    .split(',')
    .map((part) => part.split(';', 1)[0]?.trim().toLowerCase());
  const yamlIndex = types.findIndex((type) => type !== undefined && YAML_TYPES.includes(type));
  const jsonIndex = types.indexOf('application/json');
  return yamlIndex >= 0 && (jsonIndex < 0 || yamlIndex < jsonIndex);
}
