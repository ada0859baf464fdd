/**
 * Users, service principals and groups (`/api/2.0/preview/scim/v2`), and who the caller is. Every
 * call but `Me` is an admin's.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IdentityBook, PrincipalRecord } from '../../auth/identity-book.js';
import type { Json, JsonObject } from '../../control/control-plane.js';
import { canonicalJson, checkIfMatch, hashTag } from '../../control/json.js';
import { invalidField, PointsmanError } from '../../core/errors.js';
import { changeOptions, pathParam, queryText, requireBody, sendTagged } from '../context.js';
import { withKnownNames } from '../scim/attributes.js';
import { parseFilter } from '../scim/filter.js';
import { patchedResource } from '../scim/patch.js';
import {
  parseResource,
  RESOURCE_TYPES,
  storedResource,
  viewMembers,
  viewResource,
  type ResourceType,
} from '../scim/resource.js';

const PATH = '/api/2.0/preview/scim/v2';

/** Resources of one answer. */
const COUNT_MAX = 10_000;

const LIST_SCHEMA = 'urn:ietf:params:scim:api:messages:2.0:ListResponse';

/** Shown whatever `attributes` says. */
const ALWAYS_SHOWN: readonly string[] = ['id', 'schemas'];

export function scimRoutes(app: FastifyInstance, book: IdentityBook, workspaceId: string): void {
  for (const type of RESOURCE_TYPES) resourceRoutes(app, book, type);

  app.get(`${PATH}/Me`, { config: { access: 'caller' } }, (request, reply) => {
    const record = book.record(request.principal?.id ?? '');
    if (record === null) throw missing('Users', request.principal?.name ?? '');
    reply.header('x-databricks-org-id', workspaceId);
    // Of a service principal too: the Terraform provider takes it for the name of the caller.
    return selected({ ...viewResource(record, book), userName: record.name }, request);
  });
}

function resourceRoutes(app: FastifyInstance, book: IdentityBook, type: ResourceType): void {
  const path = `${PATH}/${type.plural}`;

  app.get(path, (request) => listOf(request, book, type));

  const show = (reply: FastifyReply, record: PrincipalRecord): JsonObject => {
    const value = viewResource(record, book);
    return sendTagged(reply, { value, etag: etagOfView(value) });
  };

  app.post(path, (request, reply) => {
    const draft = parseResource(type, withKnownNames(requireBody(request)), null);
    return show(reply, book.create(type.kind, draft));
  });

  app.get(`${path}/:id`, (request, reply) =>
    selected(show(reply, recordOf(request, book, type)), request),
  );

  app.put(`${path}/:id`, (request, reply) => {
    const before = unchangedRecord(request, book, type);
    const draft = parseResource(type, withKnownNames(requireBody(request)), before);
    const whole = type.kind === 'group' ? { members: [], ...draft } : draft;
    return show(reply, book.update(before.id, whole));
  });

  app.patch(`${path}/:id`, (request, reply) => {
    const before = unchangedRecord(request, book, type);
    // One SDK sends no body with any PATCH, whatever its caller asked for.
    if (request.body === undefined) return show(reply, before);
    const members = () => viewMembers(before, book);
    const patched = patchedResource(storedResource(before), withKnownNames(request.body), members);
    return show(reply, book.update(before.id, parseResource(type, patched, before)));
  });

  app.delete(`${path}/:id`, (request) => {
    book.delete(unchangedRecord(request, book, type).id);
    return {};
  });
}

/** The record that is to change, held to `If-Match`. Nothing waits between this and the change. */
function unchangedRecord(
  request: FastifyRequest,
  book: IdentityBook,
  type: ResourceType,
): PrincipalRecord {
  const record = recordOf(request, book, type);
  const { ifMatch } = changeOptions(request);
  if (ifMatch !== undefined) {
    const etag = etagOfView(viewResource(record, book));
    checkIfMatch(ifMatch, etag, `${type.plural}/${record.id}`);
  }
  return record;
}

/** Of all that is shown, memberships included. */
function etagOfView(view: JsonObject): string {
  return hashTag(canonicalJson(view));
}

function recordOf(
  request: FastifyRequest,
  book: IdentityBook,
  type: ResourceType,
): PrincipalRecord {
  const id = pathParam(request, 'id');
  const record = book.record(id);
  if (record?.kind === type.kind) return record;
  throw missing(type.plural, id);
}

function missing(plural: string, id: string): PointsmanError {
  return new PointsmanError('RESOURCE_DOES_NOT_EXIST', `${plural}/${id} does not exist.`);
}

function listOf(request: FastifyRequest, book: IdentityBook, type: ResourceType): JsonObject {
  const filterText = queryText(request, 'filter') ?? '';
  const matches = filterText === '' ? () => true : parseFilter(filterText, 'filter');
  const all = book
    .list(type.kind)
    .map((record) => viewResource(record, book))
    .filter(matches);
  sort(all, request);
  const startIndex = Math.max(1, integerOf(request, 'startIndex') ?? 1);
  const count = Math.min(COUNT_MAX, Math.max(0, integerOf(request, 'count') ?? COUNT_MAX));
  const page = all.slice(startIndex - 1, startIndex - 1 + count);
  return {
    schemas: [LIST_SCHEMA],
    totalResults: all.length,
    startIndex,
    itemsPerPage: page.length,
    Resources: page.map((resource) => selected(resource, request)),
  };
}

function sort(resources: JsonObject[], request: FastifyRequest): void {
  const by = queryText(request, 'sortBy') ?? '';
  if (by === '') return;
  const order = queryText(request, 'sortOrder') === 'descending' ? -1 : 1;
  const textOf = (resource: JsonObject) => {
    const value = resource[by];
    return typeof value === 'string' ? value.toLowerCase() : '';
  };
  resources.sort((a, b) => order * (textOf(a) < textOf(b) ? -1 : Number(textOf(a) > textOf(b))));
}

/** Holds a resource to `attributes` and `excludedAttributes` of the query. */
function selected(resource: JsonObject, request: FastifyRequest): JsonObject {
  const wanted = namesOf(request, 'attributes');
  const excluded = namesOf(request, 'excludedAttributes');
  if (wanted.length + excluded.length === 0) return resource;
  const keep = ([key]: [string, Json]) => {
    if (ALWAYS_SHOWN.includes(key)) return true;
    const name = key.toLowerCase();
    return (wanted.length === 0 || wanted.includes(name)) && !excluded.includes(name);
  };
  return Object.fromEntries(Object.entries(resource).filter(keep));
}

/** Attribute names in lower case; of `name.givenName` the whole attribute counts. */
function namesOf(request: FastifyRequest, key: string): string[] {
  const text = queryText(request, key) ?? '';
  const names = text.split(',').map((name) => name.trim().split('.', 1)[0]?.toLowerCase() ?? '');
  return names.filter((name) => name !== '');
}

function integerOf(request: FastifyRequest, key: string): number | null {
  const text = queryText(request, key);
  if (text === null || text === '') return null;
  if (!/^\d{1,9}$/.test(text)) throw invalidField(key, 'must be an integer of at least 0');
  return Number(text);
}
