/** Probes over real sockets; time by hand. */
import { spawnSync } from 'node:child_process';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { RESOLVE_INTERVAL_MS } from '../../../src/core/limits.js';
import { validateDeployment } from '../../../src/config/manifest.js';
import type { JsonObject } from '../../../src/control/control-plane.js';
import { toDeploymentRecord } from '../../../src/control/deployment-input.js';
import { NO_VERDICT, probeAddress } from '../../../src/control/probe.js';
import { startProber, startReplica, tempDir, until } from './harness.js';

function record(urls: readonly (string | JsonObject)[], extra: JsonObject = {}) {
  const body = {
    name: 'm',
    serves: [{ entity_name: 'e', entity_version: '1' }],
    replicas: urls.map((url) => (typeof url === 'string' ? { url } : url)),
    ...extra,
  };
  return toDeploymentRecord(validateDeployment(body), '');
}

async function listen(t: Test, server: Server, where: string | number): Promise<void> {
  await new Promise<void>((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve);
    else server.listen(where, '127.0.0.1', resolve);
  });
  t.teardown(() => {
    server.close();
  });
}

t.test(
  'http: the path below the base path, the fields of the deployment, the Host of the URL',
  async (t) => {
    const { prober } = startProber(t);
    const replica = await startReplica(t);
    const spec = record([`${replica.url}/base/`], {
      headers: { Authorization: 'Bearer x' },
      health: { path: '/health?full=1' },
    });
    prober.watch(spec);
    await until(() => prober.health('m').ready, 'ready');
    t.same(replica.paths, ['GET /base/health?full=1']);
    t.match(replica.headers[0], {
      authorization: 'Bearer x',
      host: `127.0.0.1:${String(replica.port)}`,
    });
    t.match(prober.addressesFor(spec), [{ basePath: '/base', ready: true, weight: 1 }]);
  },
);

t.test('a probe for which this host has no descriptor says nothing of the replica', async (t) => {
  const probe = new URL('../../../src/control/probe.js', import.meta.url).href;
  const script = `
    import { openSync } from 'node:fs';
    const { probeAddress, NO_VERDICT } = await import('${probe}');
    const target = { host: '127.0.0.1', port: 9, authority: 'a', basePath: '' };
    const results = [];
    try { for (;;) openSync('/dev/null'); } catch {}
    for (const type of ['tcp', 'http']) {
      const spec = { health: { type, timeout_ms: 1000, path: '/ping' }, headers: {} };
      results.push(await probeAddress(target, spec, new AbortController().signal) === NO_VERDICT);
    }
    console.log(results.join());`;
  const command = 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"';
  const run = spawnSync('sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
  t.equal(run.stdout, 'true,true\n', run.stderr);

  const replica = await startReplica(t);
  let fails = false;
  const { prober, clock, changes } = startProber(t, {
    probe: (...asked) => (fails ? Promise.resolve(NO_VERDICT) : probeAddress(...asked)),
  });
  const spec = record([replica.url], { health: { interval_ms: 1_000, unhealthy_after: 1 } });
  prober.watch(spec);
  await until(() => prober.health('m').ready, 'ready');
  fails = true;
  for (let probes = 0; probes < 5; probes += 1) {
    clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(prober.health('m').ready);
  t.same(changes, ['m']);
});

t.test('thresholds, the interval, and weight 0', async (t) => {
  const { prober, clock, changes, logged } = startProber(t);
  const replica = await startReplica(t);
  replica.status = 503;
  const spec = record([replica.url], {
    health: { interval_ms: 1_000, healthy_after: 2, unhealthy_after: 2 },
  });
  prober.watch(spec);
  const probes = async (count: number) => {
    await until(() => replica.paths.length === count, `${String(count)} probes`);
    await until(
      () => prober.status('m')[0]?.last_error === (replica.status === 200 ? '' : problem),
      'the result',
    );
  };
  const problem = 'answers GET /ping with 503';
  await probes(1);
  t.match(prober.status('m'), [{ state: 'UNKNOWN', last_error: problem }]);
  t.match(prober.addressesFor(spec), [{ ready: true }], 'unknown counts as ready while nothing is');
  await until(() => {
    clock.advance(1_000);
    return replica.paths.length >= 2;
  }, 'the second probe within an interval');
  await until(() => prober.status('m')[0]?.state === 'DOWN', 'down after two');
  t.same(changes, ['m']);
  t.match(prober.addressesFor(spec), [{ ready: false, recoveredAtMs: 0 }]);
  replica.status = 200;
  await until(() => {
    clock.advance(1_000);
    return prober.health('m').ready;
  }, 'ready after two successes');
  t.equal(changes.length, 2);
  t.match(prober.addressesFor(spec), [{ recoveredAtMs: 0 }], 'the first time is no recovery');
  replica.status = 503;
  await until(() => {
    clock.advance(1_000);
    return !prober.health('m').ready;
  }, 'down again');
  replica.status = 200;
  await until(() => {
    clock.advance(1_000);
    return prober.health('m').ready;
  }, 'ready again');
  const since = prober.status('m')[0]?.since;
  t.match(prober.addressesFor(spec), [{ recoveredAtMs: since }]);
  const named = `m ${replica.url} 127.0.0.1:${String(replica.port)}`;
  const [down, up] = [`replica down ${named} ${problem}`, `replica up again ${named}`];
  t.same(logged, [down, up, down, up]);
  const drained = record([{ url: replica.url, weight: 0 }]);
  prober.watch(drained);
  t.match(prober.status('m'), [{ state: 'DRAINING' }]);
  t.match(prober.health('m'), { ready: false, problem: 'every replica has weight 0' });
});

t.test('an address that joins a serving deployment waits for its first probe', async (t) => {
  const { prober } = startProber(t);
  const replica = await startReplica(t);
  const spec = record([replica.url]);
  prober.watch(spec);
  await until(() => prober.health('m').ready, 'ready');
  const joined = await startReplica(t);
  const both = record([replica.url, joined.url]);
  t.match(prober.addressesFor(both), [{ ready: true }, { ready: false }]);
  t.equal(prober.readyUnder(both), true);
  t.equal(prober.readyUnder(record([joined.url])), false);
  prober.watch(both);
  await until(() => prober.addressesFor(both).every(({ ready }) => ready), 'both ready');
});

t.test('what is wrong is said in words', async (t) => {
  const dir = tempDir(t);
  const silent = createTcpServer(() => undefined);
  await listen(t, silent, 0);
  const closing = createTcpServer((socket) => socket.destroy());
  await listen(t, closing, 0);
  const garbage = createTcpServer((socket) => socket.end('hello there\r\n\r\n'));
  await listen(t, garbage, 0);
  const refusing = await startReplica(t);
  await refusing.close();
  const at = (server: Server) =>
    `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const cases: (readonly [string, JsonObject, RegExp])[] = [
    [refusing.url, {}, /refuses connections$/],
    [at(silent), { health: { timeout_ms: 20 } }, /does not answer within 20 ms$/],
    [at(closing), {}, /closes the connection without an answer$/],
    [at(garbage), {}, /does not speak HTTP/],
    [`unix:${join(dir, 'none.sock')}`, {}, /has no socket at this path$/],
    [refusing.url, { protocol: 'raw' }, /refuses connections$/],
  ];
  for (const [url, extra, message] of cases) {
    const { prober } = startProber(t);
    prober.watch(record([url], extra));
    await until(() => prober.health('m').problem !== '', `a problem of ${url}`);
    t.match(prober.health('m').problem, message);
    t.ok(prober.health('m').problem.startsWith(`replica ${url} `));
  }
});

t.test('unix sockets and tcp connects', async (t) => {
  const dir = tempDir(t);
  const http = createServer((request, response) => {
    hosts.push(String(request.headers.host));
    response.end('ok');
  });
  const hosts: string[] = [];
  const path = join(dir, 's.sock');
  await listen(t, http, path);
  const tcp = createTcpServer((socket) => socket.on('error', () => undefined));
  await listen(t, tcp, 0);
  const port = (tcp.address() as AddressInfo).port;
  const first = startProber(t);
  const unix = record([`unix:${path}`]);
  first.prober.watch(unix);
  await until(() => first.prober.health('m').ready, 'unix ready');
  t.same(hosts, ['localhost']);
  t.match(first.prober.addressesFor(unix), [{ host: `unix:${path}`, port: 0, basePath: '' }]);
  const second = startProber(t);
  second.prober.watch(record([`http://127.0.0.1:${String(port)}`], { protocol: 'raw' }));
  await until(() => second.prober.health('m').ready, 'tcp ready');
});

t.test('host names: looked up again, the last good set kept, changes told', async (t) => {
  let answer: () => Promise<string[]> = () => Promise.resolve(['127.0.0.1']);
  const { prober, clock, changes } = startProber(t, { resolve: () => answer() });
  const replica = await startReplica(t);
  const spec = record([`http://gpu1.test:${String(replica.port)}`]);
  await prober.prepare([spec]);
  t.match(prober.addressesFor(spec), [
    { host: '127.0.0.1', authority: `gpu1.test:${String(replica.port)}` },
  ]);
  prober.watch(spec);
  await until(() => prober.health('m').ready, 'ready');
  const told = changes.length;
  let failures = 0;
  answer = () => {
    failures += 1;
    return Promise.reject(new Error('no resolver'));
  };
  clock.advance(RESOLVE_INTERVAL_MS);
  await until(() => failures === 1, 'the failed look-up');
  answer = () => Promise.resolve(['127.0.0.1', '127.0.0.2']);
  t.equal(prober.addressesFor(spec).length, 1, 'kept');
  t.equal(prober.health('m').ready, true);
  await until(() => {
    clock.advance(RESOLVE_INTERVAL_MS);
    return prober.addressesFor(spec).length === 2;
  }, 'two addresses');
  t.ok(changes.length > told);
  prober.unwatch('m');
  t.same(prober.status('m'), []);
});

t.test('a name that never resolves is named, and does not hold a change up', async (t) => {
  const { prober } = startProber(t, { resolve: () => Promise.reject(new Error('ENOTFOUND')) });
  const spec = record(['http://nowhere.test:1']);
  await prober.prepare([spec]);
  prober.watch(spec);
  t.equal(
    prober.health('m').problem,
    'replica http://nowhere.test:1 has a host name that does not resolve',
  );
  t.match(prober.status('m'), [{ address: '', state: 'DOWN' }]);
});

t.test('localhost is probed in every family it has', async (t) => {
  const { prober } = startProber(t, { resolve: () => Promise.resolve(['127.0.0.1', '::1']) });
  const replica = await startReplica(t);
  const spec = record([`http://localhost:${String(replica.port)}`]);
  await prober.prepare([spec]);
  prober.watch(spec);
  await until(() => prober.health('m').ready, 'one family is enough');
  await until(
    () =>
      prober.status('m').every(({ last_error, state }) => state === 'READY' || last_error !== ''),
    'both were probed',
  );
  t.match(prober.addressesFor(spec), [
    { host: '127.0.0.1', ready: true },
    { host: '::1', ready: false },
  ]);
});

t.test('a name is never followed to a link-local or metadata address', async (t) => {
  const answers = [
    ['169.254.169.254', '::ffff:169.254.169.254'],
    ['127.0.0.1', 'fe80::1'],
  ];
  const { prober, clock } = startProber(t, { resolve: () => Promise.resolve(answers[0] ?? []) });
  const spec = record(['http://metadata.test:1']);
  await prober.prepare([spec]);
  prober.watch(spec);
  t.same(prober.addressesFor(spec), []);
  t.equal(
    prober.health('m').problem,
    'replica http://metadata.test:1 has a host name of link-local, metadata or hostless addresses only',
  );
  answers.shift();
  await until(() => {
    clock.advance(RESOLVE_INTERVAL_MS);
    return prober.addressesFor(spec).length > 0;
  }, 'the name changed');
  t.match(prober.addressesFor(spec), [{ host: '127.0.0.1' }]);
  t.equal(prober.addressesFor(spec).length, 1);
});

t.test('a refused literal of an older store gets no probe', (t) => {
  const { prober } = startProber(t);
  const spec = record(['http://127.0.0.1:1']);
  const replicas = [{ url: 'http://169.254.169.254', weight: 1 }];
  const old = { ...spec, spec: { ...spec.spec, replicas } };
  prober.watch(old);
  t.same(prober.addressesFor(old), []);
  t.end();
});
