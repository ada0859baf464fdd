/**
 * Waiting until an accepted config is the one that serves. The endpoint itself is asked, because who
 * may change it may see it, while the daemon's status is for admins.
 */
import { API, RefusedError, type AdminClient, type ApiAnswer } from './client.js';
import { CliError, EXIT_FAILED, EXIT_NOT_LIVE, type Io } from './io.js';
import { listOf, number, objectOf, optional, text, type Shape } from './shape.js';

/** What is known once a change is live. */
export interface LiveUpdate {
  readonly version: number;
  /** Null when the daemon does not say. */
  readonly revision: number | null;
  readonly liveAfterMs: number;
}

/** The change was accepted, and it is not what serves. */
class NotLiveError extends CliError {
  /** What it waits for, or why it has failed. */
  readonly reason: string;
  /** False: it has ended otherwise. */
  readonly goesOn: boolean;

  constructor(message: string, hint: string, reason: string, goesOn: boolean) {
    super(message, hint, goesOn ? EXIT_NOT_LIVE : EXIT_FAILED);
    this.reason = reason;
    this.goesOn = goesOn;
  }
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

interface EndpointView {
  readonly state: { readonly config_update: string };
  readonly config?: ConfigVersion | undefined;
  readonly pending_config?: PendingView | undefined;
}

interface PendingView extends ConfigVersion {
  readonly served_entities: readonly EntityView[];
}

interface EntityView {
  readonly state: { readonly deployment_state_message: string };
}

const endpointShape = objectOf<EndpointView>({
  state: objectOf<EndpointView['state']>({ config_update: text }),
  config: optional(configVersion),
  pending_config: optional(
    objectOf<PendingView>({
      config_version: number,
      served_entities: listOf(
        objectOf<EntityView>({
          state: objectOf<EntityView['state']>({ deployment_state_message: text }),
        }),
      ),
    }),
  ),
});

/** @throws NotLiveError when the update ends otherwise, or not in time. */
async function waitLive(
  client: AdminClient,
  { name, version, startMs }: Accepted,
  timeoutMs: number,
  io: Io,
): Promise<LiveUpdate> {
  for (;;) {
    const { body: endpoint, revision } = await readEndpoint(client, name);
    const elapsedMs = io.nowMs() - startMs;
    if (endpoint.config?.config_version === version) {
      return { version, revision, liveAfterMs: Math.round(elapsedMs) };
    }
    if (endpoint.pending_config?.config_version !== version) {
      throw replaced(client, name, endpoint, version);
    }
    const { config_update: update } = endpoint.state;
    if (update !== 'IN_PROGRESS') {
      const message = reasonOf(endpoint.pending_config) || (await messageOf(client, name));
      throw new NotLiveError(`The change failed (${update}): ${message}`, '', message, false);
    }
    // Ctrl-C ends the wait, and the change goes on as behind a timeout.
    if (elapsedMs < timeoutMs) await io.sleep(POLL_MS);
    if (elapsedMs >= timeoutMs || io.signal.aborted) {
      const reason = reasonOf(endpoint.pending_config) || 'it is in progress';
      throw new NotLiveError(
        `The change was accepted but is not live yet: ${reason}`,
        `It goes on without this command; look with "${client.line(`endpoints ${name}`)}".`,
        reason,
        true,
      );
    }
  }
}

async function readEndpoint(client: AdminClient, name: string): Promise<ApiAnswer<EndpointView>> {
  try {
    const path = `${API}/serving-endpoints/${encodeURIComponent(name)}`;
    return await client.call('GET', path, endpointShape);
  } catch (error) {
    const isGone = error instanceof RefusedError && error.code === 'RESOURCE_DOES_NOT_EXIST';
    throw isGone ? wasDeleted(name) : error;
  }
}

/** What its entities wait for, or what they lacked when the update ended. */
function reasonOf({ served_entities: entities }: PendingView): string {
  const messages = entities.map(({ state }) => state.deployment_state_message);
  return [...new Set(messages.filter((message) => message !== ''))].join('; ');
}

/** Of a failure that is not an entity's: the status has it, if the caller may see that. */
async function messageOf(client: AdminClient, name: string): Promise<string> {
  const status = await client.tryStatus();
  return status?.endpoints.find((endpoint) => endpoint.name === name)?.message ?? '';
}

/** Somebody else's config has come in its place, before or after it was live. */
function replaced(
  client: AdminClient,
  name: string,
  { config }: EndpointView,
  version: number,
): NotLiveError {
  const serves =
    config === undefined ? 'none serves' : `version ${String(config.config_version)} serves`;
  const reason = `Another change of ${name} has replaced config version ${String(version)}; ${serves}.`;
  const hint = `See what was accepted with "${client.line(`rollback ${name} --list`)}".`;
  return new NotLiveError(reason, hint, reason, false);
}

export function wasDeleted(name: string): CliError {
  return new CliError(`${name} was deleted in the meantime.`);
}

function describeLive({ version, revision, liveAfterMs }: LiveUpdate): string {
  const at = revision === null ? '' : `, revision ${String(revision)}`;
  return `Live after ${String(liveAfterMs)} ms: config version ${String(version)}${at}.`;
}

/** What `--json` prints of it. */
function notLiveReport(error: NotLiveError, { version }: Accepted): object {
  const { goesOn, reason } = error;
  return { config_version: version, live: false, goes_on: goesOn, message: reason };
}

export interface SeeThroughOptions {
  readonly timeoutMs: number;
  readonly json: boolean;
  /** What undoes the change once it is live; null: nothing does. */
  readonly undo: string | null;
  /** What `--json` says first. */
  readonly report: object;
}

/**
 * Waits until the change is live and ends the command: with the report of `--json`, and with a last line that says how to
 * undo the change, whatever came of it. `whenLive` answers what the report has to say of a change that is live.
 * @throws NotLiveError, and what `whenLive` throws
 */
export async function seeThrough(
  client: AdminClient,
  io: Io,
  accepted: Accepted,
  options: SeeThroughOptions,
  whenLive: (live: LiveUpdate) => object | Promise<object>,
): Promise<void> {
  // Another change on top of one that waits would be refused, or would let it go on.
  let undo: string | null = client.line(`cancel-update ${accepted.name}`);
  const report = (part: object): void => {
    if (options.json) io.out(JSON.stringify({ ...options.report, ...part, undo }, null, 2));
  };
  try {
    const live = await waitLive(client, accepted, options.timeoutMs, io);
    ({ undo } = options);
    if (!options.json) io.out(describeLive(live));
    report(await whenLive(live));
  } catch (error) {
    if (error instanceof NotLiveError) {
      if (!error.goesOn) undo = null;
      report(notLiveReport(error, accepted));
    }
    throw error;
  } finally {
    // On standard error with --json, so that a script's output stays one object.
    const sayUndo = options.json ? io.err.bind(io) : io.out.bind(io);
    if (undo !== null) sayUndo(`Undo: ${undo}`);
  }
}
