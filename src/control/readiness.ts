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

export function configReady(config: ConfigRecord, context: ReadinessContext): boolean {
  return config.entities.every((entity) => entityReadiness(entity, context).ready);
}

/** What the entities that are not ready wait for, by the entity's name. */
export function waitingFor(
  config: ConfigRecord,
  context: ReadinessContext,
): Record<string, string> {
  const waiting: [string, string][] = [];
  for (const entity of config.entities) {
    const { ready, problem } = entityReadiness(entity, context);
    if (!ready) waiting.push([entity.name, problem === '' ? NO_PROBE_YET : problem]);
  }
  return Object.fromEntries(waiting);
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
