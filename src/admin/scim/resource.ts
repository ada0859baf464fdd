/**
 * Principals as SCIM resources (RFC 7643) in the form that Databricks clients read and write, and
 * back. Attributes that are not named here are ignored, as clients send whole schemas.
 */
import {
  EMPTY_PROFILE,
  type Email,
  type IdentityBook,
  type PrincipalDraft,
  type PrincipalRecord,
} from '../../auth/identity-book.js';
import type { JsonObject } from '../../control/control-plane.js';
import type { PrincipalKind } from '../../control/grants.js';
import { checkPrincipalName, checkText, Fields } from '../../control/input.js';
import { invalidField } from '../../core/errors.js';

/** Values of one list attribute of a resource, members of a group apart. */
const VALUES_MAX = 100;

const MEMBERS_MAX = 10_000;

export interface ResourceType {
  readonly kind: PrincipalKind;
  /** Segment of the path. */
  readonly plural: string;
  readonly schema: string;
  /** The attribute that is the principal's name. */
  readonly nameKey: 'userName' | 'applicationId' | 'displayName';
}

export const RESOURCE_TYPES: readonly ResourceType[] = [
  {
    kind: 'user',
    plural: 'Users',
    schema: 'urn:ietf:params:scim:schemas:core:2.0:User',
    nameKey: 'userName',
  },
  {
    kind: 'service_principal',
    plural: 'ServicePrincipals',
    schema: 'urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal',
    nameKey: 'applicationId',
  },
  {
    kind: 'group',
    plural: 'Groups',
    schema: 'urn:ietf:params:scim:schemas:core:2.0:Group',
    nameKey: 'displayName',
  },
];

export function viewResource(record: PrincipalRecord, book: IdentityBook): JsonObject {
  const { kind, name, profile } = record;
  const { schema } = typeOf(kind);
  const shown: JsonObject = { schemas: [schema], id: record.id };
  if (profile.externalId !== '') shown['externalId'] = profile.externalId;
  if (kind === 'group') {
    shown['displayName'] = name;
    shown['members'] = viewMembers(record, book);
    shown['meta'] = { resourceType: 'Group' };
  } else {
    if (kind === 'user') Object.assign(shown, userAttributes(record));
    else Object.assign(shown, { applicationId: name, displayName: profile.displayName });
    shown['active'] = profile.active;
  }
  const groups = book.directGroupsOf(record.id);
  shown['groups'] = groups.map((group) => ({ ...reference(group), type: 'direct' }));
  shown['entitlements'] = profile.entitlements.map((value) => ({ value }));
  shown['roles'] = profile.roles.map((value) => ({ value }));
  return shown;
}

export function viewMembers({ id }: PrincipalRecord, book: IdentityBook): JsonObject[] {
  return book.membersOf(id).map(reference);
}

/** What is stored of a principal, as a resource: a PATCH of it stores nothing that is only shown. Without members. */
export function storedResource({ kind, name, profile }: PrincipalRecord): JsonObject {
  const { displayName, externalId, active, emails, givenName, familyName } = profile;
  const stored: JsonObject = {
    externalId,
    entitlements: profile.entitlements.map((value) => ({ value })),
    roles: profile.roles.map((value) => ({ value })),
    [typeOf(kind).nameKey]: name,
  };
  if (kind === 'group') return stored;
  const person = { active, emails: emails.map((email) => ({ ...email })) };
  return { ...stored, ...person, displayName, name: { givenName, familyName } };
}

function userAttributes({ name, profile }: PrincipalRecord): JsonObject {
  const { emails, givenName, familyName } = profile;
  const shown: JsonObject = { userName: name, displayName: profile.displayName || name };
  if (givenName !== '' || familyName !== '') shown['name'] = { givenName, familyName };
  const implied = name.includes('@') ? [{ type: 'work', value: name, primary: true }] : [];
  shown['emails'] = emails.length > 0 ? emails.map((email) => ({ ...email })) : implied;
  return shown;
}

function reference({ id, kind, name, profile }: PrincipalRecord): JsonObject {
  const display = kind === 'group' ? name : profile.displayName || name;
  return { value: id, display, $ref: `${typeOf(kind).plural}/${id}` };
}

function typeOf(kind: PrincipalKind): ResourceType {
  const type = RESOURCE_TYPES.find((one) => one.kind === kind);
  if (type === undefined) throw new Error(`no SCIM resource for ${kind}`);
  return type;
}

/**
 * A whole resource -> what is kept of it. A name that is left out stays as it was, and so do members, and `active`: a
 * client that does not speak of it must not let somebody in again.
 * @param before null when the resource is made.
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming the attribute.
 */
export function parseResource(
  type: ResourceType,
  body: unknown,
  before: PrincipalRecord | null,
): PrincipalDraft {
  const fields = new Fields(body, '');
  const name = parseName(type, fields, before);
  const profile = {
    ...EMPTY_PROFILE,
    externalId: optionalText(fields, 'externalId'),
    entitlements: labelsOf(fields, 'entitlements'),
    roles: labelsOf(fields, 'roles'),
  };
  if (type.kind === 'group') {
    if (!fields.has('members')) return { name, profile };
    return { name, profile, members: valuesOf(fields, 'members', MEMBERS_MAX) };
  }
  const person = fields.object('name');
  const draft = {
    name,
    profile: {
      ...profile,
      displayName: optionalText(fields, 'displayName'),
      active: fields.boolean('active') ?? before?.profile.active ?? true,
      emails: emailsOf(fields),
      givenName: person === null ? '' : optionalText(person, 'givenName'),
      familyName: person === null ? '' : optionalText(person, 'familyName'),
    },
  };
  return before === null ? { ...draft, joins: valuesOf(fields, 'groups') } : draft;
}

const APPLICATION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function parseName(type: ResourceType, fields: Fields, before: PrincipalRecord | null): string {
  const key = type.nameKey;
  const given = fields.string(key);
  if (given === null) {
    if (before !== null) return before.name;
    if (type.kind === 'service_principal') return '';
    throw invalidField(key, 'missing');
  }
  if (given === before?.name) return given;
  // A token or a session names it: another one of that name must not take over what it opens.
  if (before !== null && type.kind !== 'group') throw invalidField(key, 'cannot change');
  checkPrincipalName(given, key);
  if (type.kind === 'service_principal' && !APPLICATION_ID.test(given)) {
    throw invalidField(key, 'must be a UUID in lower case; leave it out to get one');
  }
  return given;
}

function optionalText(fields: Fields, key: string): string {
  const value = fields.string(key) ?? '';
  return value === '' ? '' : checkText(value, fields.at(key));
}

/** The `value` of each item, once. */
function valuesOf(fields: Fields, key: string, limit = VALUES_MAX): string[] {
  return uniqueValues(itemsOf(fields, key, limit));
}

/** The same of those that have one: the Terraform provider says `[{}]` where it means none. */
function labelsOf(fields: Fields, key: string): string[] {
  const items = itemsOf(fields, key, VALUES_MAX);
  return uniqueValues(items.filter((item) => (item.string('value') ?? '') !== ''));
}

function uniqueValues(items: readonly Fields[]): string[] {
  return [...new Set(items.map((item) => item.requiredText('value')))];
}

function itemsOf(fields: Fields, key: string, limit: number): Fields[] {
  const items = fields.objects(key) ?? [];
  if (items.length <= limit) return items;
  throw invalidField(fields.at(key), `takes at most ${String(limit)} values`);
}

function emailsOf(fields: Fields): Email[] {
  return itemsOf(fields, 'emails', VALUES_MAX).map((item) => {
    const type = item.string('type');
    const primary = item.boolean('primary');
    return {
      value: item.requiredText('value'),
      ...(type === null ? {} : { type: checkText(type, item.at('type')) }),
      ...(primary === null ? {} : { primary }),
    };
  });
}
