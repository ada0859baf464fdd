/** Waiting until an accepted config is the one that serves. */
import type { EndpointStatus, Status } from '../control/control-plane.js';
import type { AdminClient } from './client.js';
import { CliError, type Io } from './io.js';
import { number, objectOf, optional, type Shape } from './shape.js';

/** What is known once a change is live. */
export interface LiveUpdate {
  readonly status: Status;
  readonly endpoint: EndpointStatus;
  readonly liveAfterMs: number;
}

const POLL_MS = 100;

/** A change that the daemon has taken. */
export interface Accepted {
  /** Of the endpoint. */
  readonly name: string;
  /** That its config got. */
  readonly version: number;
  /** When the change was sent, by `io.nowMs`. */
  readonly startMs: number;
}

/** What the API shows of an endpoint's configs, as far as it says which one was accepted. */
export interface ConfigVersions {
  readonly config?: ConfigVersion | undefined;
  readonly pending_config?: ConfigVersion | undefined;
}

interface ConfigVersion {
  readonly config_version: number;
}

const configVersion = objectOf<ConfigVersion>({ config_version: number });

const versions = objectOf<ConfigVersions>({
  config: optional(configVersion),
  pending_config: optional(configVersion),
});

export const versionsShape: Shape<ConfigVersions> = (value): value is ConfigVersions =>
  versions(value) && (value.config ?? value.pending_config) !== undefined;

/** The config of an answer to a change: it waits, or it is active at once. */
export function acceptedVersion({ config, pending_config: pending }: ConfigVersions): number {
  return (pending ?? config)?.config_version ?? 0;
}

/** @throws CliError when the update ends otherwise, or not in time. */
export async function waitLive(
  client: AdminClient,
  { name, version, startMs }: Accepted,
  timeoutMs: number,
  io: Io,
): Promise<LiveUpdate> {
  for (;;) {
    const status = await client.status();
    const endpoint = endpointIn(status, name);
    const elapsedMs = io.nowMs() - startMs;
    if (endpoint.config_version === version) {
      return { status, endpoint, liveAfterMs: Math.round(elapsedMs) };
    }
    if (endpoint.pending_config_version !== version) throw replaced(endpoint, version);
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

/** Somebody else's config has come in its place, before or after it was live. */
function replaced(endpoint: EndpointStatus, version: number): CliError {
  const { name, config_version: active } = endpoint;
  const serves = active === null ? 'none serves' : `version ${String(active)} serves`;
  return new CliError(
    `Another change of ${name} has replaced config version ${String(version)}; ${serves}.`,
    `See what was accepted with "pointsman rollback ${name} --list".`,
  );
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
