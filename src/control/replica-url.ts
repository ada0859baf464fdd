/** Base URLs of replicas: `http://host[:port][/path]` and `unix:/path.sock`. */
import { isIP } from 'node:net';
import { invalidField } from '../core/errors.js';

export interface ReplicaTarget {
  /** Host name, IP literal without brackets, or `unix:/path.sock`. */
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
  /** Value of Host towards the replica. */
  readonly authority: string;
  /** Without a trailing slash; may be empty. */
  readonly basePath: string;
  /** False when `host` must be resolved. */
  readonly literal: boolean;
}

const UNIX = 'unix:';
/** Room in sockaddr_un, less the final zero. */
const UNIX_PATH_BYTES_MAX = 107;
const HTTP_PORT = 80;

/** @throws PointsmanError INVALID_PARAMETER_VALUE naming `field`. */
export function parseReplicaUrl(text: string, field: string): ReplicaTarget {
  if (text.startsWith(UNIX)) return unixTarget(text, field);
  // URL() would silently repair spaces, tabs and backslashes.
  if (!/^[\x21-\x7e]+$/.test(text) || text.includes('\\')) {
    throw invalidField(field, 'must hold visible ASCII only, no backslash');
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === 'https:') throw invalidField(field, 'https replicas are not supported yet');
  if (url?.protocol !== 'http:' || !text.toLowerCase().startsWith('http://')) {
    throw invalidField(field, 'must be http://host[:port][/path] or unix:/path.sock');
  }
  if (url.username !== '' || url.password !== '' || /^http:\/\/[^/]*@/i.test(text)) {
    throw invalidField(field, 'must hold no user or password; use headers');
  }
  if (text.includes('?')) throw invalidField(field, 'must hold no query');
  if (text.includes('#')) throw invalidField(field, 'must hold no fragment');
  const port = url.port === '' ? HTTP_PORT : Number(url.port);
  if (port === 0) throw invalidField(field, 'port must be from 1 to 65535');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw invalidField(field, 'names no host');
  return {
    host,
    port,
    authority: url.host,
    basePath: url.pathname.replace(/\/+$/, ''),
    literal: isIP(host) !== 0,
  };
}

function unixTarget(text: string, field: string): ReplicaTarget {
  const path = text.slice(UNIX.length);
  if (!path.startsWith('/') || /[\u0000-\u001f\u007f]/.test(path) || path.endsWith('/')) {
    throw invalidField(field, 'unix: needs the absolute path of a socket');
  }
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    throw invalidField(field, `a socket's path takes at most ${String(UNIX_PATH_BYTES_MAX)} bytes`);
  }
  return { host: text, port: 0, authority: 'localhost', basePath: '', literal: true };
}
