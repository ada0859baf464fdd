/**
 * A manifest against the present content -> the draft that would bring them together, and the list
 * of what changes. Deployments come before endpoints. Pure: the control plane commits the plan or
 * (dry run) drops it.
 */
import { validateManifest, type ManifestEndpointInput } from '../config/manifest.js';
import { invalidField } from '../core/errors.js';
import { parseConfig } from './config-input.js';
import { applyDraft, type Draft } from './content.js';
import type { JsonObject, ManifestChange } from './control-plane.js';
import { toDeploymentRecord } from './deployment-input.js';
import { checkEndpointName, parseTags } from './endpoint-input.js';
import { configAsInput } from './endpoint-view.js';
import {
  creatorGrants,
  grantsAsInput,
  parseGrants,
  replaceGrants,
  type Directory,
} from './grants.js';
import { Fields } from './input.js';
import { differingPaths, sameJson } from './json.js';
import type { Content, DeploymentRecord, EndpointRecord } from './records.js';
import { isLeaving, wantedConfig } from './records.js';
import { beingUpdated, newEndpoint, pendingRecord } from './transitions.js';

export interface PlanOptions {
  readonly mode: 'replace' | 'upsert';
  readonly principal: string;
  /** Updates in progress are replaced instead of refused. */
  readonly preempt: boolean;
  readonly nowMs: number;
  readonly createId: () => string;
  /** Id of `principal`, where it has one. */
  readonly creatorId: string | undefined;
  readonly directory: Directory;
}

export interface Plan {
  readonly changes: ManifestChange[];
  readonly draft: Draft;
  readonly next: Content;
}

/** A manifest after validation of everything that needs no look at the present content. */
export interface ReadManifest {
  readonly deployments: readonly DeploymentRecord[];
  readonly endpoints: readonly ManifestEndpointInput[];
}

/** @throws PointsmanError INVALID_PARAMETER_VALUE naming the field. */
export function readManifest(manifest: unknown): ReadManifest {
  const { deployments, endpoints } = validateManifest(manifest);
  const records = deployments.map((input, index) =>
    toDeploymentRecord(input, `deployments[${String(index)}]`),
  );
  checkUnique('deployments', records);
  checkUnique('endpoints', endpoints);
  return { deployments: records, endpoints };
}

/**
 * @throws PointsmanError naming the field, or RESOURCE_CONFLICT when an endpoint is being updated.
 */
export function planManifest(input: ReadManifest, content: Content, options: PlanOptions): Plan {
  const { deployments } = input;
  const places = new Map(deployments.map((one, index) => [one, `deployments[${String(index)}]`]));
  const changes: ManifestChange[] = [];
  const drafted = draftDeployments(deployments, content, options, changes);

  const gone = options.mode === 'replace' ? missingFrom(content.endpoints, input.endpoints) : [];
  const removal: Draft = {
    endpoints: new Map(gone.map((name) => [name, null])),
    deployments: drafted,
  };
  const placed = applyDraft(content, removal, (one) => places.get(one) ?? '');
  const endpoints = new Map<string, EndpointRecord | null>(removal.endpoints);
  input.endpoints.forEach((endpoint, index) => {
    const path = `endpoints[${String(index)}]`;
    const record = planEndpoint(endpoint, path, placed, options, changes);
    if (record !== null) endpoints.set(record.name, record);
  });
  for (const name of gone) changes.push({ kind: 'endpoint', name, action: 'delete', fields: [] });
  const draft = { endpoints, deployments: drafted };
  return { changes, draft, next: applyDraft(content, draft, (one) => places.get(one) ?? '') };
}

function checkUnique(list: string, items: readonly { readonly name: string }[]): void {
  const seen = new Map<string, number>();
  items.forEach(({ name }, index) => {
    const before = seen.get(name);
    if (before !== undefined) {
      throw invalidField(
        `${list}[${String(index)}].name`,
        `duplicate name ${JSON.stringify(name)}; ${list}[${String(before)}] has it already`,
      );
    }
    seen.set(name, index);
  });
}

function missingFrom(
  present: ReadonlyMap<string, unknown>,
  wanted: readonly { readonly name: string }[],
): string[] {
  const names = new Set(wanted.map(({ name }) => name));
  return [...present.keys()].filter((name) => !names.has(name)).sort();
}

function draftDeployments(
  wanted: readonly DeploymentRecord[],
  content: Content,
  options: PlanOptions,
  changes: ManifestChange[],
): Map<string, DeploymentRecord | null> {
  const draft = new Map<string, DeploymentRecord | null>();
  for (const record of wanted) {
    const { name } = record;
    const before = content.deployments.get(name);
    const fields = before === undefined ? [] : differingPaths(before.spec, record.spec);
    const action = before === undefined ? 'create' : fields.length > 0 ? 'update' : 'unchanged';
    changes.push({ kind: 'deployment', name, action, fields });
    if (action !== 'unchanged') draft.set(name, record);
  }
  const gone = options.mode === 'replace' ? missingFrom(content.deployments, wanted) : [];
  for (const name of gone) {
    const before = content.deployments.get(name);
    if (before !== undefined && isLeaving(before)) continue;
    draft.set(name, null);
    changes.push({ kind: 'deployment', name, action: 'delete', fields: [] });
  }
  return draft;
}

/** The endpoint's record after the manifest, or null when nothing changes. */
function planEndpoint(
  input: ManifestEndpointInput,
  path: string,
  content: Content,
  options: PlanOptions,
  changes: ManifestChange[],
): EndpointRecord | null {
  checkEndpointName(input.name, `${path}.name`);
  refuseUnbuilt(input, path);
  const before = content.endpoints.get(input.name);
  const record =
    before ??
    newEndpoint(input.name, options.createId(), options.principal, options.nowMs, {
      routeOptimized: input.route_optimized,
      grants: creatorGrants(options.creatorId),
    });
  if (record.routeOptimized !== input.route_optimized) {
    throw invalidField(
      `${path}.route_optimized`,
      'cannot change after creation; delete the endpoint and create it anew',
    );
  }
  const fields = new Fields(input, path);
  const tags = parseTags(fields);
  const wanted = {
    ...withGrants(fields, record, options.directory),
    description: input.description,
    tags: sameJson(tags ?? [], record.tags ?? []) ? record.tags : tags,
  };
  const next = withConfig(input, path, wanted, content, options);
  const { name } = next;
  if (before === undefined) {
    changes.push({ kind: 'endpoint', name, action: 'create', fields: [] });
    return next;
  }
  const { directory } = options;
  const shownBefore = endpointAsInput(before, directory);
  const paths = differingPaths(shownBefore, endpointAsInput(next, directory));
  if (paths.length === 0) {
    changes.push({ kind: 'endpoint', name, action: 'unchanged', fields: paths });
    return null;
  }
  changes.push({ kind: 'endpoint', name, action: 'update', fields: paths });
  return { ...next, updatedAt: options.nowMs };
}

function refuseUnbuilt(input: ManifestEndpointInput, path: string): void {
  if (Object.keys(input.policy).length > 0) {
    throw invalidField(`${path}.policy`, 'policies are not supported yet');
  }
}

/** Without `access_control_list` the endpoint keeps its grants. */
function withGrants(fields: Fields, record: EndpointRecord, directory: Directory): EndpointRecord {
  const wanted = parseGrants(fields, directory);
  if (wanted === null) return record;
  const grants = replaceGrants(record, wanted, directory);
  return sameJson(grants, record.grants ?? []) ? record : { ...record, grants };
}

/** Without `config` the endpoint keeps what it has. */
function withConfig(
  input: ManifestEndpointInput,
  path: string,
  record: EndpointRecord,
  content: Content,
  options: PlanOptions,
): EndpointRecord {
  if (input.config === undefined) return record;
  const current = wantedConfig(record);
  const parsed = parseConfig(new Fields(input.config, `${path}.config`), {
    current,
    active: record.active,
    routeOptimized: record.routeOptimized,
    servedBy: content.servedBy,
    principal: options.principal,
    nowMs: options.nowMs,
    strict: true,
  });
  if (parsed === null) return record;
  const config = { ...parsed, version: record.lastVersion + 1 };
  if (current !== null && sameJson(configAsInput(current), configAsInput(config))) return record;
  if (record.update === 'IN_PROGRESS' && !options.preempt) throw beingUpdated(record.name);
  return pendingRecord(record, config, options.nowMs);
}

/** What a manifest says of an endpoint; keys at their defaults are left out. */
export function endpointAsInput(record: EndpointRecord, directory: Directory): JsonObject {
  const config = wantedConfig(record);
  const shown: JsonObject = { name: record.name };
  if (config !== null) shown['config'] = configAsInput(config);
  if (record.tags !== null && record.tags.length > 0) {
    shown['tags'] = record.tags.map((tag) => ({ ...tag }));
  }
  if (record.description !== '') shown['description'] = record.description;
  if (record.routeOptimized) shown['route_optimized'] = true;
  const list = grantsAsInput(record, directory);
  if (list.length > 0) shown['access_control_list'] = list;
  return shown;
}

/** The whole content as a manifest; feeding it back changes nothing. */
export function contentAsManifest(content: Content, directory: Directory): JsonObject {
  const deployments = [...content.deployments.values()]
    .filter((record) => !isLeaving(record))
    .sort(byName);
  const endpoints = [...content.endpoints.values()].sort(byName);
  return {
    deployments: deployments.map(({ spec }) => structuredClone(spec) as unknown as JsonObject),
    endpoints: endpoints.map((record) => endpointAsInput(record, directory)),
  };
}

export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
