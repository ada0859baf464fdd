/**
 * Users, service principals and groups (`/api/2.0/preview/scim/v2`), and who the caller is. Every
 * call but `Me` is an admin's.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { IdentityBook, PrincipalRecord } from '../../auth/identity-book.js';
import type { Json, JsonObject } from '../../control/control-plane.js';
import { invalidField, PointsmanError } from '../../core/errors.js';
import { pathParam, queryText, requireBody } from '../context.js';
import { parseFilter } from '../scim/filter.js';
import { patchedResource } from '../scim/patch.js';
import {
  parseResource,
  RESOURCE_TYPES,
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
    return selected(viewResource(record, book), request);
  });
}

function resourceRoutes(app: FastifyInstance, book: IdentityBook, type: ResourceType): void {
  const path = `${PATH}/${type.plural}`;

  app.get(path, (request) => listOf(request, book, type));

  app.post(path, (request) => {
    const draft = parseResource(type, requireBody(request), null);
    return viewResource(book.create(type.kind, draft), book);
  });

  app.get(`${path}/:id`, (request) =>
    selected(viewResource(recordOf(request, book, type), book), request),
  );

  app.put(`${path}/:id`, (request) => {
    const before = recordOf(request, book, type);
    const draft = parseResource(type, requireBody(request), before);
    return viewResource(book.update(before.id, draft), book);
  });

  app.patch(`${path}/:id`, (request) => {
    const before = recordOf(request, book, type);
    const shown = viewResource(before, book);
    // One SDK sends no body with any PATCH, whatever its caller asked for.
    if (request.body === undefined) return shown;
    const draft = parseResource(type, patchedResource(shown, request.body), before);
    return viewResource(book.update(before.id, draft), book);
  });

  app.delete(`${path}/:id`, (request) => {
    book.delete(recordOf(request, book, type).id);
    return {};
  });
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
