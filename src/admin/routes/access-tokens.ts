/** Personal access tokens of the caller (`/api/2.0/token`). */
import type { FastifyInstance } from 'fastify';
import {
  LIFETIME_S_MAX,
  type Credential,
  type CredentialInput,
} from '../../auth/credential-book.js';
import type { StoredIdentities } from '../../auth/stored-identities.js';
import type { JsonObject } from '../../control/control-plane.js';
import { checkText, Fields } from '../../control/input.js';
import { invalidField } from '../../core/errors.js';
import { callerOf, requireBody } from '../context.js';

const PATH = '/api/2.0/token';

/** What the API shows for a token that does not expire. */
const NEVER = -1;

export function accessTokenRoutes(app: FastifyInstance, identities: StoredIdentities): void {
  const { credentials } = identities;
  const config = { access: 'caller' } as const;

  app.post(`${PATH}/create`, { config }, (request) => {
    const input = parseTokenInput(new Fields(request.body ?? {}, ''));
    const principalId = callerOf(request).id;
    const { credential, secret } = credentials.create('access_token', { ...input, principalId });
    return { token_value: secret, token_info: viewToken(credential) };
  });

  app.get(`${PATH}/list`, { config }, (request) => ({
    token_infos: credentials.list('access_token', callerOf(request).id).map(viewToken),
  }));

  app.post(`${PATH}/delete`, { config }, (request) => {
    const id = new Fields(requireBody(request), '').requiredText('token_id');
    credentials.delete('access_token', callerOf(request).id, id);
    return {};
  });
}

/** Lifetime and comment of a token to be made. */
export function parseTokenInput(fields: Fields): Omit<CredentialInput, 'principalId'> {
  const comment = fields.string('comment') ?? '';
  return {
    lifetimeS: lifetimeOf(fields),
    comment: comment === '' ? '' : checkText(comment, fields.at('comment')),
  };
}

/** -1 is how the API shows a token without end, so it is taken as one. */
function lifetimeOf(fields: Fields): number | null {
  const given = fields.integer('lifetime_seconds', NEVER, LIFETIME_S_MAX);
  if (given === 0) {
    throw invalidField('lifetime_seconds', `must be from 1 to ${String(LIFETIME_S_MAX)}, or -1`);
  }
  return given === NEVER ? null : given;
}

export function viewToken({ id, createdAt, expiresAt, comment }: Credential): JsonObject {
  return {
    token_id: id,
    creation_time: createdAt,
    expiry_time: expiresAt ?? NEVER,
    comment,
  };
}
