/** Rotation of the keys that sign our tokens; an admin's call. */
import type { FastifyInstance } from 'fastify';
import { invalidField } from '../../core/errors.js';
import type { SigningKeys } from '../../auth/signing-keys.js';

export const ROTATE_PATH = '/api/2.0/pointsman/signing-keys/rotate';

export function signingKeyRoutes(app: FastifyInstance, keys: Pick<SigningKeys, 'rotate'>): void {
  app.post(ROTATE_PATH, async (request) => {
    const revoke = readRevoke(request.body);
    return { kid: await keys.rotate({ revoke }), revoked: revoke };
  });
}

/** False unless the body says true: whoever mistypes must not end every token, nor believe to have ended them. */
function readRevoke(body: unknown): boolean {
  if (body === undefined) return false;
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidField('body', 'must be an object');
  }
  for (const name of Object.keys(body)) {
    if (name !== 'revoke') throw invalidField(name, 'unknown key');
  }
  const { revoke = false } = body as { revoke?: unknown };
  if (typeof revoke !== 'boolean') throw invalidField('revoke', 'must be true or false');
  return revoke;
}
