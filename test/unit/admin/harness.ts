/**
 * The real admin application on a real port, over a control plane that keeps its records in memory:
 * enough for everything that is HTTP. What calls mean is tested with the real control plane
 * elsewhere.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { pino } from 'pino';
import { createAdminApp } from '../../../src/admin/app.js';
import type { AdminOptions, Readiness } from '../../../src/admin/contract.js';
import { RouteTable } from '../../../src/admin/route-table.js';
import { Authenticator, type AuthenticatorOptions } from '../../../src/auth/authenticator.js';
import { CredentialChecker, hashToken } from '../../../src/auth/credentials.js';
import { IdentityBook } from '../../../src/auth/identity-book.js';
import { LoginThrottle } from '../../../src/auth/login-throttle.js';
import { StoredIdentities } from '../../../src/auth/stored-identities.js';
import type {
  ChangeOptions,
  ConfigHistoryItem,
  ControlPlane,
  DeploymentView,
  EndpointStatus,
  JsonObject,
  ManifestOptions,
  ManifestResult,
  Tagged,
  WorkerStatus,
} from '../../../src/control/control-plane.js';
import { ShardedMap } from '../../../src/control/sharded-map.js';
import { GrantBook } from '../../../src/control/grant-book.js';
import { creatorGrants } from '../../../src/control/grants.js';
import type { EndpointRecord } from '../../../src/control/records.js';
import { newEndpoint } from '../../../src/control/transitions.js';
import { systemClock } from '../../../src/core/clock.js';
import { PointsmanError } from '../../../src/core/errors.js';
import { createSealer } from '../../../src/store/sealed-box.js';
import { Store } from '../../../src/store/store.js';
import { temporaryDirectory } from '../auth/kit.js';

export const ADMIN_TOKEN = 'admin-token-of-the-test';
export const QUERY_TOKEN = 'query-token-of-the-test';
export const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` };
export const QUERY = { authorization: `Bearer ${QUERY_TOKEN}` };

const WORKER: WorkerStatus = {
  slot: 0,
  pid: 7,
  state: 'SERVING',
  mode: 'js',
  revision: 1,
  heartbeat_age_ms: 3,
  revisions_held: 0,
  connections: 0,
  connections_refused: 0,
  in_flight: 0,
  restarts: 0,
  degraded: false,
};

/** Remembers what it was called with; keeps endpoints by name with a counter as entity tag. */
export class MemoryControl implements ControlPlane {
  revision = 1;
  /** What grants hang on; its keys are those of `records`. */
  #endpoints = ShardedMap.of<EndpointRecord>([]);
  readonly grants = new GrantBook({
    content: () => ({ endpoints: this.#endpoints, deployments: new Map(), servedBy: new Map() }),
    exclusive: (task) => task(),
    commit: ({ endpoints }) => {
      this.#endpoints = this.#endpoints.with(endpoints);
      return Promise.resolve();
    },
  });
  readonly records = new Map<string, Tagged<JsonObject>>();
  readonly changes: ChangeOptions[] = [];
  readonly applied: { manifest: unknown; options: ManifestOptions }[] = [];
  readonly waits: number[] = [];
  endpointStatus: EndpointStatus[] = [];
  deploymentViews: DeploymentView[] = [];
  manifest: JsonObject = { deployments: [], endpoints: [] };
  planned: ManifestResult['changes'] = [];
  /** Thrown by the next call that creates. */
  failure: Error | null = null;

  createEndpoint(body: unknown, options: ChangeOptions): Promise<Tagged<JsonObject>> {
    if (this.failure !== null) return Promise.reject(this.failure);
    return Promise.resolve(this.#store(body as JsonObject, options));
  }

  getEndpoint(name: string): Tagged<JsonObject> {
    const record = this.records.get(name);
    if (record !== undefined) return record;
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Endpoint ${name} does not exist.`);
  }

  listEndpoints(): JsonObject[] {
    return [...this.records.values()].map(({ value }) => value);
  }

  async updateConfig(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<JsonObject>> {
    const { value, etag } = this.getEndpoint(name);
    if (options.ifMatch !== undefined && options.ifMatch !== etag) {
      throw new PointsmanError('RESOURCE_CONFLICT', `Endpoint ${name} has changed.`);
    }
    return Promise.resolve(this.#store({ ...value, config: body as JsonObject }, options));
  }

  deleteEndpoint(name: string, options: ChangeOptions): Promise<void> {
    this.getEndpoint(name);
    this.changes.push(options);
    this.records.delete(name);
    return Promise.resolve();
  }

  rollbackEndpoint(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<JsonObject>> {
    const { value } = this.getEndpoint(name);
    return Promise.resolve(this.#store({ ...value, rolled_back: body as JsonObject }, options));
  }

  async cancelUpdate(name: string, options: ChangeOptions): Promise<Tagged<JsonObject>> {
    const { value } = this.getEndpoint(name);
    return Promise.resolve(this.#store({ ...value, canceled: true }, options));
  }

  endpointHistory(name: string): ConfigHistoryItem[] {
    this.getEndpoint(name);
    return [];
  }

  listDeployments(): DeploymentView[] {
    return this.deploymentViews;
  }

  getDeployment(name: string): Tagged<DeploymentView> {
    const value = this.deploymentViews.find((view) => view.name === name);
    if (value !== undefined) return { value, etag: '"d"' };
    throw new PointsmanError('RESOURCE_DOES_NOT_EXIST', `Deployment ${name} does not exist.`);
  }

  putDeployment(
    name: string,
    body: unknown,
    options: ChangeOptions,
  ): Promise<Tagged<DeploymentView>> {
    this.changes.push(options);
    const spec = body as JsonObject;
    const value: DeploymentView = {
      name,
      spec,
      state: 'NOT_READY',
      message: '',
      addresses: [],
      load: { in_flight: 0, max_in_flight: 0, waiting: 0, refused_full: 0, refused_deadline: 0 },
      pending: false,
      used_by: [],
    };
    this.deploymentViews = [...this.deploymentViews.filter((view) => view.name !== name), value];
    return Promise.resolve({ value, etag: '"d"' });
  }

  deleteDeployment(name: string, options: ChangeOptions): Promise<void> {
    this.getDeployment(name);
    this.changes.push(options);
    return Promise.resolve();
  }

  getManifest(): Tagged<JsonObject> {
    return { value: this.manifest, etag: '"m"' };
  }

  applyManifest(manifest: unknown, options: ManifestOptions): Promise<ManifestResult> {
    this.applied.push({ manifest, options });
    const { revision, planned: changes } = this;
    return Promise.resolve({ dry_run: options.dryRun, revision, changes });
  }

  waitSettled(timeoutMs: number): Promise<boolean> {
    this.waits.push(timeoutMs);
    return Promise.resolve(true);
  }

  status(): ReturnType<ControlPlane['status']> {
    const { revision, endpointStatus: endpoints, deploymentViews: deployments } = this;
    return { revision, endpoints, deployments };
  }

  stats(): ReturnType<ControlPlane['stats']> {
    return { entities: [], addresses: [], deployments: [] };
  }

  #store(value: JsonObject, options: ChangeOptions): Tagged<JsonObject> {
    this.revision += 1;
    this.changes.push(options);
    const record = { value, etag: `"${String(this.revision)}"` };
    const name = value['name'] as string;
    this.records.set(name, record);
    if (!this.#endpoints.has(name)) {
      const grants = creatorGrants(options.principalId);
      const id = this.#endpoints.size.toString(16).padStart(32, '0');
      const endpoint = newEndpoint(name, id, options.principal, 0, { grants });
      this.#endpoints = this.#endpoints.with([[name, endpoint]]);
    }
    return record;
  }
}

/** Identities over a store of their own. */
export function startIdentities(t: Test, control: ControlPlane): StoredIdentities {
  const store = Store.open(temporaryDirectory(t));
  t.teardown(() => {
    store.close();
  });
  return new StoredIdentities({
    tables: store.identities,
    sealer: createSealer(Buffer.alloc(32)),
    clock: systemClock,
    book: new IdentityBook(store.identities, systemClock),
    grants: control.grants,
  });
}

export interface Harness {
  readonly url: string;
  readonly control: MemoryControl;
  readonly identities: StoredIdentities;
  readonly logLines: string[];
  setReady(readiness: Readiness): void;
}

export async function startAdmin(
  t: Test,
  options: Partial<AdminOptions> = {},
  access: Partial<AuthenticatorOptions> = {},
  routes: RouteTable = new RouteTable(),
): Promise<Harness> {
  const control = new MemoryControl();
  const logLines: string[] = [];
  const identities = startIdentities(t, control);
  const authenticator = new Authenticator({
    localTokens: new CredentialChecker([
      { tokenSha256: hashToken(ADMIN_TOKEN), principal: 'admin' },
      { tokenSha256: hashToken(QUERY_TOKEN), principal: 'query' },
    ]),
    identities,
    throttle: new LoginThrottle(systemClock),
    ...access,
  });
  let readiness: Readiness = { ready: true, reason: '' };
  const app = createAdminApp(
    {
      control,
      authenticate: (authorization, address) => authenticator.authenticate(authorization, address),
      identities,
      workspaceId: '900800700600',
      supervisor: {
        workers: () => [WORKER],
        refusals: () => [],
        ready: () => readiness,
        dataPlaneUrl: () => 'http://127.0.0.1:1',
      },
      metrics: { contentType: 'text/plain; version=0.0.4', render: () => Promise.resolve('x 1\n') },
      logger: pino({ level: 'debug' }, { write: (line: string) => void logLines.push(line) }),
      version: '9.9.9',
      loopbackOnly: true,
      allowedHosts: [],
      updateDeadlineMs: 1000,
      ...options,
    },
    routes,
  );
  t.teardown(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url,
    control,
    identities,
    logLines,
    setReady: (next) => {
      readiness = next;
    },
  };
}

/** A JSON call with the admin token. */
export async function call(
  harness: Harness,
  method: string,
  path: string,
  options: { body?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Headers; text: string; json: Record<string, unknown> }> {
  const response = await fetch(harness.url + path, {
    method,
    headers: { ...ADMIN, ...options.headers },
    ...(options.body === undefined ? {} : { body: options.body }),
  });
  const text = await response.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: response.status, headers: response.headers, text, json };
}

/** Writes bytes as they are and collects everything until the server closes. */
export function sendRaw(url: string, bytes: string): Promise<string> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      received += text;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      resolve(received);
    });
  });
}

/** An HTTP server on a free port; its URL. Closed with the test. */
export async function startServer(
  t: Test,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ url: string; server: Server }> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${String(port)}`, server };
}
