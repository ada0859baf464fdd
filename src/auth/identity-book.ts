/**
 * Users, service principals and groups: all of them in memory, every change on disk before it is
 * visible. Answers who belongs to which group, directly or through other groups, and with which
 * entitlements.
 *
 * Four principals are built in: the user `admin` of the administrator's token and the user `query` of
 * the query token, the group `admins`, whose members may do everything, and the group `users`, to
 * which everybody belongs.
 */
import { randomUUID } from 'node:crypto';
import type { Directory, NamedPrincipal, PrincipalKind } from '../control/grants.js';
import type { Clock } from '../core/clock.js';
import { invalidField, PointsmanError } from '../core/errors.js';
import {
  BUILTIN_IDS,
  type IdentityTables,
  type Membership,
  type PrincipalRow,
} from '../store/identity-tables.js';
import { DeletedNames } from './deleted-names.js';
import type { Principal } from './principal.js';
import type { Verified } from './trust.js';

/** Groups that are built in. */
export const ADMINS = 'admins';
export const USERS = 'users';

/** Lets principals that are no admins create endpoints. */
export const CREATE_ENDPOINTS = 'create-endpoints';

export const PRINCIPALS_MAX = 100_000;

/** Name under which the daemon itself changes things; nobody else may have it. */
const RESERVED_NAME = 'pointsman';

export function isReserved(name: string): boolean {
  return name.toLowerCase() === RESERVED_NAME;
}

export interface Email {
  readonly value: string;
  readonly type?: string;
  readonly primary?: boolean;
}

/** What is kept of a principal beside its name. Stored as JSON in this very shape. */
export interface Profile {
  readonly displayName: string;
  readonly externalId: string;
  readonly active: boolean;
  readonly entitlements: readonly string[];
  /** Kept and shown, not acted on. */
  readonly roles: readonly string[];
  readonly emails: readonly Email[];
  readonly givenName: string;
  readonly familyName: string;
}

export const EMPTY_PROFILE: Profile = {
  displayName: '',
  externalId: '',
  active: true,
  entitlements: [],
  roles: [],
  emails: [],
  givenName: '',
  familyName: '',
};

export interface PrincipalRecord {
  readonly id: string;
  readonly kind: PrincipalKind;
  /** User name, application id or group name. */
  readonly name: string;
  readonly profile: Profile;
}

export interface PrincipalDraft {
  /** Empty for a new service principal: it gets an application id. */
  readonly name: string;
  readonly profile: Profile;
  /** Ids; of a group alone. Absent: they stay. */
  readonly members?: readonly string[];
  /** Ids of groups that a new principal joins. */
  readonly joins?: readonly string[];
}

export class IdentityBook implements Directory {
  readonly #tables: IdentityTables;
  readonly #clock: Clock;
  readonly #records = new Map<string, PrincipalRecord>();
  /** By kind and name in lower case; users and service principals share their names. */
  readonly #byName = new Map<string, PrincipalRecord>();
  readonly #members = new Map<string, Set<string>>();
  readonly #groups = new Map<string, Set<string>>();
  readonly deletedNames = new DeletedNames();
  /** Computed when asked for, forgotten at every change. */
  readonly #principals = new Map<string, Principal>();
  readonly #listeners: ((ids: readonly string[]) => void)[] = [];

  /** @throws Error when a stored row cannot be read. */
  constructor(tables: IdentityTables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
    for (const row of tables.principals()) this.#remember(recordOf(row));
    for (const membership of tables.memberships()) this.#join(membership);
    for (const deleted of tables.deletedNames()) this.deletedNames.add(deleted);
  }

  /** Called after every change with the principals that are concerned; a group stands for its members. */
  onChange(listener: (ids: readonly string[]) => void): void {
    this.#listeners.push(listener);
  }

  record(id: string): PrincipalRecord | null {
    return this.#records.get(id) ?? null;
  }

  /** In order of id. */
  list(kind: PrincipalKind): PrincipalRecord[] {
    return [...this.#records.values()].filter((record) => record.kind === kind);
  }

  find(kind: PrincipalKind, name: string): string | null {
    const record = this.#byName.get(keyOf(kind, name));
    return record?.kind === kind ? record.id : null;
  }

  named(id: string): NamedPrincipal | null {
    const record = this.#records.get(id);
    if (record === undefined) return null;
    const { kind, name, profile } = record;
    return { kind, name, displayName: profile.displayName, implied: isAdminToken(id) };
  }

  ungrantable(id: string): string | null {
    return id === String(BUILTIN_IDS.query)
      ? 'the query token always has CAN_QUERY on every endpoint, and nothing else'
      : null;
  }

  /** A user or service principal; groups are nobody who could call. */
  principal(id: string): Principal | null {
    const known = this.#principals.get(id);
    if (known !== undefined) return known;
    const record = this.#records.get(id);
    if (record === undefined || record.kind === 'group') return null;
    const { kind, name, profile } = record;
    const principal: Principal = {
      id,
      kind,
      name,
      applicationId: kind === 'service_principal' ? name : '',
      active: profile.active,
      ...this.#rightsBy(this.#groupIdsOf(id), profile),
    };
    this.#principals.set(id, principal);
    return principal;
  }

  /**
   * The principal with the groups that its token claims beside its own: those that exist here, and what they belong to.
   * `admins` is not among them unless the token's issuer may say so (`isAdmin`).
   */
  withClaimed(
    principal: Principal,
    { groups, isAdmin }: Pick<Verified, 'groups' | 'isAdmin'>,
  ): Principal {
    const profile = this.#records.get(principal.id)?.profile;
    if (profile === undefined || (groups.length === 0 && !isAdmin)) return principal;
    const named = groups.flatMap((name) => this.find('group', name) ?? []);
    const exact = named.filter((id) => groups.includes(this.#records.get(id)?.name ?? ''));
    const ids = new Set(principal.groupIds);
    this.#addGroups(ids, exact, String(BUILTIN_IDS.admins));
    if (isAdmin) this.#addGroups(ids, [String(BUILTIN_IDS.admins)], '');
    return { ...principal, ...this.#rightsBy(ids, profile) };
  }

  #rightsBy(
    groupIds: ReadonlySet<string>,
    profile: Profile,
  ): Pick<Principal, 'groups' | 'groupIds' | 'entitlements'> {
    const groups = [...groupIds].flatMap((group) => this.#records.get(group) ?? []);
    const entitlements = [profile, ...groups.map((group) => group.profile)];
    return {
      groups: groups.map((group) => group.name).sort(),
      groupIds: [...groupIds],
      entitlements: [...new Set(entitlements.flatMap((one) => one.entitlements))].sort(),
    };
  }

  /** By user name or application id, letter by letter. */
  byName(name: string): Principal | null {
    const record = this.#byName.get(keyOf('user', name));
    return record?.name === name ? this.principal(record.id) : null;
  }

  /** A user of this name, which nobody has in any case of its letters, may be made for a token that was issued then. */
  mayBeMade(name: string, issuedAtS: number): boolean {
    if (this.#byName.has(keyOf('user', name)) || isReserved(name)) return false;
    return !this.deletedNames.mayPredate(name, issuedAtS);
  }

  /** Every group that the principal belongs to, also through other groups. */
  #groupIdsOf(id: string): ReadonlySet<string> {
    const found = new Set<string>();
    this.#addGroups(found, [...(this.#groups.get(id) ?? [])], '');
    if (this.#records.get(id)?.kind !== 'group') found.add(String(BUILTIN_IDS.users));
    return found;
  }

  /** The groups and all that they belong to, without the one that is barred and what only it leads to. */
  #addGroups(found: Set<string>, groups: readonly string[], barred: string): void {
    const open = [...groups];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at === barred || found.has(at)) continue;
      found.add(at);
      open.push(...(this.#groups.get(at) ?? []));
    }
  }

  /** The groups that name the principal themselves. */
  directGroupsOf(id: string): PrincipalRecord[] {
    return this.#recordsOf(this.#groups.get(id) ?? []);
  }

  membersOf(groupId: string): PrincipalRecord[] {
    if (groupId === String(BUILTIN_IDS.users)) {
      return [...this.#records.values()].filter(({ kind }) => kind !== 'group');
    }
    return this.#recordsOf(this.#members.get(groupId) ?? []);
  }

  /** @throws PointsmanError for a name that is taken or members that do not exist. */
  create(kind: PrincipalKind, draft: PrincipalDraft): PrincipalRecord {
    if (this.#records.size >= PRINCIPALS_MAX) {
      throw new PointsmanError(
        'INVALID_PARAMETER_VALUE',
        `There are ${String(PRINCIPALS_MAX)} principals, which is the limit`,
      );
    }
    const name = kind === 'service_principal' && draft.name === '' ? randomUUID() : draft.name;
    this.#checkName(kind, name, null);
    const members = draft.members ?? [];
    const joins = draft.joins ?? [];
    for (const member of members) this.#checkMember(member);
    for (const group of joins) this.#checkGroup(group);
    const added: Membership[] = [];
    const json = JSON.stringify(draft.profile);
    const number = this.#tables.insert({ kind, name, json }, (id) => {
      for (const member of members) added.push({ groupId: id, memberId: Number(member) });
      for (const group of joins) added.push({ groupId: Number(group), memberId: id });
      return { added, removed: [] };
    });
    const record = { id: String(number), kind, name, profile: draft.profile };
    this.#remember(record);
    for (const membership of added) this.#join(membership);
    this.#changed([record.id, ...members]);
    return record;
  }

  /** @throws PointsmanError as `create`, and for what may not be done to built-in principals. */
  update(id: string, draft: PrincipalDraft): PrincipalRecord {
    const before = this.#existing(id);
    this.#checkBuiltin(before, draft);
    if (draft.name !== before.name) this.#checkName(before.kind, draft.name, before);
    const had = this.#members.get(id) ?? new Set<string>();
    const wanted = new Set(id === String(BUILTIN_IDS.users) ? had : (draft.members ?? had));
    const added = [...wanted].filter((member) => !had.has(member));
    const removed = [...had].filter((member) => !wanted.has(member));
    for (const member of added) this.#checkMember(member, id);
    const membership = (member: string) => ({ groupId: Number(id), memberId: Number(member) });
    const row = { id: Number(id), kind: before.kind, name: draft.name };
    this.#tables.update(
      { ...row, json: JSON.stringify(draft.profile) },
      { added: added.map(membership), removed: removed.map(membership) },
    );
    this.#byName.delete(keyOf(before.kind, before.name));
    const record = { ...before, name: draft.name, profile: draft.profile };
    this.#remember(record);
    for (const member of added) this.#join(membership(member));
    for (const member of removed) this.#part(membership(member));
    this.#changed([id, ...added, ...removed]);
    return record;
  }

  /** @throws PointsmanError for an unknown or built-in principal. */
  delete(id: string): void {
    const record = this.#existing(id);
    if (isBuiltin(id)) throw invalidField('id', `${record.name} is built in; it cannot be deleted`);
    const { kind, name } = record;
    const deleted = { name: name.toLowerCase(), deletedAtMs: this.#clock.nowMs() };
    this.#tables.delete(Number(id), kind === 'group' ? null : deleted);
    if (kind !== 'group') this.deletedNames.add(deleted);
    for (const group of [...(this.#groups.get(id) ?? [])]) {
      this.#part({ groupId: Number(group), memberId: Number(id) });
    }
    for (const member of [...(this.#members.get(id) ?? [])]) {
      this.#part({ groupId: Number(id), memberId: Number(member) });
    }
    this.#records.delete(id);
    this.#byName.delete(keyOf(kind, name));
    this.#changed([id]);
  }

  #existing(id: string): PrincipalRecord {
    const record = this.#records.get(id);
    if (record !== undefined) return record;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Principal ${id} does not exist.`);
  }

  #recordsOf(ids: Iterable<string>): PrincipalRecord[] {
    return [...ids]
      .flatMap((id) => this.#records.get(id) ?? [])
      .sort((a, b) => Number(a.id) - Number(b.id));
  }

  #checkName(kind: PrincipalKind, name: string, own: PrincipalRecord | null): void {
    const field = NAME_FIELDS[kind];
    if (isReserved(name)) throw invalidField(field, `${name} is reserved`);
    const other = this.#byName.get(keyOf(kind, name));
    if (other === undefined || other.id === own?.id) return;
    throw new PointsmanError(
      'RESOURCE_ALREADY_EXISTS',
      `${field}: there is a ${other.kind.replace('_', ' ')} ${other.name} already`,
      { status: 409 },
    );
  }

  #checkMember(id: string, group = ''): void {
    if (id === group) throw invalidField('members', 'a group cannot be a member of itself');
    if (!this.#records.has(id)) throw invalidField('members', `there is no principal ${id}`);
    if (id === String(BUILTIN_IDS.query)) {
      throw invalidField('members', 'the user of the query token belongs to no group');
    }
    // It would have no effect: what everybody has is looked up by `users` alone.
    if (id === String(BUILTIN_IDS.users)) {
      throw invalidField('members', 'users, to which everybody belongs, belongs to no group');
    }
  }

  #checkGroup(id: string): void {
    if (this.#records.get(id)?.kind !== 'group' || id === String(BUILTIN_IDS.users)) {
      throw invalidField('groups', `there is no group ${id} that can be joined`);
    }
  }

  #checkBuiltin(before: PrincipalRecord, draft: PrincipalDraft): void {
    const { id, kind, name } = before;
    if (!isBuiltin(id)) return;
    const field = NAME_FIELDS[kind];
    if (draft.name !== name) throw invalidField(field, `${name} is built in; its name stays`);
    if (!draft.profile.active) throw invalidField('active', `${name} is built in; it stays active`);
    if (draft.members === undefined) return;
    if (id === String(BUILTIN_IDS.users)) {
      const all = this.membersOf(id).map((member) => member.id);
      if (draft.members.length === all.length && all.every((one) => draft.members?.includes(one))) {
        return;
      }
      throw invalidField('members', 'everybody belongs to users; the list cannot be changed');
    }
    if (id === String(BUILTIN_IDS.admins)) {
      if (draft.members.includes(String(BUILTIN_IDS.admin))) return;
      throw invalidField('members', 'the user admin of the admin token stays an admin');
    }
  }

  #remember(record: PrincipalRecord): void {
    this.#records.set(record.id, record);
    this.#byName.set(keyOf(record.kind, record.name), record);
  }

  #join({ groupId, memberId }: Membership): void {
    addTo(this.#members, String(groupId), String(memberId));
    addTo(this.#groups, String(memberId), String(groupId));
  }

  #part({ groupId, memberId }: Membership): void {
    this.#members.get(String(groupId))?.delete(String(memberId));
    this.#groups.get(String(memberId))?.delete(String(groupId));
  }

  #changed(ids: readonly string[]): void {
    this.#principals.clear();
    for (const listener of this.#listeners) listener(ids);
  }
}

/** The attribute that names a principal, in messages. */
const NAME_FIELDS = {
  user: 'userName',
  service_principal: 'applicationId',
  group: 'displayName',
} as const satisfies Record<PrincipalKind, string>;

export function isBuiltin(id: string): boolean {
  return Object.values(BUILTIN_IDS).includes(Number(id) as (typeof BUILTIN_IDS)['admin']);
}

function isAdminToken(id: string): boolean {
  return id === String(BUILTIN_IDS.admin);
}

function recordOf(row: PrincipalRow): PrincipalRecord {
  const profile = { ...EMPTY_PROFILE, ...(JSON.parse(row.json) as Partial<Profile>) };
  return { id: String(row.id), kind: row.kind, name: row.name, profile };
}

function keyOf(kind: PrincipalKind, name: string): string {
  return `${kind === 'group' ? 'group' : 'caller'} ${name.toLowerCase()}`;
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, new Set([value]));
  else values.add(value);
}
