/**
 * SCIM PATCH (RFC 7644, 3.5.2): operations on the JSON form of a resource, which is then read like
 * the body of a PUT. Adding what is there and removing what is not are no errors.
 */
import { joinPath } from '../../config/validate.js';
import type { Json, JsonObject } from '../../control/control-plane.js';
import { Fields } from '../../control/input.js';
import { invalidField } from '../../core/errors.js';
import { parseFilter } from './filter.js';

const OPERATIONS_MAX = 1_000;

const LISTS: readonly string[] = ['emails', 'entitlements', 'roles', 'members'];
const SINGLES: readonly string[] = [
  'active',
  'displayName',
  'externalId',
  'name',
  'userName',
  'applicationId',
];
const PARTS: readonly string[] = ['givenName', 'familyName'];

const PATH = /^([A-Za-z]+)(?:\[(.+)\])?(?:\.([A-Za-z]+))?$/;

type Operation = 'add' | 'remove' | 'replace';

/**
 * @param resource not changed; without members, which are many.
 * @param membersOf what they are; asked for by the first operation on them. Without one the result has none either.
 * @param body by `withKnownNames`.
 * @throws PointsmanError INVALID_PARAMETER_VALUE naming the operation.
 */
export function patchedResource(
  resource: JsonObject,
  body: unknown,
  membersOf: () => JsonObject[],
): JsonObject {
  const operations = new Fields(body, '').objects('Operations');
  if (operations === null) throw invalidField('Operations', 'missing');
  if (operations.length > OPERATIONS_MAX) {
    throw invalidField('Operations', `takes at most ${String(OPERATIONS_MAX)}`);
  }
  const next = structuredClone(resource);
  for (const operation of operations) apply(next, operation, membersOf);
  return next;
}

function apply(resource: JsonObject, fields: Fields, membersOf: () => JsonObject[]): void {
  const op = fields.string('op')?.toLowerCase();
  if (op !== 'add' && op !== 'remove' && op !== 'replace') {
    throw invalidField(fields.at('op'), 'must be add, remove or replace');
  }
  const path = fields.string('path') ?? '';
  const value = fields.get('value') as Json | undefined;
  const valueField = fields.at('value');
  if (value === undefined && op !== 'remove') throw invalidField(valueField, 'missing');
  if (path !== '') {
    applyAt(resource, op, { path, value, field: fields.at('path'), valueField, membersOf });
    return;
  }
  if (!isObject(value)) {
    throw invalidField(valueField, 'must be an object when there is no path');
  }
  for (const [key, one] of Object.entries(value)) {
    // Whole resources name these too; they are not what changes.
    if (key === 'schemas' || key === 'id') continue;
    const target = { path: key, value: one, field: valueField, membersOf };
    applyAt(resource, op, { ...target, valueField: joinPath(valueField, key) });
  }
}

interface Target {
  readonly path: string;
  readonly value: Json | undefined;
  /** What messages about the path name. */
  readonly field: string;
  readonly valueField: string;
  readonly membersOf: () => JsonObject[];
}

function applyAt(resource: JsonObject, op: Operation, target: Target): void {
  const { path, value, field, valueField } = target;
  const [, name = '', filter, part] = PATH.exec(path) ?? [];
  const known = [...LISTS, ...SINGLES].find((one) => one.toLowerCase() === name.toLowerCase());
  if (known === undefined) {
    throw invalidField(field, `${JSON.stringify(path)} is nothing that can be changed here`);
  }
  if (LISTS.includes(known)) {
    if (part !== undefined) throw invalidField(field, 'items are changed whole');
    const before = resource[known] ?? (known === 'members' ? target.membersOf() : []);
    resource[known] = changedList(before, op, { value, field, valueField, filter });
    return;
  }
  if (filter !== undefined) throw invalidField(field, `${known} is no list`);
  if (part !== undefined) {
    const knownPart = PARTS.find((one) => one.toLowerCase() === part.toLowerCase());
    if (known !== 'name' || knownPart === undefined) throw invalidField(field, `no part ${part}`);
    const whole = resource['name'];
    const parts = typeof whole === 'object' ? (whole as JsonObject) : {};
    resource['name'] = { ...parts, [knownPart]: value ?? null };
    return;
  }
  if (op === 'remove') Reflect.deleteProperty(resource, known);
  else resource[known] = known === 'active' ? asBoolean(value) : (value ?? null);
}

/** Microsoft Entra ID writes "False", the Terraform provider [{"value": "false"}]: whoever they deactivate must be. */
function asBoolean(value: Json | undefined): Json {
  const item = Array.isArray(value) && value.length === 1 ? value[0] : value;
  const plain = isObject(item) ? item['value'] : item;
  if (typeof plain === 'boolean') return plain;
  const text = typeof plain === 'string' ? plain.toLowerCase() : '';
  if (text === 'true' || text === 'false') return text === 'true';
  return value ?? null;
}

interface ListChange extends Omit<Target, 'path' | 'membersOf'> {
  readonly filter: string | undefined;
}

function changedList(before: Json, op: Operation, change: ListChange): Json[] {
  const { value, field, valueField, filter } = change;
  const items = Array.isArray(before) ? before : [];
  if (filter !== undefined) {
    if (op !== 'remove') throw invalidField(field, `a filter is for remove, not for ${op}`);
    const matches = parseFilter(filter, field);
    return items.filter((item) => !matches(item as JsonObject));
  }
  const given = itemsOf(value, valueField);
  const key = (item: Json) => (item as JsonObject)['value'];
  if (op === 'replace') return given;
  const keys = new Set(given.map(key));
  if (op === 'remove')
    return value === undefined ? [] : items.filter((item) => !keys.has(key(item)));
  return [...items.filter((item) => !keys.has(key(item))), ...given];
}

/** One item or a list of them; some clients send plain values where items are objects. */
function itemsOf(value: Json | undefined, field: string): JsonObject[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return [asItem(value, field)];
  return value.map((item, index) => asItem(item, joinPath(field, index)));
}

function asItem(item: Json, field: string): JsonObject {
  if (typeof item === 'string') return { value: item };
  if (isObject(item)) return item;
  throw invalidField(field, 'must be a string or an object');
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
