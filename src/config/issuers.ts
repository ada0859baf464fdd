/**
 * `auth.issuers`: the external issuers whose tokens are taken. A list in the file only, so it has a schema of its own
 * beside that of the settings; each fault names the entry's key.
 *
 * Where a key set may lie is decided by src/auth, which reads it; here is what can be said of the text alone.
 */
import { isAbsolute, resolve } from 'node:path';
import Type, { type Static } from 'typebox';
import { invalidField } from '../core/errors.js';
import { isRefusedAddress } from '../core/refused-addresses.js';
import { isLoopback } from './listen-address.js';
import { compileValidator } from './validate.js';

export const ISSUERS_MAX = 16;

/** Signature algorithms by the names of RFC 7518, 8037 and 9864. */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

const text = (description: string) => Type.String({ minLength: 1, maxLength: 1024, description });

export const ISSUER_SCHEMA = Type.Object(
  {
    issuer: text('Compared with `iss`, letter by letter'),
    jwks_uri: Type.Optional(
      text('URL of its key set: https, or http to a loopback address; or `jwks_file`'),
    ),
    jwks_file: Type.Optional(text('File with its key set, relative to this file; or `jwks_uri`')),
    audiences: Type.Array(text('One of them must stand in `aud`'), {
      minItems: 1,
      maxItems: 16,
      description: 'A token is taken if its `aud` holds one of them, letter by letter',
    }),
    algorithms: Type.Array(Type.Enum([...SIGNATURE_ALGORITHMS]), {
      minItems: 1,
      maxItems: SIGNATURE_ALGORITHMS.length,
      uniqueItems: true,
      default: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      description:
        'Allowed signature algorithms; a key without `alg` is used with the first that fits it',
    }),
    token_types: Type.Array(Type.String({ pattern: '^[A-Za-z0-9.+-]{1,64}$' }), {
      minItems: 1,
      maxItems: 8,
      default: ['at+jwt'],
      description:
        'Allowed values of `typ`, without `application/`; `JWT` for issuers of no access-token type',
    }),
    principal_claim: Type.String({
      minLength: 1,
      maxLength: 256,
      default: 'sub',
      description: 'Claim with the name of the user, or the application id',
    }),
    groups_claim: Type.String({
      maxLength: 256,
      default: '',
      description:
        'Claim with a list of names of groups that exist here; empty: none is read; never leads to `admins`',
    }),
    admin_groups: Type.Array(text('Name of a group'), {
      maxItems: 16,
      uniqueItems: true,
      default: [],
      description:
        'Names in that claim that make the caller a member of `admins`; there is no other way into it by the claim',
    }),
    auto_create: Type.Boolean({
      default: false,
      description: 'Create a user that is not known yet at its first token',
    }),
  },
  { additionalProperties: false },
);

export type IssuerValues = Static<typeof ISSUER_SCHEMA>;

const validate = compileValidator(Type.Array(ISSUER_SCHEMA, { maxItems: ISSUERS_MAX }));

/**
 * Checks and completes the list; `jwks_file` becomes absolute.
 * @throws PointsmanError INVALID_PARAMETER_VALUE that names the key
 */
export function completeIssuers(value: unknown, baseDir: string): IssuerValues[] {
  const issuers = validate(value, 'auth.issuers');
  const names = new Set<string>();
  return issuers.map((issuer, index) => {
    const at = `auth.issuers[${String(index)}]`;
    if (names.has(issuer.issuer)) throw invalidField(`${at}.issuer`, 'appears twice');
    names.add(issuer.issuer);
    if (issuer.admin_groups.length > 0 && issuer.groups_claim === '') {
      throw invalidField(`${at}.admin_groups`, 'needs groups_claim, which says where groups stand');
    }
    const { jwks_uri: uri, jwks_file: file } = issuer;
    if ((uri === undefined) === (file === undefined)) {
      throw invalidField(at, 'needs exactly one of jwks_uri and jwks_file');
    }
    if (uri !== undefined) {
      const fault = keySetUrlFault(uri);
      if (fault !== null) throw invalidField(`${at}.jwks_uri`, fault);
      return issuer;
    }
    if (file === undefined || isAbsolute(file)) return issuer;
    return { ...issuer, jwks_file: resolve(baseDir, file) };
  });
}

/** Null: the URL may be asked for keys; else why not. Names are judged again when they are resolved. */
export function keySetUrlFault(uri: string): string | null {
  const url = URL.canParse(uri) && /^[\x21-\x7e]+$/.test(uri) ? new URL(uri) : null;
  if (url === null) return 'must be a URL';
  if (url.username !== '' || url.password !== '') return 'must hold no user or password';
  if (url.hash !== '') return 'must hold no fragment';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (isRefusedAddress(host)) return 'names a link-local or metadata address';
  if (url.protocol === 'https:') return null;
  if (url.protocol === 'http:' && isLoopback(host)) return null;
  return 'must be https, or http to a loopback address';
}
