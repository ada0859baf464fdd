/**
 * HAProxy as a plain pass-through of the same split: one thread, shared kept-alive connections, no log, no checks. For the
 * scenarios about tokens it verifies their signatures besides.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findProgram, onFreePort, start } from '../processes.mjs';

export const haproxy = {
  name: 'haproxy',
  missing: () => (findProgram('haproxy') === null ? 'apt-get install haproxy' : null),
  version: () => {
    const text = execFileSync(findProgram('haproxy'), ['-v'], { encoding: 'utf8' });
    return /version (\d+\.\d+\.\d+)/.exec(text)?.[1] ?? '';
  },
  start: (context) => onFreePort('haproxy', (port) => launch(port, context)),
};

async function launch(port, { cores, ports, workload, variant = {}, issuer }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'pm-haproxy-'));
  const file = path.join(folder, 'haproxy.cfg');
  writeFileSync(file, configuration(port, ports, workload, checkOf(variant, issuer)));
  // In the foreground without a master: one process that does everything.
  const proxy = start('haproxy', findProgram('haproxy'), ['-db', '-f', file], {
    cores: cores.proxy,
  });
  const stop = async () => {
    await proxy.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await proxy.accepts(port);
  } catch (error) {
    await stop();
    throw error;
  }
  const proxyPids = [proxy.pid];
  const headers =
    variant.token === undefined ? [] : [`Authorization: Bearer ${issuer().token(variant.token)}`];
  return { port, path: '/invocations', headers, proxyPids, supportPids: [], stop };
}

/**
 * `variant.token`: every request must bring a token with a good signature; `variant.claims`: from whom, for whom and until
 * when it is good is checked, too. As the manual of jwt_verify has it.
 */
function checkOf({ token: alg, claims }, issuer) {
  if (alg === undefined) return '';
  const deny = 'http-request deny deny_status 401 unless';
  const { settings } = issuer();
  const claim = (path) => `http_auth_bearer,jwt_payload_query('${path}')`;
  const checks = [
    `http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')`,
    `${deny} { http_auth_bearer,jwt_verify(txn.alg,"${issuer().publicKeyFile(alg)}") 1 }`,
  ];
  if (claims === true) {
    checks.push(
      `${deny} { var(txn.alg) -m str ${alg} }`,
      `${deny} { ${claim('$.iss')} -m str ${settings.issuer} }`,
      `${deny} { ${claim('$.aud')} -m str ${settings.audiences[0]} }`,
      `http-request set-var(txn.now) date()`,
      `${deny} { http_auth_bearer,jwt_payload_query('$.exp','int'),sub(txn.now) gt 0 }`,
    );
  }
  return checks.join('\n  ');
}

function configuration(port, ports, workload, check) {
  // Without it, events wait for each other on their way out.
  const streaming = workload === 'events' ? 'option http-no-delay' : '';
  // Cheaper for very large answers only, by trial.
  const buffers = workload === 'mib1' ? 'tune.bufsize 65536' : '';
  return `
global
  nbthread 1
  maxconn 4000
  quiet
  ${buffers}
defaults
  mode http
  option http-keep-alive
  option splice-auto
  ${streaming}
  no log
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
frontend front
  bind 127.0.0.1:${port} backlog 4096
  ${check}
  default_backend replicas
backend replicas
  balance static-rr
  http-reuse always
  default-server pool-max-conn -1 pool-purge-delay 300s
  server a 127.0.0.1:${ports.a} weight 90
  server b 127.0.0.1:${ports.b} weight 10
`;
}
