/**
 * Grants of an endpoint: who may do what with it. Kept in the endpoint's record under the principals'
 * ids, so that they are created, renamed and deleted with the endpoint in one transaction. Names are
 * looked up in a Directory, which the identities fill in: a grant whose principal is gone names
 * nobody and is dropped at the next change.
 */
import { invalidField } from '../core/errors.js';
import type { JsonObject } from './control-plane.js';
import { Fields } from './input.js';
import type { EndpointRecord } from './records.js';

/** From the weakest up; each holds what the ones before it hold. */
export const PERMISSION_LEVELS = ['CAN_VIEW', 'CAN_QUERY', 'CAN_MANAGE'] as const;

export type PermissionLevel = (typeof PERMISSION_LEVELS)[number];

export interface GrantRecord {
  /** Id of the principal. */
  readonly principal: string;
  readonly level: PermissionLevel;
}

export type PrincipalKind = 'user' | 'service_principal' | 'group';

export interface NamedPrincipal {
  readonly kind: PrincipalKind;
  /** User name, application id or group name. */
  readonly name: string;
  readonly displayName: string;
  /** True: its level is none of the manifest's business, because it has CAN_MANAGE anyway. */
  readonly implied: boolean;
}

/** Principals as grants need them. */
export interface Directory {
  /** Id of the principal of this name; null: there is none. */
  find(kind: PrincipalKind, name: string): string | null;
  named(id: string): NamedPrincipal | null;
  /** Why nothing may be granted to it; null: it may. */
  ungrantable(id: string): string | null;
}

/** A directory of nobody. */
export const NO_PRINCIPALS: Directory = {
  find: () => null,
  named: () => null,
  ungrantable: () => null,
};

/** Entries of one access control list. */
export const GRANTS_MAX = 1_000;

const LIST_KEY = 'access_control_list';

/** Keys of an entry that name a principal, by kind. */
const NAME_KEYS = {
  user: 'user_name',
  group: 'group_name',
  service_principal: 'service_principal_name',
} as const satisfies Record<PrincipalKind, string>;

const KINDS = Object.keys(NAME_KEYS) as PrincipalKind[];

export function grantsOf(record: EndpointRecord): readonly GrantRecord[] {
  return record.grants ?? [];
}

/** The stronger of two levels; null is weaker than any. */
export function strongerLevel(
  a: PermissionLevel | null,
  b: PermissionLevel | null,
): PermissionLevel | null {
  return rankOf(a) >= rankOf(b) ? a : b;
}

export function holds(level: PermissionLevel | null, wanted: PermissionLevel): boolean {
  return rankOf(level) >= rankOf(wanted);
}

function rankOf(level: PermissionLevel | null): number {
  return level === null ? -1 : PERMISSION_LEVELS.indexOf(level);
}

/**
 * Reads `access_control_list` of a body; null when there is none.
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming the entry, also for an unknown principal.
 */
export function parseGrants(fields: Fields, directory: Directory): GrantRecord[] | null {
  const entries = fields.objects(LIST_KEY);
  if (entries === null) return null;
  if (entries.length > GRANTS_MAX) {
    throw invalidField(fields.at(LIST_KEY), `takes at most ${String(GRANTS_MAX)} entries`);
  }
  const seen = new Set<string>();
  return entries.map((entry) => {
    const grant = parseEntry(entry, directory);
    if (seen.has(grant.principal)) throw invalidField(entry.path, 'names a principal again');
    seen.add(grant.principal);
    return grant;
  });
}

function parseEntry(entry: Fields, directory: Directory): GrantRecord {
  const kinds = KINDS.filter((kind) => entry.has(NAME_KEYS[kind]));
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    const keys = Object.values(NAME_KEYS).join(', ');
    throw invalidField(entry.path, `must name one principal, by one of ${keys}`);
  }
  const key = NAME_KEYS[kind];
  const name = entry.requiredText(key);
  let principal = directory.find(kind, name);
  // The userName that a service principal reads of itself is its application id.
  if (kind === 'user') principal ??= directory.find('service_principal', name);
  if (principal === null) {
    const what = kind.replace('_', ' ');
    throw invalidField(entry.at(key), `there is no ${what} ${JSON.stringify(name)}`);
  }
  const problem = directory.ungrantable(principal);
  if (problem !== null) throw invalidField(entry.at(key), problem);
  const level = entry.oneOf('permission_level', PERMISSION_LEVELS);
  if (level === null) throw invalidField(entry.at('permission_level'), 'missing');
  return { principal, level: level as PermissionLevel };
}

/** `{"user_name": …}` and so on; null when the principal is gone. */
export function viewPrincipal(id: string, directory: Directory): JsonObject | null {
  const named = directory.named(id);
  return named === null ? null : { [NAME_KEYS[named.kind]]: named.name };
}

/** The list as `parseGrants` reads it, for the manifest: without what is implied. */
export function grantsAsInput(record: EndpointRecord, directory: Directory): JsonObject[] {
  return grantsOf(record).flatMap(({ principal, level }) => {
    const name = viewPrincipal(principal, directory);
    if (name === null || directory.named(principal)?.implied) return [];
    return [{ ...name, permission_level: level }];
  });
}

/** The grants after a manifest's list: those that it cannot show stay. */
export function replaceGrants(
  record: EndpointRecord,
  wanted: readonly GrantRecord[],
  directory: Directory,
): GrantRecord[] {
  const isImplied = ({ principal }: GrantRecord) => directory.named(principal)?.implied === true;
  const kept = grantsOf(record).filter(isImplied);
  return [...kept, ...wanted.filter((grant) => !isImplied(grant))];
}

/** Direct grants of who makes an endpoint. */
export function creatorGrants(principalId: string | undefined): GrantRecord[] {
  return principalId === undefined ? [] : [{ principal: principalId, level: 'CAN_MANAGE' }];
}
