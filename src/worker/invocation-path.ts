/**
 * Paths of the data port that invoke an endpoint:
 *
 *   /serving-endpoints/{name}/invocations
 *   /serving-endpoints/{name}/served-models/{served}/invocations
 *   /{workspace-id}/serving-endpoints/...            the same two
 *
 * Names are compared byte for byte: no decoding, no case folding, no empty or dot segments, so that the
 * path a permission speaks of and the path that is served can never differ.
 */
export interface InvocationPath {
  readonly endpoint: string;
  /** Empty: routed by the split. */
  readonly served: string;
}

const PREFIX = '/serving-endpoints/';
const SUFFIX = '/invocations';
const SERVED = '/served-models/';
const NAME = /^[A-Za-z0-9_-]{1,128}$/;

/** Null when the path is no invocation. */
export function parseInvocationPath(path: string, workspaceId: string): InvocationPath | null {
  let start = PREFIX.length;
  if (!path.startsWith(PREFIX)) {
    const own = `/${workspaceId}`;
    if (!path.startsWith(own) || !path.startsWith(PREFIX, own.length)) return null;
    start += own.length;
  }
  if (!path.endsWith(SUFFIX)) return null;
  const middle = path.slice(start, -SUFFIX.length);
  const served = middle.indexOf(SERVED);
  if (served < 0) return NAME.test(middle) ? { endpoint: middle, served: '' } : null;
  const endpoint = middle.slice(0, served);
  const entity = middle.slice(served + SERVED.length);
  return NAME.test(endpoint) && NAME.test(entity) ? { endpoint, served: entity } : null;
}
