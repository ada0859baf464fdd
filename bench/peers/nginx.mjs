/**
 * nginx as a plain pass-through of the same split: one worker, kept-alive connections on both sides, no log, nothing
 * written to disk. The master process has no part in requests and runs beside the load.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { childrenOf, findProgram, onFreePort, pin, start } from '../processes.mjs';

/**
 * What is cheapest for each kind of answer, by trial: a small one fits the standard buffer; a large one is better read
 * and written in large pieces than collected; events must not wait for a buffer to fill.
 */
const LARGE = `proxy_buffering off;
      proxy_buffer_size 128k;
      proxy_buffers 4 128k;
      proxy_busy_buffers_size 256k;`;
const BUFFERING = { kib64: LARGE, mib1: LARGE, events: 'proxy_buffering off;' };

export const nginx = {
  name: 'nginx',
  missing: () => (findProgram('nginx') === null ? 'apt-get install nginx-light' : null),
  version: () => /nginx\/(\S+)/.exec(versionText())?.[1] ?? '',
  start: (context) => onFreePort('nginx', (port) => launch(port, context)),
};

function versionText() {
  // It says so on standard error.
  return execFileSync('sh', ['-c', '"$0" -v 2>&1', findProgram('nginx')], { encoding: 'utf8' });
}

async function launch(port, { cores, ports, workload }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-nginx-'));
  chmodSync(folder, 0o755);
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(file, configuration(port, ports, workload, folder));
  const master = start('nginx', findProgram('nginx'), ['-p', folder, '-c', file, '-e', 'stderr'], {
    cores: cores.support,
  });
  const stop = async () => {
    await master.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  let proxyPids;
  try {
    await master.accepts(port);
    // The master listens before it has a worker.
    proxyPids = await master.until(() => nonEmpty(childrenOf(master.pid)));
  } catch (error) {
    await stop();
    throw error;
  }
  for (const pid of proxyPids) pin(pid, cores.proxy);
  return { port, path: '/invocations', headers: [], proxyPids, supportPids: [master.pid], stop };
}

function nonEmpty(list) {
  return list.length > 0 ? list : null;
}

function configuration(port, ports, workload, folder) {
  const upstream = (name) => `
  upstream ${name} {
    server 127.0.0.1:${ports[name]};
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }`;
  const buffering = BUFFERING[workload] ?? '';
  return `
${process.getuid() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log stderr crit;
events {
  worker_connections 4096;
  multi_accept on;
}
http {
  access_log off;
  server_tokens off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  client_max_body_size 16m;
  client_body_buffer_size 256k;
  client_body_temp_path ${folder}/body;
  proxy_max_temp_file_size 0;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  split_clients "\${connection}-\${connection_requests}" $split {
    90% a;
    * b;
  }${upstream('a')}${upstream('b')}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://$split;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      ${buffering}
    }
  }
}
`;
}
