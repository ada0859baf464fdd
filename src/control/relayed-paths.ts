/** Calls of the data port that workers bring to the supervisor: all that relay.sock serves of the admin port's application. */
import { isName } from '../core/names.js';
import { OIDC_PATHS } from '../core/oidc-paths.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';

export interface RelayedPath {
  readonly methods: readonly string[];
  /** No credential is needed. */
  readonly isPublic: boolean;
}

const READ = ['GET', 'HEAD'];
const PUBLIC: RelayedPath = { methods: READ, isPublic: true };
const GUARDED: RelayedPath = { methods: READ, isPublic: false };

const PATHS: ReadonlyMap<string, RelayedPath> = new Map([
  [OIDC_PATHS.databricksConfig, PUBLIC],
  [OIDC_PATHS.metadata, PUBLIC],
  [OIDC_PATHS.keySet, PUBLIC],
  [OIDC_PATHS.token, { methods: ['POST'], isPublic: true }],
  ['/api/2.0/preview/scim/v2/Me', GUARDED],
  [ENDPOINTS, GUARDED],
]);

/** Null: it is not relayed. */
export function relayedPath(path: string): RelayedPath | null {
  const isOfEndpoint = path.startsWith(`${ENDPOINTS}/`) && isName(path.slice(ENDPOINTS.length + 1));
  return isOfEndpoint ? GUARDED : (PATHS.get(path) ?? null);
}
