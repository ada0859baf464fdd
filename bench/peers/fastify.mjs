/** The plain-Node baseline: @fastify/http-proxy in a process of its own, with the same split. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from '../processes.mjs';
import { ROOT } from '../programs.mjs';

const PACKAGE = path.join(ROOT, 'node_modules', '@fastify', 'http-proxy', 'package.json');
const SERVER = fileURLToPath(new URL('fastify-server.mjs', import.meta.url));

export const fastify = {
  name: 'fastify',
  missing: () => (existsSync(PACKAGE) ? null : 'npm ci (package @fastify/http-proxy)'),
  version: () => JSON.parse(readFileSync(PACKAGE, 'utf8')).version,
  async start({ cores, ports }) {
    const proxy = start('fastify', process.execPath, [SERVER, String(ports.a), String(ports.b)], {
      cores: cores.proxy,
      env: { NODE_ENV: 'production' },
    });
    const [, port] = await proxy.prints(/listening on (\d+)/);
    return {
      port: Number(port),
      path: '/invocations',
      headers: [],
      proxyPids: [proxy.pid],
      supportPids: [],
      stop: () => proxy.stop(),
    };
  },
};
