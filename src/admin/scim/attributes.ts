/**
 * Names of attributes and of the parts of a PATCH, in the case that this room uses: clients may write them in any
 * (RFC 7643, 2.1), and one who writes `Active` or `operations` must not be told 200 for nothing.
 */
import { joinPath } from '../../config/validate.js';
import { invalidField } from '../../core/errors.js';

const NAMES: ReadonlyMap<string, string> = new Map(
  [
    ...['schemas', 'id', 'externalId', 'meta'],
    ...['userName', 'applicationId', 'displayName', 'active', 'name', 'givenName', 'familyName'],
    ...['emails', 'entitlements', 'roles', 'groups', 'members'],
    ...['value', 'type', 'primary', 'display'],
    ...['Operations', 'op', 'path'],
  ].map((name) => [name.toLowerCase(), name]),
);

/**
 * A copy of the body. Names that mean nothing here stay as they are.
 * @throws PointsmanError INVALID_PARAMETER_VALUE for a name that is there in two cases.
 */
export function withKnownNames(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) {
    return value.map((item, index) => withKnownNames(item, joinPath(path, index)));
  }
  if (typeof value !== 'object' || value === null) return value;
  const named: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const name = NAMES.get(key.toLowerCase()) ?? key;
    if (Object.hasOwn(named, name)) throw invalidField(joinPath(path, key), 'sent more than once');
    named[name] = withKnownNames(item, joinPath(path, key));
  }
  return named;
}
