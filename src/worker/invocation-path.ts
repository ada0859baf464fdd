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
  /** With the workspace id before it: the form that route-optimized endpoints show. */
  readonly hasWorkspace: boolean;
}

const PREFIX = '/serving-endpoints/';
const SUFFIX = '/invocations';
const SERVED = '/served-models/';
const NAME = /^[A-Za-z0-9_-]{1,128}$/;

/** Null when the path is no invocation. */
export function parseInvocationPath(path: string, workspaceId: string): InvocationPath | null {
  let start = PREFIX.length;
  const hasWorkspace = !path.startsWith(PREFIX);
  if (hasWorkspace) {
    const own = `/${workspaceId}`;
    if (!path.startsWith(own) || !path.startsWith(PREFIX, own.length)) return null;
    start += own.length;
  }
  if (!path.endsWith(SUFFIX)) return null;
  const middle = path.slice(start, -SUFFIX.length);
  const served = middle.indexOf(SERVED);
  if (served < 0) return NAME.test(middle) ? { endpoint: middle, served: '', hasWorkspace } : null;
  const endpoint = middle.slice(0, served);
  const entity = middle.slice(served + SERVED.length);
  if (!NAME.test(endpoint) || !NAME.test(entity)) return null;
  return { endpoint, served: entity, hasWorkspace };
}

/**
 * What stands before the domain in `{endpoint-id}.{domain}[.][:port]`, as it was sent; empty when the host lies elsewhere.
 * It may be no id: a host below the domain opens its own endpoint alone.
 */
export function endpointIdOfHost(host: string, domain: string): string {
  if (domain === '') return '';
  const colon = host.lastIndexOf(':');
  // A dot at the end says that the name is complete (RFC 1034, 3.1): it is the same one.
  const name = (colon < 0 ? host : host.slice(0, colon)).replace(/\.$/, '');
  const dot = name.length - domain.length - 1;
  if (dot <= 0 || name.slice(dot).toLowerCase() !== `.${domain.toLowerCase()}`) return '';
  return name.slice(0, dot);
}
