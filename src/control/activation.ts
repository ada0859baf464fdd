/** Pending configs of a draft, made active before the draft is committed or tried. Pure. */
import type { Draft } from './content.js';
import { configReady, type ReadinessContext } from './readiness.js';
import type { Content, DeploymentRecord, EndpointRecord } from './records.js';
import { activatedRecord } from './transitions.js';

export interface DraftAndContent {
  readonly draft: Draft;
  readonly next: Content;
}

/**
 * Whatever a draft leaves pending and is ready already becomes active in the draft itself, so that
 * one change makes one revision.
 * @param readyUnder whether a deployment would be ready under a record of the draft.
 */
export function activateInDraft(
  { draft, next }: DraftAndContent,
  readyUnder: (deployment: DeploymentRecord) => boolean,
): DraftAndContent {
  const readiness: ReadinessContext = {
    servedBy: next.servedBy,
    healthOf: (name) => {
      const record = next.deployments.get(name);
      return { ready: record !== undefined && readyUnder(record), problem: '' };
    },
  };
  const activated = new Map<string, EndpointRecord>();
  for (const [name, record] of draft.endpoints) {
    if (record?.update !== 'IN_PROGRESS' || record.pending === null) continue;
    if (configReady(record.pending.config, record.active, readiness)) {
      activated.set(name, activatedRecord(record));
    }
  }
  return {
    draft: { ...draft, endpoints: new Map([...draft.endpoints, ...activated]) },
    next: { ...next, endpoints: next.endpoints.with(activated) },
  };
}

/** The content as it will be when everything that the draft leaves pending has become active. */
export function withPendingsActive({ draft, next }: DraftAndContent): Content {
  const activated = new Map<string, EndpointRecord>();
  for (const record of draft.endpoints.values()) {
    if (record?.update === 'IN_PROGRESS') activated.set(record.name, activatedRecord(record));
  }
  return { ...next, endpoints: next.endpoints.with(activated) };
}
