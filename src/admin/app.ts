/**
 * The admin port: one fastify application. It owns HTTP alone: who may call, how bodies are read,
 * how errors look, which paths exist. What a call means belongs to the control plane.
 *
 * Life of a call: onRequest (ids, security fields, gate) -> body parser -> gate again -> route
 * -> control plane -> answer; every failure leaves through errors.ts.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import Fastify, {
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { giveWay } from '../core/give-way.js';
import { ADMIN_BODY_BYTES_MAX, NAME_CHARS_MAX } from '../core/limits.js';
import { useBodyParser } from './body-parser.js';
import { CONNECTION_OPTIONS } from './connections.js';
import type { AdminOptions } from './contract.js';
import { answerClientError, sendError } from './errors.js';
import { admit, checkFields } from './gate.js';
import { RouteTable } from './route-table.js';
import { accessTokenRoutes } from './routes/access-tokens.js';
import { clientSecretRoutes } from './routes/client-secrets.js';
import { deploymentRoutes } from './routes/deployments.js';
import { endpointUpdateRoutes } from './routes/endpoint-updates.js';
import { healthRoutes } from './routes/health.js';
import { invocationRoutes } from './routes/invocations.js';
import { manifestRoutes } from './routes/manifest.js';
import { metricsRoutes } from './routes/metrics.js';
import { isWrongTokenMethod, oidcRoutes, refuseTokenMethod } from './routes/oidc.js';
import { permissionRoutes } from './routes/permissions.js';
import { scimRoutes } from './routes/scim.js';
import { servingEndpointRoutes } from './routes/serving-endpoints.js';
import { signingKeyRoutes } from './routes/signing-keys.js';
import { statusRoutes } from './routes/status.js';
import { tokenManagementRoutes } from './routes/token-management.js';
import { unbuiltRoutes } from './routes/unbuilt.js';

/** A client's own request id is echoed when it is short visible ASCII; anything else gets ours. */
const REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

const REVISION_FIELD = 'x-pointsman-revision';

/**
 * Longer path segments cannot name anything, but must still get the JSON 404 of a name that is
 * unknown.
 */
const PATH_SEGMENT_CHARS_MAX = 16 * NAME_CHARS_MAX;

/**
 * From a request's first byte to its last; how long the answer takes does not count. Node's own default, which fastify
 * switches off. No shorter: the body of a relayed invocation is read as its replica takes it.
 */
const REQUEST_TIMEOUT_MS = 300_000;

/**
 * The admin port's application, complete but not listening. Closing it closes its outgoing
 * connections. `routes` is filled with what the application takes.
 */
export function createAdminApp(
  options: AdminOptions,
  routes: RouteTable = new RouteTable(),
): FastifyInstance {
  // Of every connection the answer to its last request.
  const answers = new WeakMap<Socket, ServerResponse>();
  const app = Fastify({
    loggerInstance: options.logger,
    // One logger for all calls: every line says the call's id itself.
    childLoggerFactory: (logger) => logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: ADMIN_BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: CONNECTION_OPTIONS,
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: PATH_SEGMENT_CHARS_MAX },
    frameworkErrors: sendError,
    clientErrorHandler: (error, socket) => {
      answerClientError(error, socket, answers.get(socket), options.logger);
    },
  });
  app.decorateRequest('principal', null);
  app.setErrorHandler(sendError);
  giveWayBetweenSteps(app);
  app.addHook('onRoute', (route) => {
    routes.add(route.method, route.url);
  });
  app.addHook('onRequest', async (request, reply) => {
    answers.set(request.raw.socket, reply.raw);
    setCommonFields(request, reply);
    checkFields(request);
    // Unknown paths say so only to who may look around, except the discovery documents that every
    // SDK asks for without a credential: they are a plain 404 until they exist.
    if (request.is404 && request.url.startsWith('/.well-known/')) return undefined;
    if (options.oidc !== undefined && isWrongTokenMethod(request)) return refuseTokenMethod(reply);
    await admit(request, options);
    return undefined;
  });
  app.addHook('preValidation', async (request) => {
    // A body may come long after its head: who has lost the right meanwhile changes nothing.
    if (mayHaveBody(request)) await admit(request, options);
  });
  app.addHook('onSend', (_request, reply, payload, done) => {
    // Here, so that the answer to a change carries the revision that it made.
    if (!reply.hasHeader(REVISION_FIELD))
      reply.header(REVISION_FIELD, String(options.control.revision));
    done(null, payload);
  });
  app.addHook('onResponse', (request, reply, done) => {
    logCall(request, reply);
    done();
  });
  useBodyParser(app);
  addRoutes(app, options);
  app.setNotFoundHandler((request) => {
    throw routes.missing(request.method, request.url);
  });
  return app;
}

/** Those of fastify's methods whose body is waited for. */
function mayHaveBody({ method, is404 }: FastifyRequest): boolean {
  return method !== 'GET' && method !== 'HEAD' && !is404;
}

/** A call is a millisecond of work or two. */
function giveWayBetweenSteps(app: FastifyInstance): void {
  app.server.prependListener('request', giveWay);
  const between = (_request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    giveWay();
    done();
  };
  app.addHook('onRequest', between);
  app.addHook('preValidation', between);
  app.addHook('preHandler', between);
  app.addHook('onResponse', between);
  app.addHook('onSend', (_request, _reply, payload, done) => {
    giveWay();
    done(null, payload);
  });
}

function addRoutes(app: FastifyInstance, options: AdminOptions): void {
  healthRoutes(app, options.supervisor);
  metricsRoutes(app, options.metrics);
  servingEndpointRoutes(app, options.control, options.identities);
  permissionRoutes(app, options.control, options.identities.book);
  scimRoutes(app, options.identities.book, options.workspaceId);
  accessTokenRoutes(app, options.identities);
  tokenManagementRoutes(app, options.identities);
  clientSecretRoutes(app, options.identities);
  endpointUpdateRoutes(app, options.control);
  deploymentRoutes(app, options.control);
  manifestRoutes(app, options);
  statusRoutes(app, options);
  if (options.oidc !== undefined) {
    oidcRoutes(app, options.oidc);
    signingKeyRoutes(app, options.oidc.keys);
  }
  unbuiltRoutes(app);
  void app.register((scope, _options, done) => {
    invocationRoutes(scope, options.supervisor);
    done();
  });
}

function setCommonFields(request: FastifyRequest, reply: FastifyReply): void {
  const clientId = request.headers['x-request-id'];
  const kept = typeof clientId === 'string' && REQUEST_ID.test(clientId) ? clientId : request.id;
  reply.headers({
    'x-databricks-request-id': request.id,
    'x-request-id': kept,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
}

/**
 * Changes are news; looking is not. The query string stays out: it is nobody's business in a log.
 */
function logCall(request: FastifyRequest, reply: FastifyReply): void {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  const fields = {
    requestId: request.id,
    principal: request.principal?.name ?? null,
    method: request.method,
    path: request.url.split('?', 1)[0],
    status: reply.statusCode,
    durationMs: Math.round(reply.elapsedTime),
  };
  if (isRead) request.log.debug(fields, 'admin call');
  else request.log.info(fields, 'admin call');
}
