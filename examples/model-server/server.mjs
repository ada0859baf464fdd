/**
 * A small model server for trying pointsman: one model, one process, no dependencies, no build.
 * This file is its process: flags, listening, signals. `node server.mjs --help` lists the flags;
 * README.md shows requests.
 *
 * Prints one JSON line when it listens. SIGTERM and SIGINT let requests in flight finish, then the
 * process exits with 0; a second signal ends it at once. Exit codes: 1 cannot listen, 2 wrong flags.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { createHandler } from './handler.mjs';
import { MODEL_NAMES, createModel } from './models/index.mjs';

/**
 * Longer than routers keep idle connections: the side that sends requests should be the one that
 * closes, or a request can meet a closing connection.
 */
const KEEP_ALIVE_MS = 65_000;
/** After a signal; the longest delay that a request may ask for fits in. */
const DRAIN_MS_MAX = 65_000;

const USAGE = `Usage: node server.mjs --model NAME [--host ADDRESS] [--port NUMBER | --unix PATH]

  --model NAME     ${MODEL_NAMES.join(', ')}
  --host ADDRESS   address to listen on (127.0.0.1)
  --port NUMBER    port, 0 for any free one (0)
  --unix PATH      listen on a Unix socket instead
  --exit-with-parent  end when standard input ends: whoever started this server is gone
  --help           this text

Example: node server.mjs --model iris-1 --port 9001
`;

/** What the kernel takes; libuv cuts a longer path off without a word and listens somewhere else. */
const UNIX_PATH_BYTES_MAX = 107;

/** @typedef {{ path: string } | { host: string, port: number }} ListenTarget */

/**
 * @param {string[]} args
 * @returns {{ modelName: string, target: ListenTarget, exitWithParent: boolean } | 'help'}
 * @throws {TypeError} with a message for the user
 */
function readFlags(args) {
  const { values } = parseArgs({
    args,
    options: {
      model: { type: 'string' },
      host: { type: 'string' },
      port: { type: 'string' },
      unix: { type: 'string' },
      'exit-with-parent': { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return 'help';
  const modelName = values.model ?? '';
  const exitWithParent = values['exit-with-parent'] === true;
  if (!MODEL_NAMES.includes(modelName)) {
    throw new TypeError(`--model: must be one of ${MODEL_NAMES.join(', ')}`);
  }
  if (values.unix !== undefined) {
    if (values.host !== undefined || values.port !== undefined) {
      throw new TypeError('--unix: does not go with --host or --port');
    }
    if (Buffer.byteLength(values.unix) > UNIX_PATH_BYTES_MAX) {
      throw new TypeError(`--unix: must be at most ${UNIX_PATH_BYTES_MAX} bytes long`);
    }
    return { modelName, target: { path: values.unix }, exitWithParent };
  }
  const portText = values.port ?? '0';
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : Infinity;
  if (port > 65_535) throw new TypeError('--port: must be an integer from 0 to 65535');
  return { modelName, target: { host: values.host ?? '127.0.0.1', port }, exitWithParent };
}

/**
 * @param {import('./models/index.mjs').Model} model
 * @returns {{ server: import('node:http').Server, drain: () => void }}
 */
function createModelServer(model) {
  let draining = false;
  const handler = createHandler(model, () => draining);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS });
  server.on('request', (request, response) => {
    handler(request, response);
    response.once('close', () => {
      // An answer whose head went out before the signal left its connection open.
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
  });
  // Answered by the same handler, which asks for the body only when it wants it.
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
  server.on('clientError', answerBrokenRequest);
  const drain = () => {
    draining = true;
    server.close();
    setTimeout(() => server.closeAllConnections(), DRAIN_MS_MAX).unref();
  };
  return { server, drain };
}

/**
 * What node's parser refuses never becomes a request; the connection gets one answer and closes.
 * @param {NodeJS.ErrnoException} error
 * @param {import('node:stream').Duplex} socket
 */
function answerBrokenRequest(error, socket) {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = REFUSALS.get(error.code ?? '') ?? '400 Bad Request';
  const body = `${JSON.stringify({ error_code: 'BAD_REQUEST', message: 'this is not HTTP/1.1' })}\n`;
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** @type {ReadonlyMap<string, string>} */
const REFUSALS = new Map([
  ['HPE_HEADER_OVERFLOW', '431 Request Header Fields Too Large'],
  ['ERR_HTTP_REQUEST_TIMEOUT', '408 Request Timeout'],
]);

/**
 * @param {import('node:http').Server} server
 * @param {ListenTarget} target
 * @returns {Promise<string>} the address in the spelling that a deployment's `replicas[].url` takes
 */
async function listen(server, target) {
  if ('path' in target) await removeDeadSocket(target.path);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(target, () => resolve(undefined));
  });
  if ('path' in target) return `unix:${target.path}`;
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : target.port;
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return `http://${host}:${port}`;
}

/**
 * A killed server leaves its socket file behind, and it would keep the next one from listening. Only
 * a socket that nobody listens on is removed; a plain file refuses connections just the same.
 * @param {string} path
 * @returns {Promise<void>}
 */
function removeDeadSocket(path) {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve();
    });
    probe.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === 'ECONNREFUSED' && isSocket(path)) unlinkSync(path);
      resolve();
    });
  });
}

/** @param {string} path */
function isSocket(path) {
  return lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

/** @param {string[]} args */
async function main(args) {
  const flags = readFlags(args);
  if (flags === 'help') {
    process.stdout.write(USAGE);
    return;
  }
  const model = createModel(flags.modelName);
  if (model === undefined) throw new TypeError(`--model: ${flags.modelName} is unknown`);
  const { server, drain } = createModelServer(model);
  const address = await listen(server, flags.target);
  process.once('SIGTERM', drain);
  process.once('SIGINT', drain);
  if (flags.exitWithParent) {
    process.stdin.resume().once('close', () => process.exit(0));
    // Watching it must not keep a server alive that has drained after a signal.
    if ('unref' in process.stdin) process.stdin.unref();
  }
  process.stdout.write(`${JSON.stringify({ event: 'listening', address })}\n`);
}

main(process.argv.slice(2)).catch((/** @type {unknown} */ error) => {
  const isUsage = error instanceof TypeError;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`model-server: ${message}\n${isUsage ? `\n${USAGE}` : ''}`);
  process.exitCode = isUsage ? 2 : 1;
});
