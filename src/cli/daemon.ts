/**
 * The daemon, put together: store, control plane, supervisor with its workers, admin port. This is the one
 * place where those rooms meet.
 *
 * Order of a start: lock the state directory, open the store, open sockets, start workers, publish the stored
 * revision, apply the first manifest, open the admin port. What can be refused is refused before workers of an
 * earlier supervisor, which may still serve, are asked to end; what goes wrong later and can be done without is logged.
 */
import { lookup } from 'node:dns/promises';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { createAdminApp } from '../admin/app.js';
import { boundConnections, CONNECTION_OPTIONS } from '../admin/connections.js';
import { RelayedCalls } from '../admin/relayed-calls.js';
import type { Readiness } from '../admin/contract.js';
import type { TokenCredential } from '../auth/credentials.js';
import { IdentityBook } from '../auth/identity-book.js';
import { loadLocalTokens } from '../auth/local-tokens.js';
import type { Config } from '../config/config.js';
import { formatListenAddress, isLoopback, type ListenAddress } from '../config/listen-address.js';
import { STATE_FILES } from '../config/state-files.js';
import { createControlPlane, type RunningControlPlane } from '../control/create-control-plane.js';
import { relayedPath } from '../control/relayed-paths.js';
import { relaySocketPath } from '../control/relay-socket.js';
import { systemClock } from '../core/clock.js';
import { invalidField, messageOf, PointsmanError } from '../core/errors.js';
import { loadAddon } from '../native/addon.js';
import type { Addon } from '../native/contract.js';
import { openSealer } from '../store/master-key.js';
import type { Sealer } from '../store/sealed-box.js';
import { Store } from '../store/store.js';
import { lockStateDir } from '../supervisor/state-lock.js';
import { Supervisor } from '../supervisor/supervisor.js';
import { createMetrics } from '../telemetry/metrics.js';
import { ACCESS_TOKEN_PURPOSE, DaemonAuth } from './daemon-auth.js';
import { FreshState } from './fresh-state.js';
import { applyFirstManifest } from './first-manifest.js';

/** A worker whose loop has not turned for this long does not count as serving. */
const HEARTBEAT_FRESH_MS = 2_000;
/** Calls that are being answered when the admin port closes may take this long. */
const ADMIN_CLOSE_MS = 500;

export interface DaemonOptions {
  readonly logger: Logger;
  readonly logReadable: boolean;
  readonly version: string;
  /** Aborts at the first signal to end. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Daemon {
  readonly adminUrl: string;
  readonly dataUrl: string;
  readonly control: RunningControlPlane;
  /** True when the store was empty before this start. */
  readonly firstStart: boolean;
  /** Drains and ends everything; resolves when all is closed. */
  stop(): Promise<void>;
  /** Kills the workers, so that none outlives this process. */
  abort(): void;
}

/**
 * @throws PointsmanError or Error that says what is wrong and where; the signal's reason when it aborts before anything
 * serves.
 */
export async function startDaemon(config: Config, options: DaemonOptions): Promise<Daemon> {
  const addon = loadAddon();
  // Before there is a secret in memory; workers inherit it.
  if (!config.core_dumps && !addon.disableCoreDumps()) {
    options.logger.warn('core dumps cannot be turned off here; a crash may write secrets to disk');
  }
  const lock = inStateDir(config.state_dir, () => {
    mkdirSync(config.state_dir, { recursive: true, mode: 0o700 });
    return lockStateDir(addon, config.state_dir);
  });
  const fresh = new FreshState(config.state_dir);
  let store: Store | null = null;
  try {
    store = inStateDir(config.state_dir, () => Store.open(config.state_dir));
    return await startWithStore({ store, lock, addon, fresh }, config, options);
  } catch (error) {
    store?.close();
    fresh.undo();
    throw error;
  }
}

type State = Pick<Parts, 'store' | 'lock' | 'addon' | 'fresh'>;

async function startWithStore(
  state: State,
  config: Config,
  options: DaemonOptions,
): Promise<Daemon> {
  const { store, addon } = state;
  const { logger, env } = options;
  await checkAdminAddresses(addon, config.admin.listen);
  const { credentials, sealer } = inStateDir(config.state_dir, () => ({
    credentials: loadLocalTokens(config.state_dir, env),
    sealer: openSealer(config.state_dir, env, store.sealedValues),
  }));
  const supervisor = new Supervisor({
    config,
    addon,
    credentials,
    accessTokenKey: sealer.hashKey(ACCESS_TOKEN_PURPOSE),
    logger,
    logReadable: options.logReadable,
  });
  // A second signal ends this process at once; its workers must not go on as those of a crashed one do.
  process.once('exit', () => {
    if (options.signal.aborted) supervisor.abort();
  });
  try {
    options.signal.throwIfAborted();
    await supervisor.open();
    // The last look: later there may be requests in flight, which a drain lets finish.
    options.signal.throwIfAborted();
    return await startOn({ ...state, supervisor, sealer, credentials }, config, options);
  } catch (error) {
    supervisor.abort();
    throw error;
  }
}

/** What goes wrong with files says which folder it is about, and what to do. */
function inStateDir<T>(stateDir: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof PointsmanError) throw error;
    throw invalidField(
      'state_dir',
      `cannot use ${stateDir}: ${messageOf(error)}. Make it readable and writable for this user, or choose another`,
    );
  }
}

interface Parts {
  readonly supervisor: Supervisor;
  readonly store: Store;
  readonly sealer: Sealer;
  readonly lock: number;
  readonly addon: Addon;
  readonly credentials: readonly TokenCredential[];
  readonly fresh: FreshState;
}

/** The second half of a start: from here on a failure must end the workers. */
async function startOn(parts: Parts, config: Config, options: DaemonOptions): Promise<Daemon> {
  const { supervisor, store } = parts;
  const { logger } = options;
  const dataUrl = urlOf(supervisor.addresses);
  const book = new IdentityBook(store.identities, systemClock);
  const control = await createControlPlane({
    store,
    directory: book,
    dataPlane: supervisor,
    clock: systemClock,
    logger,
    workspaceId: config.workspace_id,
    publicUrl: publicUrl(config, dataUrl),
    servingDomain: config.data_plane.serving_domain,
    updateDeadlineMs: config.update_deadline_ms,
  });
  const auth = await DaemonAuth.open({
    config,
    store,
    sealer: parts.sealer,
    book,
    grants: control.grants,
    localTokens: parts.credentials,
    supervisor,
    publicUrl: publicUrl(config, dataUrl),
    logger,
  });
  const firstStart = control.listDeployments().length + control.listEndpoints().length === 0;
  await control.start();
  await supervisor.serving();
  // It takes the place of all there is, so before anybody else can make something.
  await applyFirstManifest(control, config.manifest, firstStart, logger);
  let adminUrl = '';
  const relayed = new RelayedCalls();
  const app = createAdmin(config, options, control, supervisor, auth, {
    data: dataUrl,
    relayed,
    publicUrlFor: (request) =>
      relayed.has(request)
        ? publicUrl(config, dataUrl)
        : withoutSlash(config.admin.public_url) || adminUrl,
  });
  const admin = await listenAdmin(app, config.admin.listen);
  parts.fresh.keepStore();
  adminUrl = admin.url;
  const relay = await listenForWorkers(app, relayed, config.state_dir, logger);
  noteAdminUrl(config.state_dir, admin.url, logger);
  logListeners(config, supervisor.addresses, admin.addresses, logger);
  return {
    adminUrl: admin.url,
    dataUrl,
    control,
    firstStart,
    async stop() {
      const { drain_delay_ms: delayMs, drain_timeout_ms: timeoutMs } = config.data_plane;
      await supervisor.stop(delayMs, timeoutMs);
      // Wakes calls that wait for an update, so that they are answered before the port closes.
      await control.stop();
      await Promise.all([relay?.close(), admin.close()]);
      await auth.close();
      supervisor.close();
      store.close();
      rmSync(path.join(config.state_dir, STATE_FILES.adminUrl), { force: true });
      parts.addon.closeDescriptor(parts.lock);
    },
    abort() {
      supervisor.abort();
    },
  };
}

/**
 * Refuses early what `listenAdmin` would refuse late.
 * @throws PointsmanError that names the address
 */
async function checkAdminAddresses(addon: Addon, wanted: readonly ListenAddress[]): Promise<void> {
  for (const address of wanted) {
    if (address.port === 0) continue;
    try {
      const { address: ip } = await lookup(address.host);
      addon.closeDescriptor(addon.listenTcp(ip, address.port, 1, false));
    } catch (error) {
      throw cannotListen(address, error as NodeJS.ErrnoException);
    }
  }
}

/** For commands on this machine; they can be told where the port is. */
function noteAdminUrl(stateDir: string, url: string, logger: Logger): void {
  try {
    writeFileSync(path.join(stateDir, STATE_FILES.adminUrl), `${url}\n`);
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'commands will not find this daemon by themselves');
  }
}

function createAdmin(
  config: Config,
  options: DaemonOptions,
  control: RunningControlPlane,
  supervisor: Supervisor,
  auth: DaemonAuth,
  ports: {
    readonly data: string;
    readonly relayed: RelayedCalls;
    readonly publicUrlFor: (request: FastifyRequest) => string;
  },
): FastifyInstance {
  const { identities, authenticator } = auth;
  return createAdminApp({
    control,
    authenticate: (authorization, address) => authenticator.authenticate(authorization, address),
    identities,
    workspaceId: config.workspace_id,
    supervisor: {
      workers: () => supervisor.workers(),
      refusals: () => supervisor.refusals(),
      ready: () => readinessOf(supervisor),
      dataPlaneUrl: () => ports.data,
    },
    relayed: ports.relayed,
    oidc: {
      issuer: auth.issuer,
      baseUrl: ports.publicUrlFor,
      clientAddress: (request) => ports.relayed.clientAddress(request),
      workspaceId: config.workspace_id,
      tokens: auth.tokens,
      keys: auth.keys,
    },
    metrics: createMetrics({
      version: options.version,
      workers: () => supervisor.workers(),
      refusals: () => supervisor.refusals(),
      connectionsRefused: () => supervisor.connectionsRefused(),
      stats: () => control.stats(),
      status: () => control.status(),
    }),
    logger: options.logger,
    version: options.version,
    loopbackOnly: config.admin.listen.every(({ host }) => isLoopback(host)),
    allowedHosts: config.admin.allowed_hosts,
    updateDeadlineMs: config.update_deadline_ms,
  });
}

function readinessOf(supervisor: Supervisor): Readiness {
  if (supervisor.stopping) return { ready: false, reason: 'the daemon is draining' };
  const serves = supervisor
    .workers()
    .some(
      ({ state, heartbeat_age_ms: ageMs }) =>
        state === 'SERVING' && (ageMs ?? 0) < HEARTBEAT_FRESH_MS,
    );
  return { ready: serves, reason: serves ? '' : 'no worker serves' };
}

interface AdminListeners {
  readonly url: string;
  readonly addresses: readonly ListenAddress[];
  close(): Promise<void>;
}

/**
 * fastify listens on one address; further ones get servers of their own in front of the same application, with
 * the same way of answering what is no HTTP.
 */
async function listenAdmin(
  app: FastifyInstance,
  wanted: readonly ListenAddress[],
): Promise<AdminListeners> {
  await app.ready();
  const servers = wanted.map((_address, index) =>
    index === 0 ? app.server : copyOf(app, () => true),
  );
  boundConnections(servers);
  const addresses: ListenAddress[] = [];
  for (const [index, server] of servers.entries()) {
    const address = wanted[index];
    if (address === undefined) continue;
    await listenOn(server, address);
    addresses.push({ host: address.host, port: (server.address() as AddressInfo).port });
  }
  return {
    url: urlOf(addresses),
    addresses,
    async close() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      const timer = setTimeout(() => {
        for (const server of servers) server.closeAllConnections();
      }, ADMIN_CLOSE_MS);
      await Promise.all(closed);
      clearTimeout(timer);
      await app.close();
    },
  };
}

/**
 * Where workers bring what the data port cannot answer itself. Lives until its supervisor ends or dies. Null, and
 * logged, where it cannot be: they answer 503 to such calls.
 */
async function listenForWorkers(
  app: FastifyInstance,
  relayed: RelayedCalls,
  stateDir: string,
  logger: Logger,
): Promise<{ close(): Promise<void> } | null> {
  const server = copyOf(app, isRelayed);
  server.on('connection', (socket) => {
    relayed.add(socket);
  });
  const socketPath = relaySocketPath(stateDir);
  try {
    // One that was killed leaves the file behind; the lock of the directory says that it is gone.
    rmSync(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
    chmodSync(socketPath, 0o600);
  } catch (error) {
    logger.error({ error: messageOf(error) }, 'calls of the data port cannot be relayed');
    return null;
  }
  return {
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
      });
    },
  };
}

/** Whoever speaks on that socket: no more of the application than the data port has. */
function isRelayed({ method = '', url = '' }: IncomingMessage): boolean {
  const [path = ''] = url.split('?', 1);
  return relayedPath(path)?.methods.includes(method) ?? false;
}

function copyOf(app: FastifyInstance, takes: (request: IncomingMessage) => boolean): Server {
  const server = createServer(CONNECTION_OPTIONS, (request, response) => {
    if (takes(request)) app.routing(request, response);
    else response.writeHead(404, { connection: 'close' }).end();
  });
  for (const listener of app.server.listeners('clientError')) {
    server.on('clientError', listener as Parameters<Server['on']>[1]);
  }
  return server;
}

/** @throws PointsmanError that names the address */
function listenOn(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(cannotListen(address, error));
    });
    server.listen(address.port, address.host, resolve);
  });
}

function cannotListen(address: ListenAddress, error: NodeJS.ErrnoException): Error {
  const problem =
    error.code === 'EADDRINUSE'
      ? 'another process listens there; stop it or choose another port'
      : error.message;
  const where = formatListenAddress(address);
  return invalidField('admin.listen', `cannot listen on ${where}: ${problem}`);
}

/** The first address as a client on this machine reaches it. */
function urlOf(addresses: readonly ListenAddress[]): string {
  const [first] = addresses;
  if (first === undefined) throw new Error('nothing is listened on');
  const host = first.host === '0.0.0.0' ? '127.0.0.1' : first.host === '::' ? '::1' : first.host;
  return `http://${formatListenAddress({ host, port: first.port })}`;
}

/** The setting, or where the data port really listens when it is empty. */
function publicUrl(config: Config, dataUrl: string): string {
  return withoutSlash(config.data_plane.public_url) || dataUrl;
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '');
}

function logListeners(
  config: Config,
  data: readonly ListenAddress[],
  admin: readonly ListenAddress[],
  logger: Logger,
): void {
  for (const address of data) {
    logger.info(
      { auth: config.auth.mode, tls: false },
      `data port on ${formatListenAddress(address)}`,
    );
  }
  for (const address of admin) {
    logger.info({ auth: 'token', tls: false }, `admin port on ${formatListenAddress(address)}`);
  }
  logger.info(`credentials in ${path.join(config.state_dir, '{admin,query}-token')}`);
}
