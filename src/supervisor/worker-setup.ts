/** What a worker is told first: who meets its clients, and the settings that hold as long as it lives. */
import type { TokenCredential } from '../auth/credentials.js';
import type { Config } from '../config/config.js';
import { WorkerMode, type Setup } from '../control/messages.js';

export const MODE_NAMES = ['native', 'guarded', 'js'] as const;

export interface SetupOptions {
  readonly config: Config;
  readonly credentials: readonly TokenCredential[];
  /** Of the keyed hash of access tokens. */
  readonly accessTokenKey: Uint8Array;
}

/** @param degraded the slot goes on without the fast path. */
export function modeOf({ data_plane: dataPlane }: Config, degraded: boolean): WorkerMode {
  if (dataPlane.guard === 'off') return WorkerMode.JS;
  return dataPlane.fast_path && !degraded ? WorkerMode.NATIVE : WorkerMode.GUARDED;
}

export function setupOf(options: SetupOptions, degraded: boolean): Setup {
  const { config, credentials, accessTokenKey } = options;
  return {
    workspaceId: config.workspace_id,
    authRequired: config.auth.mode === 'required',
    credentials: [...credentials],
    maxRequestBytes: config.data_plane.max_request_bytes,
    maxHeaderBytes: config.data_plane.max_header_bytes,
    maxConnections: config.data_plane.max_connections,
    mode: modeOf(config, degraded),
    servingDomain: config.data_plane.serving_domain,
    accessTokenKey,
  };
}
