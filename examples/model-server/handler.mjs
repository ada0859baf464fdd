/**
 * One HTTP request: route, read the body within its bound, score, answer or stream. Knows nothing of
 * sockets and signals (server.mjs) nor of the shapes of a body (protocol.mjs).
 *
 * A client that leaves ends the work for it: no answer is written and a delay or stream stops.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import {
  BODY_BYTES_MAX,
  RequestError,
  badRequest,
  describe,
  parseScoringRequest,
} from './protocol.mjs';

/** Longest delay that a request may ask for, in milliseconds. */
const DELAY_MS_MAX = 60_000;
/** What is read and thrown away behind a refused body, so that the client gets to read the refusal. */
const DISCARD_BYTES_MAX = 64 * 1024 * 1024;
const DISCARD_MS_MAX = 10_000;

/**
 * @typedef {import('node:http').IncomingMessage} Request
 * @typedef {import('node:http').ServerResponse} Response
 * @typedef {import('./models/index.mjs').Model} Model
 * @typedef {{ methods: readonly string[], answer: (request: Request, response: Response) =>
 *   void | Promise<void> }} Route
 */

/**
 * @param {Model} model
 * @param {() => boolean} isDraining whether answers shall close their connections
 * @returns {(request: Request, response: Response) => void}
 */
export function createHandler(model, isDraining) {
  const routes = createRoutes(model);
  return (request, response) => {
    response.setHeader('x-model-version', model.name);
    if (isDraining()) response.setHeader('connection', 'close');
    answerRequest(routes, request, response).catch((/** @type {unknown} */ error) => {
      if (response.destroyed) return;
      answerError(request, response, error);
    });
  };
}

/**
 * @param {Model} model
 * @returns {ReadonlyMap<string, Route>}
 */
function createRoutes(model) {
  const reading = ['GET', 'HEAD'];
  /** @type {Route} */
  const health = {
    methods: reading,
    answer: (_, response) => {
      send(response, 200, 'text/plain; charset=utf-8', '\n');
    },
  };
  return new Map([
    ['/ping', health],
    ['/health', health],
    [
      '/version',
      {
        methods: reading,
        answer: (_, response) => {
          sendJson(response, 200, { model: model.name, columns: model.columns });
        },
      },
    ],
    [
      '/invocations',
      { methods: ['POST'], answer: (request, response) => invoke(model, request, response) },
    ],
  ]);
}

/**
 * @param {ReadonlyMap<string, Route>} routes
 * @param {Request} request
 * @param {Response} response
 */
async function answerRequest(routes, request, response) {
  const path = pathOf(request.url ?? '/');
  const route = routes.get(path);
  if (route === undefined) {
    const known = [...routes.keys()].join(', ');
    throw new RequestError(404, 'ENDPOINT_NOT_FOUND', `nothing here; there are ${known}`);
  }
  const method = request.method ?? '';
  if (!route.methods.includes(method)) {
    const allow = route.methods.join(', ');
    throw new RequestError(405, 'METHOD_NOT_ALLOWED', `${path} takes ${allow}`, { allow });
  }
  await route.answer(request, response);
}

/**
 * Path without query; of the absolute form too, which proxies may send.
 * @param {string} target
 */
function pathOf(target) {
  const [path = ''] = target.replace(/^https?:\/\/[^/?]*/i, '').split('?');
  return path === '' ? '/' : path;
}

/**
 * @param {Model} model
 * @param {Request} request
 * @param {Response} response
 */
async function invoke(model, request, response) {
  checkContentType(request);
  const delayMs = readDelayMs(request);
  const bytes = await readBody(request, response);
  const { table, params } = parseScoringRequest(bytes, model.columns);
  checkParams(model, params);
  const results = model.score(table, params);
  const gone = new AbortController();
  response.once('close', () => {
    gone.abort();
  });
  try {
    if (params['stream'] === true) {
      await streamResults(model, results, response, delayMs, gone.signal);
      return;
    }
    if (delayMs > 0) await delay(delayMs, undefined, { signal: gone.signal });
    sendJson(response, 200, { [model.answerKey]: results });
  } catch (error) {
    // Once the client has left, the abort is what was thrown and there is nobody to tell.
    if (!gone.signal.aborted) throw error;
  }
}

/**
 * Server-sent events as chat endpoints send them: only `data: ` lines, the last one `[DONE]`.
 * @param {Model} model
 * @param {readonly unknown[]} results
 * @param {Response} response
 * @param {number} delayMs before each event
 * @param {AbortSignal} signal
 */
async function streamResults(model, results, response, delayMs, signal) {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
  });
  response.flushHeaders();
  for (const result of results) {
    if (delayMs > 0) await delay(delayMs, undefined, { signal });
    const taken = response.write(`data: ${JSON.stringify({ [model.rowKey]: result })}\n\n`);
    if (!taken) await once(response, 'drain', { signal });
  }
  response.end('data: [DONE]\n\n');
}

/** @param {Request} request */
function checkContentType(request) {
  const sent = request.headers['content-type'];
  const [type = '', ...parameters] = (sent ?? '').toLowerCase().split(';');
  const charset = parameters.map((part) => part.trim()).find((part) => part.startsWith('charset='));
  const isUtf8 = charset === undefined || /^charset="?utf-?8"?$/.test(charset);
  if (type.trim() !== 'application/json' || !isUtf8) {
    throw unsupported(`content-type: must be application/json in UTF-8, not ${sent ?? 'absent'}`);
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding.toLowerCase() !== 'identity') {
    throw unsupported(`content-encoding: must be identity, not ${encoding}`);
  }
}

/** @param {string} message */
function unsupported(message) {
  return new RequestError(415, 'UNSUPPORTED_MEDIA_TYPE', message);
}

/** @param {Request} request */
function readDelayMs(request) {
  const sent = request.headers['x-demo-delay-ms'];
  if (sent === undefined) return 0;
  const delayMs = typeof sent === 'string' && /^\d{1,5}$/.test(sent) ? Number(sent) : Infinity;
  if (delayMs <= DELAY_MS_MAX) return delayMs;
  throw badRequest('x-demo-delay-ms', `must be an integer from 0 to ${DELAY_MS_MAX}`);
}

/**
 * @param {Model} model
 * @param {import('./protocol.mjs').JsonObject} params
 */
function checkParams(model, params) {
  const known = [...model.params, 'stream'];
  for (const [name, value] of Object.entries(params)) {
    if (!known.includes(name)) {
      throw badRequest(`params.${name}`, `is unknown; ${model.name} has ${known.join(', ')}`);
    }
    if (typeof value !== 'boolean') {
      throw badRequest(`params.${name}`, `must be true or false, not ${describe(value)}`);
    }
  }
}

/**
 * The whole body. Rejects with 413 as soon as it is known to be too long; what still comes is left
 * in the request.
 * @param {Request} request
 * @param {Response} response
 * @returns {Promise<Buffer>}
 */
function readBody(request, response) {
  const tooLong = new RequestError(
    413,
    'REQUEST_TOO_LARGE',
    `body: is longer than ${BODY_BYTES_MAX} bytes`,
  );
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) throw tooLong;
  if (request.headers.expect !== undefined) response.writeContinue();
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let byteCount = 0;
    const onData = (/** @type {Buffer} */ chunk) => {
      byteCount += chunk.length;
      if (byteCount > BODY_BYTES_MAX) {
        request.off('data', onData);
        reject(tooLong);
      } else {
        chunks.push(chunk);
      }
    };
    request.on('data', onData);
    request.once('end', () => {
      resolve(Buffer.concat(chunks));
    });
    // The client left in the middle of its body.
    request.once('error', reject);
  });
}

/**
 * @param {Request} request
 * @param {Response} response
 * @param {unknown} error
 */
function answerError(request, response, error) {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const known = error instanceof RequestError;
  if (!known) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  const refusal = known ? error : new RequestError(500, 'INTERNAL_ERROR', 'the model failed');
  for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
  const body = { error_code: refusal.code, message: refusal.message };
  if (mayOwePlenty(request)) refuseUnread(request, response, refusal.status, body);
  else sendJson(response, refusal.status, body);
}

/**
 * Whether so much of the body may still come that the connection is not worth keeping; node reads
 * and drops what is left of a shorter one.
 * @param {Request} request
 */
function mayOwePlenty({ complete, headers }) {
  if (complete) return false;
  // Refused before it was asked for its body, a client may send it, or the next request instead.
  if (headers.expect !== undefined || headers['transfer-encoding'] !== undefined) return true;
  return Number(headers['content-length'] ?? 0) > BODY_BYTES_MAX;
}

/**
 * Answers while the body is still coming. Closing at once would reset the connection, and the reset
 * can overtake the answer; so the answer goes out whole, the rest of the body is discarded within
 * bounds, and then the connection closes.
 * @param {Request} request
 * @param {Response} response
 * @param {number} status
 * @param {unknown} body
 */
function refuseUnread(request, response, status, body) {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  });
  response.write(text);
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, DISCARD_MS_MAX);
  let discardedBytes = 0;
  request.on('data', (/** @type {Buffer} */ chunk) => {
    discardedBytes += chunk.length;
    if (discardedBytes > DISCARD_BYTES_MAX) end();
  });
  request.once('end', end);
  request.once('close', end);
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {unknown} body
 */
function sendJson(response, status, body) {
  send(response, status, 'application/json', `${JSON.stringify(body)}\n`);
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} type
 * @param {string} text
 */
function send(response, status, type, text) {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
