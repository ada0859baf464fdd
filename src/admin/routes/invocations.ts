/**
 * Invocations on the admin port: relayed to the data port, because typed clients know one host
 * only. A convenience, not a second data plane: few at once (ADMIN_RELAY_IN_FLIGHT_MAX), a fresh
 * connection each, nothing buffered, nothing retried. The credential passes through and is judged
 * again by the data port.
 *
 *   client ── request.raw ──► undici request ──► data port
 *   client ◄── reply stream ◄── answer body ◄──┘      a side that leaves ends the other
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Agent, type Dispatcher } from 'undici';
import { ADMIN_RELAY_IN_FLIGHT_MAX } from '../../core/limits.js';
import { PointsmanError } from '../../core/errors.js';
import { CONNECTION_FIELDS } from '../../core/http-fields.js';
import type { SupervisorView } from '../contract.js';

const CONNECT_TIMEOUT_MS = 2000;

/**
 * Fields of one connection only (RFC 9110, 7.6.1), and those that the relay's own client writes.
 */
const NOT_FORWARDED: ReadonlySet<string> = new Set(CONNECTION_FIELDS);

const FORMS = [
  '/serving-endpoints/:name/invocations',
  '/serving-endpoints/:name/served-models/:served/invocations',
];

export function invocationRoutes(app: FastifyInstance, supervisor: SupervisorView): void {
  // Deadlines belong to the data port; `pipelining: 0` closes each connection after its answer, so
  // that no request meets a connection which the data port is just closing.
  const agent = new Agent({
    pipelining: 0,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  let inFlight = 0;

  app.addHook('onClose', () => agent.close());
  // The body stays a stream: the parsers of management calls do not reach into this scope.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });

  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const dataPlaneUrl = supervisor.dataPlaneUrl();
    // Left while its credential was judged: nothing will announce its end again.
    if (request.raw.socket.destroyed) return reply.hijack();
    if (inFlight >= ADMIN_RELAY_IN_FLIGHT_MAX) throw tooMany(dataPlaneUrl);
    inFlight += 1;
    const over = new AbortController();
    over.signal.addEventListener('abort', () => {
      inFlight -= 1;
    });
    abortAtEnd(over, request.raw.socket, reply.raw);
    const answer = await forward(agent, dataPlaneUrl, request.raw, over.signal);
    return sendAnswer(reply, answer);
  };

  for (const form of FORMS) {
    for (const url of [form, `/:workspace_id${form}`]) {
      app.post(url, { config: { access: 'invocation' } }, handler);
    }
  }
}

/**
 * Aborts once, when the answer has ended or the connection has: an answer that waits behind another
 * one of its connection never says that it was closed.
 */
function abortAtEnd(over: AbortController, socket: Socket, response: ServerResponse): void {
  const end = (): void => {
    socket.off('close', end);
    response.off('close', end);
    over.abort();
  };
  // As many as a client pipelines; there are places for no more than ADMIN_RELAY_IN_FLIGHT_MAX.
  socket.setMaxListeners(0);
  socket.on('close', end);
  response.on('close', end);
}

async function forward(
  agent: Agent,
  dataPlaneUrl: string,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const headers = endToEnd(request.rawHeaders);
  const options = { origin: dataPlaneUrl, path: request.url ?? '/', method: 'POST' as const };
  try {
    return await agent.request({ ...options, headers, body: request, signal });
  } catch (error) {
    throw new PointsmanError(
      'TEMPORARILY_UNAVAILABLE',
      `The data port at ${dataPlaneUrl} did not take the request; try again`,
      { retryAfterS: 1, cause: error },
    );
  }
}

function sendAnswer(reply: FastifyReply, answer: Dispatcher.ResponseData): FastifyReply {
  const named = connectionOptions(answer.headers['connection']);
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value === undefined || NOT_FORWARDED.has(name) || named.has(name)) continue;
    reply.header(name, value);
  }
  return reply.code(answer.statusCode).send(answer.body);
}

/** Fields as received (case, order, repetitions), without those of one connection. */
function endToEnd(rawHeaders: readonly string[]): string[] {
  const named = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'connection') continue;
    for (const option of connectionOptions(rawHeaders[index + 1])) named.add(option);
  }
  const kept: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    const lower = name.toLowerCase();
    if (NOT_FORWARDED.has(lower) || (named.has(lower) && lower !== 'authorization')) continue;
    kept.push(name, value);
  }
  return kept;
}

function connectionOptions(value: string | string[] | undefined): Set<string> {
  const text = Array.isArray(value) ? value.join(',') : (value ?? '');
  const options = text.split(',').map((option) => option.trim().toLowerCase());
  // Content-Length frames the body; a peer cannot have it taken away.
  return new Set(options.filter((option) => option !== '' && option !== 'content-length'));
}

function tooMany(dataPlaneUrl: string): PointsmanError {
  return new PointsmanError(
    'RESOURCE_EXHAUSTED',
    `The admin port relays ${String(ADMIN_RELAY_IN_FLIGHT_MAX)} invocations at once; ` +
      `send them to the data port: ${dataPlaneUrl}`,
    { retryAfterS: 1 },
  );
}
