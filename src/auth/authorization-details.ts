/**
 * `authorization_details` (RFC 9396): what a token may do, said per endpoint. Read as strictly as the RFC asks:
 * an unknown type, member, action or form of a value is refused, never skipped, because a server that skips what it
 * does not understand grants something else than was asked for.
 *
 *   workspace_permission  what the SDKs send: object_type, object_path, actions
 *   model                 the same in the RFC's common members: identifier, actions
 */
import { parseJson } from '../config/json-text.js';
import { isName } from '../core/names.js';
import { isObject } from './compact-token.js';
import type { Identities, PermissionLevel, Principal } from './principal.js';

/** Entries of one request; a token has to fit into a request head. */
export const DETAILS_MAX = 16;
const DETAILS_CHARS_MAX = 8192;

const PATH_PREFIX = '/serving-endpoints/';

export interface WorkspacePermissionDetail {
  readonly type: 'workspace_permission';
  readonly object_type: 'serving-endpoints';
  readonly object_path: string;
  readonly actions: readonly string[];
}

export interface ModelDetail {
  readonly type: 'model';
  readonly identifier: string;
  readonly actions: readonly string[];
}

export type AuthorizationDetail = WorkspacePermissionDetail | ModelDetail;

interface DetailType {
  /** Members beside `type` and `actions`. */
  readonly members: readonly string[];
  /** What each action needs on the endpoint. */
  readonly actions: ReadonlyMap<string, PermissionLevel>;
}

const TYPES: ReadonlyMap<string, DetailType> = new Map([
  [
    'workspace_permission',
    {
      members: ['object_type', 'object_path'],
      actions: new Map<string, PermissionLevel>([
        ['query_inference_endpoint', 'CAN_QUERY'],
        ['manage_inference_endpoint', 'CAN_MANAGE'],
      ]),
    },
  ],
  [
    'model',
    {
      members: ['identifier'],
      actions: new Map<string, PermissionLevel>([
        ['infer', 'CAN_QUERY'],
        ['manage', 'CAN_MANAGE'],
      ]),
    },
  ],
]);

export const DETAIL_TYPES: readonly string[] = [...TYPES.keys()];

const LEVELS: readonly PermissionLevel[] = ['CAN_VIEW', 'CAN_QUERY', 'CAN_MANAGE'];

/** What is wrong, as a sentence without quotes and backslashes (RFC 6749, 5.2). */
export class DetailsError extends Error {}

/** @throws DetailsError */
export function parseAuthorizationDetails(text: string): AuthorizationDetail[] {
  if (text.length > DETAILS_CHARS_MAX) {
    throw new DetailsError(
      `authorization_details: longer than ${String(DETAILS_CHARS_MAX)} letters`,
    );
  }
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    throw new DetailsError('authorization_details: not JSON');
  }
  return readAuthorizationDetails(value);
}

/** As a claim holds them. @throws DetailsError */
export function readAuthorizationDetails(value: unknown): AuthorizationDetail[] {
  if (!Array.isArray(value)) throw new DetailsError('authorization_details: must be a list');
  if (value.length === 0) throw new DetailsError('authorization_details: must not be empty');
  if (value.length > DETAILS_MAX) {
    throw new DetailsError(`authorization_details: takes at most ${String(DETAILS_MAX)} entries`);
  }
  return value.map((entry, index) => readDetail(entry, `authorization_details[${String(index)}]`));
}

function readDetail(entry: unknown, at: string): AuthorizationDetail {
  if (!isObject(entry)) throw new DetailsError(`${at}: must be an object`);
  const { type, actions } = entry;
  const known = typeof type === 'string' ? TYPES.get(type) : undefined;
  if (known === undefined) {
    throw new DetailsError(`${at}.type: must be one of ${DETAIL_TYPES.join(', ')}`);
  }
  for (const name of Object.keys(entry)) {
    if (name !== 'type' && name !== 'actions' && !known.members.includes(name)) {
      throw new DetailsError(`${at}: has a member that ${String(type)} does not take`);
    }
  }
  const granted = readActions(actions, known, at);
  if (type === 'model') {
    return {
      type,
      identifier: readEndpoint(entry['identifier'], '', `${at}.identifier`),
      actions: granted,
    };
  }
  if (entry['object_type'] !== 'serving-endpoints') {
    throw new DetailsError(`${at}.object_type: must be serving-endpoints`);
  }
  return {
    type: 'workspace_permission',
    object_type: 'serving-endpoints',
    object_path: readEndpoint(entry['object_path'], PATH_PREFIX, `${at}.object_path`),
    actions: granted,
  };
}

function readActions(actions: unknown, type: DetailType, at: string): string[] {
  const names: unknown[] = Array.isArray(actions) ? actions : [];
  const known = (name: unknown): name is string =>
    typeof name === 'string' && type.actions.has(name);
  if (names.length === 0 || !names.every(known)) {
    const list = [...type.actions.keys()].join(', ');
    throw new DetailsError(`${at}.actions: must be a list out of ${list}`);
  }
  return [...new Set(names)];
}

/** Name or id of an endpoint, exactly as it is written: no other letter, no dot, no escape. */
function readEndpoint(value: unknown, prefix: string, at: string): string {
  if (typeof value === 'string' && value.startsWith(prefix) && isName(value.slice(prefix.length))) {
    return value;
  }
  throw new DetailsError(`${at}: must be ${prefix}<endpoint id or name>`);
}

/** Id or name of the endpoint that an entry speaks of, as it was written. */
export function endpointOf(detail: AuthorizationDetail): string {
  return detail.type === 'model' ? detail.identifier : detail.object_path.slice(PATH_PREFIX.length);
}

/** True when `details` let the token do what needs `level` on the endpoint. Names are compared letter by letter. */
export function allows(
  details: readonly AuthorizationDetail[],
  endpoint: { readonly id: string; readonly name: string },
  level: PermissionLevel,
): boolean {
  return details.some((detail) => {
    const named = endpointOf(detail);
    return (named === endpoint.id || named === endpoint.name) && isEnough(levelOf(detail), level);
  });
}

/** Throws for the first entry that the principal has no permission for. @throws DetailsError */
export function checkPermissions(
  details: readonly AuthorizationDetail[],
  principal: Principal,
  identities: Pick<Identities, 'permission'>,
): void {
  for (const [index, detail] of details.entries()) {
    const level = identities.permission(principal, endpointOf(detail));
    if (level === null || !isEnough(level, levelOf(detail))) {
      // The same for an endpoint that does not exist: who may not see it does not learn of it.
      throw new DetailsError(
        `authorization_details[${String(index)}]: the principal is not authorized for these actions`,
      );
    }
  }
}

/** The highest level that an entry's actions need. */
function levelOf(detail: AuthorizationDetail): PermissionLevel {
  const needed = detail.actions.map((name) => TYPES.get(detail.type)?.actions.get(name));
  return needed.includes('CAN_MANAGE') ? 'CAN_MANAGE' : 'CAN_QUERY';
}

function isEnough(has: PermissionLevel, needs: PermissionLevel): boolean {
  return LEVELS.indexOf(has) >= LEVELS.indexOf(needs);
}
