/**
 * The daemon, put together: store, control plane, supervisor with its workers, admin port. This is the one
 * place where those rooms meet.
 *
 * Order of a start: lock the state directory, open sockets, open the store, publish the stored revision, start
 * workers, open the admin port. Everything that can be refused is refused before a request is taken.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { createAdminApp } from '../admin/app.js';
import { CredentialChecker } from '../auth/credentials.js';
import { ADMIN_PRINCIPAL, loadLocalTokens } from '../auth/local-tokens.js';
import type { Config } from '../config/config.js';
import { formatListenAddress, isLoopback, type ListenAddress } from '../config/listen-address.js';
import { STATE_FILES } from '../config/state-files.js';
import { createControlPlane, type RunningControlPlane } from '../control/create-control-plane.js';
import { systemClock } from '../core/clock.js';
import { invalidField } from '../core/errors.js';
import { loadAddon } from '../native/addon.js';
import { Store } from '../store/store.js';
import { lockStateDir, Supervisor } from '../supervisor/supervisor.js';
import { createMetrics } from '../telemetry/metrics.js';
import { applyFirstManifest } from './first-manifest.js';

export interface DaemonOptions {
  readonly logger: Logger;
  readonly logReadable: boolean;
  readonly version: string;
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
}

/** @throws PointsmanError or Error that says what is wrong and where. */
export async function startDaemon(config: Config, options: DaemonOptions): Promise<Daemon> {
  const { logger } = options;
  mkdirSync(config.state_dir, { recursive: true, mode: 0o700 });
  const addon = loadAddon();
  const lock = lockStateDir(addon, config.state_dir);
  const credentials = loadLocalTokens(config.state_dir, options.env);
  const supervisor = new Supervisor({
    config,
    addon,
    credentials,
    logger,
    logReadable: options.logReadable,
  });
  await supervisor.open();
  const dataUrl = urlOf(supervisor.addresses);
  const store = Store.open(config.state_dir);
  const control = await createControlPlane({
    store,
    dataPlane: supervisor,
    clock: systemClock,
    logger,
    workspaceId: config.workspace_id,
    publicUrl: publicUrl(config, dataUrl),
    updateDeadlineMs: config.update_deadline_ms,
  });
  const firstStart = control.listDeployments().length + control.listEndpoints().length === 0;
  await control.start();
  await supervisor.startWorkers();
  const app = createAdmin(
    config,
    options,
    control,
    supervisor,
    new CredentialChecker(credentials),
    dataUrl,
  );
  const admin = await listenAdmin(app, config.admin.listen);
  writeFileSync(path.join(config.state_dir, STATE_FILES.adminUrl), `${admin.url}\n`);
  logListeners(config, supervisor.addresses, admin.addresses, logger);
  if (config.manifest !== '')
    await applyFirstManifest(control, config.manifest, firstStart, logger);
  return {
    adminUrl: admin.url,
    dataUrl,
    control,
    firstStart,
    async stop() {
      const { drain_delay_ms: delayMs, drain_timeout_ms: timeoutMs } = config.data_plane;
      await supervisor.stop(delayMs, timeoutMs);
      await admin.close();
      await control.stop();
      store.close();
      rmSync(path.join(config.state_dir, STATE_FILES.adminUrl), { force: true });
      addon.closeDescriptor(lock);
    },
  };
}

function createAdmin(
  config: Config,
  options: DaemonOptions,
  control: RunningControlPlane,
  supervisor: Supervisor,
  checker: CredentialChecker,
  dataUrl: string,
): FastifyInstance {
  return createAdminApp({
    control,
    authenticate: (authorization) => {
      const name = checker.check(authorization);
      return name === null ? null : { name, role: name === ADMIN_PRINCIPAL ? 'admin' : 'query' };
    },
    supervisor: {
      workers: () => supervisor.workers(),
      stats: () => supervisor.stats(),
      ready: () => ({
        ready: !supervisor.stopping,
        reason: supervisor.stopping ? 'the daemon is draining' : '',
      }),
      dataPlaneUrl: () => dataUrl,
    },
    metrics: createMetrics({
      version: options.version,
      workers: () => supervisor.workers(),
      stats: () => supervisor.stats(),
      status: (stats) => control.status(stats),
    }),
    logger: options.logger,
    version: options.version,
    loopbackOnly: config.admin.listen.every(({ host }) => isLoopback(host)),
    allowedHosts: config.admin.allowed_hosts,
    updateDeadlineMs: config.update_deadline_ms,
  });
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
  const servers = wanted.map((_address, index) => (index === 0 ? app.server : copyOf(app)));
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
      await Promise.all(
        servers.map((server) => {
          const closed = new Promise((resolve) => server.close(resolve));
          server.closeAllConnections();
          return closed;
        }),
      );
      await app.close();
    },
  };
}

function copyOf(app: FastifyInstance): Server {
  const server = createServer((request, response) => {
    app.routing(request, response);
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
      const problem = error.code === 'EADDRINUSE' ? 'another process listens there' : error.message;
      const where = formatListenAddress(address);
      reject(invalidField('admin.listen', `cannot listen on ${where}: ${problem}`));
    });
    server.listen(address.port, address.host, resolve);
  });
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
  const setting = config.data_plane.public_url.replace(/\/$/, '');
  return setting === '' ? dataUrl : setting;
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
