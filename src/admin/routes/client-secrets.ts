/** OAuth secrets of a service principal; each is shown once, when it is made. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LIFETIME_S_MAX, type Credential } from '../../auth/credential-book.js';
import type { StoredIdentities } from '../../auth/stored-identities.js';
import type { JsonObject } from '../../control/control-plane.js';
import { Fields } from '../../control/input.js';
import { invalidField, PointsmanError } from '../../core/errors.js';
import { pathParam } from '../context.js';

const PATH = '/api/2.0/accounts/servicePrincipals/:id/credentials/secrets';

export function clientSecretRoutes(app: FastifyInstance, identities: StoredIdentities): void {
  const { credentials } = identities;

  app.post(PATH, (request) => {
    const { credential, secret } = credentials.create('client_secret', {
      principalId: principalId(request, identities),
      lifetimeS: lifetimeOf(new Fields(request.body ?? {}, '')),
      comment: '',
    });
    return { ...viewSecret(credential), secret };
  });

  app.get(PATH, (request) => ({
    secrets: credentials.list('client_secret', principalId(request, identities)).map(viewSecret),
  }));

  app.delete(`${PATH}/:secret_id`, (request) => {
    const owner = principalId(request, identities);
    credentials.delete('client_secret', owner, pathParam(request, 'secret_id'));
    return {};
  });
}

function principalId(request: FastifyRequest, identities: StoredIdentities): string {
  const id = pathParam(request, 'id');
  if (identities.principal(id)?.kind === 'service_principal') return id;
  throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Service principal ${id} does not exist.`);
}

/** A duration as protobuf writes it in JSON: `3600s`. Without one a secret lives as long as may be. */
function lifetimeOf(fields: Fields): number {
  const text = fields.string('lifetime');
  if (text === null) return LIFETIME_S_MAX;
  const seconds = Number(/^(\d{1,10})(?:\.\d{1,9})?s$/.exec(text)?.[1] ?? 'NaN');
  if (seconds >= 1 && seconds <= LIFETIME_S_MAX) return seconds;
  throw invalidField('lifetime', `must be from 1s to ${String(LIFETIME_S_MAX)}s, e.g. 3600s`);
}

function viewSecret({ id, createdAt, expiresAt, fingerprint }: Credential): JsonObject {
  const created = new Date(createdAt).toISOString();
  return {
    id,
    secret_hash: fingerprint,
    status: 'ACTIVE',
    create_time: created,
    update_time: created,
    expire_time: expiresAt === null ? '' : new Date(expiresAt).toISOString(),
  };
}
