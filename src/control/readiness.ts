/**
 * Whether a served entity can take traffic now, and if not, the sentence that says what it waits
 * for.
 */
import type { ConfigRecord, EndpointRecord, EntityRecord, ServedBy } from './records.js';
import { servingOf } from './records.js';
import type { DeploymentHealth } from './probes.js';

export interface ReadinessContext {
  readonly servedBy: ServedBy;
  healthOf(deployment: string): DeploymentHealth;
}

export interface Readiness {
  readonly ready: boolean;
  /** Empty when ready or when nothing is known yet (no probe has answered). */
  readonly problem: string;
}

const READY: Readiness = { ready: true, problem: '' };

export function entityReadiness(entity: EntityRecord, context: ReadinessContext): Readiness {
  if (entity.externalModel !== null) {
    return {
      ready: false,
      problem: `external models are not served by this version of pointsman (${entity.name})`,
    };
  }
  const serving = servingOf(entity, context.servedBy);
  if (serving === null) return { ready: false, problem: unserved(entity) };
  if (serving.waits) {
    const problem = `deployment ${serving.deployment}: its last change waits for a ready address`;
    return { ready: false, problem };
  }
  const { ready, problem } = context.healthOf(serving.deployment);
  if (ready) return READY;
  return {
    ready: false,
    problem: problem === '' ? '' : `deployment ${serving.deployment}: ${problem}`,
  };
}

/**
 * Whether the config can take over from the active one. An entity that is not ready is no reason to wait where it gets no
 * more traffic than it has: taking it away from a model that is down must not wait for that model.
 */
export function configReady(
  config: ConfigRecord,
  active: ConfigRecord | null,
  context: ReadinessContext,
): boolean {
  return config.entities.every(
    (entity) => gainsNothing(entity, config, active) || entityReadiness(entity, context).ready,
  );
}

/** What the entities that hold a pending config back wait for, by the entity's name. */
export function waitingFor(
  config: ConfigRecord,
  active: ConfigRecord | null,
  context: ReadinessContext,
): Record<string, string> {
  const waiting: [string, string][] = [];
  for (const entity of config.entities) {
    if (gainsNothing(entity, config, active)) continue;
    const { ready, problem } = entityReadiness(entity, context);
    if (!ready) waiting.push([entity.name, problem === '' ? NO_PROBE_YET : problem]);
  }
  return Object.fromEntries(waiting);
}

/** The same model under the same name takes part in the active config, with no smaller a share. */
function gainsNothing(
  entity: EntityRecord,
  config: ConfigRecord,
  active: ConfigRecord | null,
): boolean {
  const now = active?.entities.find(({ name }) => name === entity.name);
  if (active === null || now === undefined || now.externalModel !== null) return false;
  if (now.entityName !== entity.entityName || now.entityVersion !== entity.entityVersion) {
    return false;
  }
  return shareOf(entity, config) <= shareOf(entity, active);
}

function shareOf({ name }: EntityRecord, { routes }: ConfigRecord): number {
  const shares = routes.filter(({ entity }) => entity === name);
  return shares.reduce((sum, { percentage }) => sum + percentage, 0);
}

/** What an entity lacked when its update ended; empty: nothing. */
export function failureOf(record: EndpointRecord, entity: string): string {
  const failures = record.pending?.failures ?? {};
  // A served entity may be named like a member of Object.prototype.
  return Object.hasOwn(failures, entity) ? (failures[entity] ?? '') : '';
}

export const NO_PROBE_YET = 'Creating';

function unserved({ entityName, entityVersion }: EntityRecord): string {
  const what =
    entityVersion === null ? String(entityName) : `${String(entityName)} version ${entityVersion}`;
  return (
    `no deployment serves ${what}; add one with "pointsman apply" or ` +
    'PUT /api/2.0/pointsman/deployments/NAME'
  );
}
