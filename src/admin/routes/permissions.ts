/** Permissions on a serving endpoint (reference/databricks-serving-api.md, section 10). */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { IdentityBook } from '../../auth/identity-book.js';
import { ADMINS } from '../../auth/identity-book.js';
import type { ControlPlane, JsonObject } from '../../control/control-plane.js';
import { grantsEtag, type EndpointGrants } from '../../control/grant-book.js';
import {
  GRANTS_MAX,
  parseGrants,
  PERMISSION_LEVELS,
  viewPrincipal,
  type GrantRecord,
} from '../../control/grants.js';
import { Fields } from '../../control/input.js';
import { invalidField, PointsmanError } from '../../core/errors.js';
import { changeOptions, pathParam, requireBody, sendTagged } from '../context.js';

const PATH = '/api/2.0/permissions/serving-endpoints/:id';

const DESCRIPTIONS = {
  CAN_VIEW: 'Can view the endpoint, its configs and their history',
  CAN_QUERY: 'Can view and query the endpoint',
  CAN_MANAGE: 'Can view, query, change and delete the endpoint, and set its permissions',
} as const satisfies Record<(typeof PERMISSION_LEVELS)[number], string>;

export function permissionRoutes(
  app: FastifyInstance,
  control: ControlPlane,
  book: IdentityBook,
): void {
  const manage = { config: { access: 'CAN_MANAGE' } } as const;

  const show = (reply: FastifyReply, shown: EndpointGrants): JsonObject =>
    sendTagged(reply, { value: viewPermissions(shown, book), etag: grantsEtag(shown) });

  app.get(PATH, manage, (request, reply) =>
    show(reply, existing(control, pathParam(request, 'id'))),
  );

  app.get(`${PATH}/permissionLevels`, { config: { access: 'CAN_VIEW' } }, (request) => {
    existing(control, pathParam(request, 'id'));
    return {
      permission_levels: PERMISSION_LEVELS.map((level) => ({
        permission_level: level,
        description: DESCRIPTIONS[level],
      })),
    };
  });

  app.put(PATH, manage, async (request, reply) => {
    const wanted = parseGrants(new Fields(requireBody(request), ''), book) ?? [];
    const id = pathParam(request, 'id');
    const changed = await control.grants.change(id, () => wanted, changeOptions(request));
    return show(reply, changed);
  });

  app.patch(PATH, manage, async (request, reply) => {
    const id = pathParam(request, 'id');
    // One SDK sends no body with any PATCH, whatever its caller asked for.
    const given =
      request.body === undefined ? null : parseGrants(new Fields(request.body, ''), book);
    if (given === null) return show(reply, existing(control, id));
    const merge = (grants: readonly GrantRecord[]) => merged(grants, given, book);
    const changed = await control.grants.change(id, merge, changeOptions(request));
    return show(reply, changed);
  });
}

function existing(control: ControlPlane, endpoint: string): EndpointGrants {
  const found = control.grants.of(endpoint);
  if (found !== null) return found;
  throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Endpoint ${endpoint} does not exist.`);
}

/** A principal that is named gets the given level; principals that are gone are dropped. */
function merged(
  grants: readonly GrantRecord[],
  given: readonly GrantRecord[],
  book: IdentityBook,
): GrantRecord[] {
  const named = new Set(given.map(({ principal }) => principal));
  const kept = grants.filter(
    ({ principal }) => !named.has(principal) && book.named(principal) !== null,
  );
  if (kept.length + given.length > GRANTS_MAX) {
    const limit = String(GRANTS_MAX);
    throw invalidField('access_control_list', `an endpoint takes at most ${limit} entries`);
  }
  return [...kept, ...given];
}

function viewPermissions({ id, grants }: EndpointGrants, book: IdentityBook): JsonObject {
  const inherited: JsonObject = {
    permission_level: 'CAN_MANAGE',
    inherited: true,
    inherited_from_object: ['/serving-endpoints/'],
  };
  const adminsId = book.find('group', ADMINS);
  const entries = grants.flatMap(({ principal, level }) => {
    const entry = entryOf(principal, book);
    if (entry === null || principal === adminsId) return [];
    return [{ ...entry, all_permissions: [{ permission_level: level, inherited: false }] }];
  });
  const direct = grants.filter(({ principal }) => principal === adminsId);
  const ofAdmins = direct.map(({ level }) => ({ permission_level: level, inherited: false }));
  return {
    object_id: `/serving-endpoints/${id}`,
    object_type: 'serving-endpoint',
    access_control_list: [
      ...entries,
      { group_name: ADMINS, all_permissions: [...ofAdmins, inherited] },
    ],
  };
}

function entryOf(principal: string, book: IdentityBook): JsonObject | null {
  const name = viewPrincipal(principal, book);
  const displayName = book.named(principal)?.displayName ?? '';
  return name === null || displayName === '' ? name : { ...name, display_name: displayName };
}
