/** Calls of the data port that workers bring to the supervisor: all that relay.sock serves of the admin port's application. */
import { isName } from '../core/names.js';
import { OIDC_PATHS } from '../core/oidc-paths.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';

export const RELAYED_KINDS = ['token', 'document', 'read'] as const;

/** Calls of one kind take no place from another's. Only a `read` needs a credential. */
export type RelayedKind = (typeof RELAYED_KINDS)[number];

export interface RelayedPath {
  readonly methods: readonly string[];
  readonly kind: RelayedKind;
}

const METHODS = ['GET', 'HEAD'];
const DOCUMENT: RelayedPath = { methods: METHODS, kind: 'document' };
const READ: RelayedPath = { methods: METHODS, kind: 'read' };

const PATHS: ReadonlyMap<string, RelayedPath> = new Map([
  [OIDC_PATHS.databricksConfig, DOCUMENT],
  [OIDC_PATHS.metadata, DOCUMENT],
  [OIDC_PATHS.keySet, DOCUMENT],
  [OIDC_PATHS.token, { methods: ['POST'], kind: 'token' }],
  ['/api/2.0/preview/scim/v2/Me', READ],
  [ENDPOINTS, READ],
]);

/** With and without a slash at its end, as the admin port takes paths. Null: it is not relayed. */
export function relayedPath(target: string): RelayedPath | null {
  const path = target.replace(/\/$/, '');
  const isOfEndpoint = path.startsWith(`${ENDPOINTS}/`) && isName(path.slice(ENDPOINTS.length + 1));
  return isOfEndpoint ? READ : (PATHS.get(path) ?? null);
}
