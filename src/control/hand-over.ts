/**
 * Hand-over of traffic from what a deployment is to what a change makes of it: what serves goes on,
 * whole, with its addresses, headers and limits, until a ready address can take over. So a change
 * of a deployment passes the same gate as one of a config, and no address gets another's headers.
 *
 * What an active config has from a deployment may be taken over by the deployment's own new spec or
 * by another deployment that is to serve it. The spec that goes on stands in the record (`serving`),
 * so that a restart goes on with it too.
 */
import { keyOf } from './deployment-input.js';
import type { DraftAndContent } from './activation.js';
import { applyDraft, NO_ENDPOINTS, type Draft } from './content.js';
import type { DeploymentInput } from '../config/manifest.js';
import {
  entityKey,
  isLeaving,
  servingSpec,
  type Content,
  type DeploymentRecord,
  type ServedBy,
} from './records.js';

/** What is known of addresses (probes.ts). */
export interface Gate {
  readyUnder(record: DeploymentRecord): boolean;
  canTakeOver(record: DeploymentRecord, serving: DeploymentInput): boolean;
}

/**
 * The change as it can be made now: deployments that must serve on do so.
 * @param change whose deployments are as they are to be in the end.
 */
export function withHandOver(
  change: DraftAndContent,
  before: Content,
  gate: Gate,
): DraftAndContent {
  const { draft, next } = change;
  if (draft.deployments.size === 0) return change;
  const used = usedKeys(next);
  const held = new Map<string, DeploymentRecord>();
  const takesOver = (target: DeploymentRecord, name: string, serving: DeploymentInput) =>
    target.name === name
      ? gate.canTakeOver(target, serving)
      : !held.has(target.name) && target.serving === undefined && gate.readyUnder(target);
  // Who is held takes nothing over, so that others may have to be held for it.
  for (let found = -1; found < held.size;) {
    found = held.size;
    for (const [name, record] of draft.deployments) {
      const present = before.deployments.get(name);
      if (present === undefined || held.has(name)) continue;
      const serving = servingSpec(present);
      const keys = serving.serves.map(keyOf).filter((key) => used.has(key));
      const own = keys.filter((key) => servesNow(before.servedBy, key, name));
      if (targetsOf(own, next).every((target) => takesOver(target, name, serving))) continue;
      const spec = record?.spec ?? { ...serving, serves: [] };
      held.set(name, { name, spec, serving });
    }
  }
  if (held.size === 0) return change;
  const deployments = new Map([...draft.deployments, ...held]);
  return { draft: { ...draft, deployments }, next: withDeployments(next, deployments) };
}

/**
 * The hand-overs that can be made now; null: none.
 * @param names of deployments that serve on.
 */
export function dueHandOvers(
  content: Content,
  names: Iterable<string>,
  gate: Gate,
): DraftAndContent | null {
  const all = completed(content, names);
  const draft = { endpoints: NO_ENDPOINTS, deployments: all };
  const possible = withHandOver({ draft, next: withDeployments(content, all) }, content, gate);
  const due = [...possible.draft.deployments].filter(([, record]) => record?.serving === undefined);
  if (due.length === 0) return null;
  const deployments = new Map(due);
  return {
    draft: { endpoints: NO_ENDPOINTS, deployments },
    next: withDeployments(content, deployments),
  };
}

/** The content as it will be when everything has been handed over. */
export function withAllHandedOver(content: Content): Content {
  return withDeployments(content, completed(content, content.deployments.keys()));
}

type DraftDeployments = Draft['deployments'];

function completed({ deployments }: Content, names: Iterable<string>): DraftDeployments {
  const after = new Map<string, DeploymentRecord | null>();
  for (const name of names) {
    const record = deployments.get(name);
    if (record?.serving === undefined) continue;
    after.set(name, isLeaving(record) ? null : { name, spec: record.spec });
  }
  return after;
}

function withDeployments(content: Content, deployments: DraftDeployments): Content {
  return applyDraft(content, { endpoints: NO_ENDPOINTS, deployments });
}

/**
 * The deployments that are to serve these. What nobody is to serve is no matter of waiting: that
 * change is refused (content.ts).
 */
function targetsOf(keys: readonly string[], { servedBy, deployments }: Content) {
  const names = new Set(keys.map((key) => servedBy.get(key)?.deployment ?? ''));
  return [...names].flatMap((name) => deployments.get(name) ?? []);
}

function servesNow(servedBy: ServedBy, key: string, name: string): boolean {
  const serving = servedBy.get(key);
  return serving?.deployment === name && !serving.waits;
}

/** What active configs are served by some deployment. */
function usedKeys({ endpoints }: Content): Set<string> {
  const used = new Set<string>();
  for (const { active } of endpoints.values()) {
    for (const { entityName, entityVersion } of active?.entities ?? []) {
      if (entityName !== null) used.add(entityKey(entityName, entityVersion));
    }
  }
  return used;
}
