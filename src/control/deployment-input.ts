/**
 * Deployments as manifests and PUT bodies give them -> records with every default filled in. What
 * the schema of src/config/manifest.ts cannot say stands here: URLs, header fields, one deployment
 * per entity version, and a clear refusal of what this version does not do.
 */
import type { DeploymentInput } from '../config/manifest.js';
import { joinPath } from '../config/validate.js';
import { invalidField } from '../core/errors.js';
import { CONNECTION_FIELDS } from '../core/http-fields.js';
import { isRefusedAddress } from '../core/refused-addresses.js';
import { DEPLOYMENT_HEADERS_MAX } from '../config/manifest.js';
import { checkName, checkText } from './input.js';
import {
  entityKey,
  servingSpec,
  type DeploymentRecord,
  type ServedBy,
  type Serving,
} from './records.js';
import { parseReplicaUrl } from './replica-url.js';

/** Fields that belong to the connection or to pointsman, never to a manifest. */
const REFUSED_HEADERS = new Set([
  ...CONNECTION_FIELDS,
  'content-length',
  'x-databricks-request-id',
  'x-request-id',
]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// Visible ASCII with inner spaces and tabs; bytes above are refused because their meaning is not
// settled.
const FIELD_VALUE = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/;

/**
 * @param path where the deployment stands in the request, for messages; empty for a body of its
 *   own.
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming the field.
 */
export function toDeploymentRecord(input: DeploymentInput, path: string): DeploymentRecord {
  const at = (key: string) => joinPath(path, key);
  checkName(input.name, at('name'));
  if (input.protocol === 'openai' || input.protocol === 'oip') {
    throw invalidField(at('protocol'), `${input.protocol} is not supported yet; use mlflow or raw`);
  }
  const urls = new Set<string>();
  input.replicas.forEach((replica, index) => {
    const field = `${at('replicas')}[${String(index)}].url`;
    const { host } = parseReplicaUrl(replica.url, field);
    if (isRefusedAddress(host)) {
      throw invalidField(field, `${host} is a link-local, metadata or hostless address`);
    }
    if (urls.has(replica.url)) throw invalidField(field, `duplicate replica ${replica.url}`);
    urls.add(replica.url);
  });
  checkHeaders(input.headers, at('headers'));
  checkLimits(input.limits, at('limits'));
  return {
    name: input.name,
    spec: {
      ...input,
      serves: input.serves.map((serves, index) =>
        toServes(serves, `${at('serves')}[${String(index)}]`),
      ),
      health: toHealth(input, at('health')),
    },
  };
}

type ServesInput = DeploymentInput['serves'][number];

function toServes(input: ServesInput, path: string): ServesInput {
  checkText(input.entity_name, joinPath(path, 'entity_name'));
  const version = input.entity_version;
  const kind = input.kind ?? (version === undefined ? 'feature_spec' : 'model');
  if (kind === 'model' && version === undefined) {
    throw invalidField(joinPath(path, 'entity_version'), 'missing; a model needs one');
  }
  if (kind === 'feature_spec' && version !== undefined) {
    throw invalidField(joinPath(path, 'entity_version'), 'a feature spec has none');
  }
  if (input.model !== undefined) checkText(input.model, joinPath(path, 'model'));
  const kept = input.model === undefined ? { kind } : { kind, model: input.model };
  if (version === undefined) return { entity_name: input.entity_name, ...kept };
  const text = checkText(String(version), joinPath(path, 'entity_version'));
  return { entity_name: input.entity_name, entity_version: text, ...kept };
}

function toHealth(input: DeploymentInput, path: string): DeploymentInput['health'] {
  const { type, path: probePath, ...rest } = input.health;
  const chosen = type ?? (input.protocol === 'mlflow' || probePath !== undefined ? 'http' : 'tcp');
  if (chosen === 'tcp') {
    if (probePath !== undefined) {
      throw invalidField(joinPath(path, 'path'), 'only with type http');
    }
    return { type: chosen, ...rest };
  }
  const asked = probePath ?? '/ping';
  if (!/^\/[\x21-\x7e]*$/.test(asked) || asked.includes('#')) {
    throw invalidField(joinPath(path, 'path'), 'must begin with / and hold visible ASCII, no #');
  }
  return { type: chosen, path: asked, ...rest };
}

function checkHeaders(headers: Readonly<Record<string, string>>, path: string): void {
  const names = Object.keys(headers);
  if (names.length > DEPLOYMENT_HEADERS_MAX) {
    throw invalidField(path, `takes at most ${String(DEPLOYMENT_HEADERS_MAX)} fields`);
  }
  const seen = new Set<string>();
  for (const name of names) {
    const field = joinPath(path, name);
    const lower = name.toLowerCase();
    const value = headers[name] ?? '';
    if (!TOKEN.test(name)) throw invalidField(field, 'is no field name');
    if (REFUSED_HEADERS.has(lower)) throw invalidField(field, 'is set by pointsman itself');
    if (seen.has(lower)) throw invalidField(field, 'duplicate field name');
    seen.add(lower);
    if (value.includes('{{secrets/')) {
      throw invalidField(field, 'secret references in headers are not supported yet');
    }
    if (!FIELD_VALUE.test(value)) {
      throw invalidField(field, 'must be visible ASCII without spaces at its ends');
    }
  }
}

function checkLimits(limits: DeploymentInput['limits'], path: string): void {
  if (limits.queue === 0) return;
  if (limits.max_in_flight === 0 && !limits.from_workload) {
    throw invalidField(joinPath(path, 'queue'), 'needs max_in_flight or from_workload');
  }
  if (limits.queue_ms === 0) {
    throw invalidField(joinPath(path, 'queue_ms'), 'must be greater than 0 with a queue');
  }
}

/**
 * Which deployment serves which entity version. As long as a deployment is being handed over, it serves what it served,
 * unless nobody is to serve that afterwards.
 * @param pathOf where a deployment stands in the request, for messages.
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming both deployments of a pair that two claim.
 */
export function indexServes(
  deployments: Iterable<DeploymentRecord>,
  pathOf: (deployment: DeploymentRecord) => string,
): ServedBy {
  const servedBy = new Map<string, Serving>();
  const handedOver: DeploymentRecord[] = [];
  for (const deployment of deployments) {
    deployment.spec.serves.forEach((serves, index) => {
      const key = keyOf(serves);
      const other = servedBy.get(key);
      if (other !== undefined) {
        const { entity_name: entity, entity_version: version } = serves;
        const what = version === undefined ? entity : `${entity} version ${String(version)}`;
        throw invalidField(
          joinPath(joinPath(pathOf(deployment), 'serves'), index),
          other.deployment === deployment.name
            ? `duplicate entry of ${what}`
            : `${what} belongs to one deployment, ` +
                `but ${other.deployment} and ${deployment.name} both name it`,
        );
      }
      servedBy.set(key, servingBy(deployment, serves, deployment.serving !== undefined));
    });
    if (deployment.serving !== undefined) handedOver.push(deployment);
  }
  for (const deployment of handedOver) {
    for (const serves of servingSpec(deployment).serves) {
      const key = keyOf(serves);
      if (servedBy.has(key)) servedBy.set(key, servingBy(deployment, serves, false));
    }
  }
  return servedBy;
}

/** The key in `ServedBy`. */
export function keyOf(serves: ServesInput): string {
  const version = serves.entity_version;
  return entityKey(serves.entity_name, version === undefined ? null : String(version));
}

function servingBy({ name }: DeploymentRecord, { kind }: ServesInput, waits: boolean): Serving {
  return { deployment: name, kind: kind ?? 'model', waits };
}
