/** usage: node fastify-server.mjs PORT-A PORT-B; a proxy that gives 90 % of the requests to A, without logs or parsing. */
import proxy from '@fastify/http-proxy';
import Fastify from 'fastify';

const SHARE_OF_A = 0.9;
const CONNECTIONS_MAX = 512;
const KEEP_ALIVE_MS = 300_000;

const [a, b] = process.argv.slice(2).map((port) => `http://127.0.0.1:${port}`);
const app = Fastify({ logger: false, keepAliveTimeout: KEEP_ALIVE_MS, bodyLimit: 16 * 2 ** 20 });
await app.register(proxy, {
  upstream: '',
  undici: { connections: CONNECTIONS_MAX, pipelining: 1, keepAliveTimeout: KEEP_ALIVE_MS },
  replyOptions: { getUpstream: () => (Math.random() < SHARE_OF_A ? a : b) },
});
const address = await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 });
process.stdout.write(`listening on ${new URL(address).port}\n`);
