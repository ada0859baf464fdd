/** Waiting until an accepted config is the one that serves. */
import type { EndpointStatus, Status } from '../control/control-plane.js';
import type { AdminClient } from './client.js';
import { CliError, type Io } from './io.js';

/** What is known once a change is live. */
export interface LiveUpdate {
  readonly status: Status;
  readonly endpoint: EndpointStatus;
  readonly liveAfterMs: number;
}

const POLL_MS = 100;

/**
 * @param startMs when the change was sent, by `io.nowMs`.
 * @throws CliError when the update ends otherwise, or not in time.
 */
export async function waitLive(
  client: AdminClient,
  name: string,
  startMs: number,
  timeoutMs: number,
  io: Io,
): Promise<LiveUpdate> {
  for (;;) {
    const status = await client.status();
    const endpoint = endpointIn(status, name);
    const elapsedMs = io.nowMs() - startMs;
    if (endpoint.config_update === 'NOT_UPDATING') {
      return { status, endpoint, liveAfterMs: Math.round(elapsedMs) };
    }
    if (endpoint.config_update !== 'IN_PROGRESS') {
      throw new CliError(`The change failed (${endpoint.config_update}): ${endpoint.message}`);
    }
    if (elapsedMs >= timeoutMs || io.signal.aborted) {
      throw new CliError(
        `The change was accepted but is not live yet: ${endpoint.message || 'it is in progress'}`,
        `It goes on without this command; look with "pointsman endpoints ${name}", end it with ` +
          `"pointsman cancel-update ${name}".`,
      );
    }
    await io.sleep(POLL_MS);
  }
}

export function endpointIn(status: Status, name: string): EndpointStatus {
  const endpoint = status.endpoints.find((candidate) => candidate.name === name);
  if (endpoint === undefined) throw new CliError(`${name} was deleted in the meantime.`);
  return endpoint;
}

export function describeLive({ status, endpoint, liveAfterMs }: LiveUpdate): string {
  const version = `config version ${String(endpoint.config_version)}`;
  return `Live after ${String(liveAfterMs)} ms: ${version}, revision ${String(status.revision)}.`;
}
