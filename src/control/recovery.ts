/**
 * What to serve when the data plane refuses the stored revision at a start (design, invariant 4).
 * Pure: the committer tries the drafts in this order until one can be built.
 *
 *   1. the revision before it, then the one before that, up to REVISIONS_UNDONE_MAX
 *   2. nothing at all
 *
 * No endpoint disappears by this: an active config that is taken back stays visible as a failed
 * update, so that its owner sees what happened and can send it again.
 */
import type { RevisionRow } from '../store/store.js';
import { applyDraft, endpointDraft, type Draft } from './content.js';
import type { ConfigRecord, Content, DeploymentRecord, EndpointRecord } from './records.js';

/** Each costs a trial build; a fault that old would have shown itself long ago. */
export const REVISIONS_UNDONE_MAX = 16;

export interface RecoveryPlan {
  readonly next: Content;
  readonly summary: string;
}

/** @param rows newest first, the refused revision first. */
export function* recoveryPlans(
  content: Content,
  rows: readonly RevisionRow[],
  refused: number,
  reason: string,
): Generator<RecoveryPlan> {
  const message = `revision ${String(refused)} could not be served: ${reason}`;
  let next = content;
  for (const row of rows) {
    next = applyDraft(next, undo(row, next, message));
    yield { next, summary: `restore the state before revision ${String(row.number)}: ${message}` };
  }
  const served = [...content.endpoints.values()].filter(({ active }) => active !== null);
  const draft = endpointDraft(served.map((record) => takenBack(record, null, message)));
  yield { next: applyDraft(content, draft), summary: `serve nothing: ${message}` };
}

function undo(row: RevisionRow, content: Content, message: string): Draft {
  const endpoints = new Map<string, EndpointRecord | null>();
  const deployments = new Map<string, DeploymentRecord | null>();
  for (const { kind, name, before } of row.changes) {
    if (kind === 'deployment') {
      deployments.set(name, before === null ? null : (JSON.parse(before) as DeploymentRecord));
      continue;
    }
    const old = before === null ? null : (JSON.parse(before) as EndpointRecord);
    const record = undoEndpoint(old, content.endpoints.get(name) ?? null, message);
    if (record !== null) endpoints.set(name, record);
  }
  return { endpoints, deployments };
}

/** The endpoint with the active config of before; null: it stays as it is. */
function undoEndpoint(
  old: EndpointRecord | null,
  record: EndpointRecord | null,
  message: string,
): EndpointRecord | null {
  if (record === null) {
    if (old?.active == null) return null;
    return { ...old, pending: null, update: 'NOT_UPDATING', message: '' };
  }
  const active = old?.id === record.id ? old.active : null;
  return record.active?.version === active?.version ? null : takenBack(record, active, message);
}

/** A config that waits goes on waiting: its activation has a trial build of its own. */
function takenBack(
  record: EndpointRecord,
  active: ConfigRecord | null,
  message: string,
): EndpointRecord {
  if (record.update === 'IN_PROGRESS' || record.active === null) return { ...record, active };
  const failures = Object.fromEntries(record.active.entities.map(({ name }) => [name, message]));
  return {
    ...record,
    active,
    pending: { config: record.active, startedAt: record.updatedAt, failures },
    update: 'UPDATE_FAILED',
    message,
  };
}
