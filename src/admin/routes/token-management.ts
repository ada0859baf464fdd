/**
 * Access tokens of everybody, for admins (`/api/2.0/token-management`). A principal's first token is
 * made here, on its behalf.
 */
import type { FastifyInstance } from 'fastify';
import type { Credential } from '../../auth/credential-book.js';
import type { StoredIdentities } from '../../auth/stored-identities.js';
import type { JsonObject } from '../../control/control-plane.js';
import { Fields } from '../../control/input.js';
import { invalidField, PointsmanError } from '../../core/errors.js';
import { pathParam, queryText, requireBody } from '../context.js';
import { parseTokenInput, viewToken } from './access-tokens.js';

const PATH = '/api/2.0/token-management';

export function tokenManagementRoutes(app: FastifyInstance, identities: StoredIdentities): void {
  const { credentials } = identities;

  const view = (credential: Credential): JsonObject => {
    const owner = identities.principal(credential.principalId);
    const ownerId = Number(credential.principalId);
    return {
      ...viewToken(credential),
      owner_id: ownerId,
      created_by_id: ownerId,
      created_by_username: owner?.name ?? '',
    };
  };

  const find = (id: string): Credential => {
    const found = credentials.all('access_token').find((one) => one.id === id);
    if (found !== undefined) return found;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Token ${id} does not exist.`);
  };

  app.post(`${PATH}/on-behalf-of/tokens`, (request) => {
    const fields = new Fields(requireBody(request), '');
    const principalId = ownerOf(fields, identities);
    const input = { ...parseTokenInput(fields), principalId };
    const { credential, secret } = credentials.create('access_token', input);
    return { token_value: secret, token_info: view(credential) };
  });

  app.get(`${PATH}/tokens`, (request) => {
    const id = queryText(request, 'created_by_id');
    const name = queryText(request, 'created_by_username');
    const tokens = credentials
      .all('access_token')
      .map(view)
      .filter((token) => id === null || String(token['created_by_id'] as number) === id)
      .filter((token) => name === null || token['created_by_username'] === name);
    return { token_infos: tokens };
  });

  app.get(`${PATH}/tokens/:token_id`, (request) => ({
    token_info: view(find(pathParam(request, 'token_id'))),
  }));

  app.delete(`${PATH}/tokens/:token_id`, (request) => {
    const { id, principalId } = find(pathParam(request, 'token_id'));
    credentials.delete('access_token', principalId, id);
    return {};
  });
}

/** The API names a service principal; users are named here as well. */
function ownerOf(fields: Fields, identities: StoredIdentities): string {
  const [key, kind] = fields.has('user_name')
    ? (['user_name', 'user'] as const)
    : (['application_id', 'service_principal'] as const);
  const name = fields.requiredText(key);
  const id = identities.book.find(kind, name);
  if (id === null || identities.book.ungrantable(id) !== null) {
    throw invalidField(key, `there is no such principal that may have tokens`);
  }
  return id;
}
