/** What happens while replicas are down, come up and die under load. Model servers are processes that are really killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startNamedReplica,
  startReplica,
  type TestDaemon,
} from './harness.js';
import { projectFile } from '../unit/project-file.js';
import { post, WireClient } from './wire.js';

const MANIFEST = '/api/2.0/pointsman/manifest';

interface EndpointView {
  readonly state: { readonly ready: string; readonly config_update: string };
  readonly pending_config?: {
    readonly served_entities: { readonly state: { deployment_state_message: string } }[];
  };
}

/** A port of this machine that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function viewOf(daemon: TestDaemon, name: string): Promise<EndpointView> {
  return (await daemon.admin('GET', `/api/2.0/serving-endpoints/${name}`)).body as EndpointView;
}

function messageOf(view: EndpointView): string {
  return view.pending_config?.served_entities[0]?.state.deployment_state_message ?? '';
}

/** Looks until `wanted` is true of the endpoint; the test's own timeout bounds it. */
async function waitFor(
  daemon: TestDaemon,
  name: string,
  wanted: (view: EndpointView) => boolean,
): Promise<EndpointView> {
  for (;;) {
    const view = await viewOf(daemon, name);
    if (wanted(view)) return view;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface ModelServer {
  readonly url: string;
  readonly child: ChildProcess;
  /** Kills the process; resolves when it is gone. */
  kill(): Promise<void>;
}

async function startModelServer(t: Test): Promise<ModelServer> {
  const script = projectFile('examples/model-server/server.mjs');
  const child = spawn(process.execPath, [script, '--model', 'iris-1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once('line', resolve),
  );
  const { address } = JSON.parse(line) as { address: string };
  return {
    url: address,
    child,
    kill: () =>
      new Promise((resolve) => {
        child.once('exit', () => {
          resolve();
        });
        child.kill('SIGKILL');
      }),
  };
}

t.test('a replica that is down at creation', async (t) => {
  const daemon = await startDaemon(t);
  const port = await freePort();
  const url = `http://127.0.0.1:${String(port)}`;
  const [deployment] = deploymentsOf({ a: url });
  const intervalMs = 500;
  const health = { interval_ms: intervalMs };
  await daemon.admin('PATCH', MANIFEST, {
    deployments: [{ ...(deployment as object), health }],
    endpoints: [endpointOf('one', { a: 100 })],
  });
  const waiting = await waitFor(daemon, 'one', (view) => messageOf(view).includes('refuses'));
  t.same(waiting.state, { ready: 'NOT_READY', config_update: 'IN_PROGRESS' });
  t.match(messageOf(waiting), new RegExp(`\\ba\\b.*${url}.*refuses connections`));
  const status = await daemon.admin('GET', '/api/2.0/pointsman/status');
  t.match(status.body, { endpoints: [{ name: 'one', message: new RegExp(`${url} refuses`) }] });
  const early = await daemon.invoke('/serving-endpoints/one/invocations', {});
  t.match(early, { status: 404, body: { error_code: 'ENDPOINT_NOT_FOUND' } }, 'nothing is active');

  let pings = 0;
  const { server } = await startReplica(t, undefined, port);
  const upAt = performance.now();
  server.prependListener('request', (request: { url?: string }) => {
    if (request.url === '/ping') pings += 1;
  });
  const ready = await waitFor(daemon, 'one', (view) => view.state.ready === 'READY');
  const tookMs = performance.now() - upAt;
  t.same(ready.state, { ready: 'READY', config_update: 'NOT_UPDATING' });
  t.ok(pings <= 2, `the first good probe is enough (${String(pings)} were sent)`);
  t.ok(tookMs < intervalMs + 2_000, `ready after ${String(Math.round(tookMs))} ms`);
});

t.test('an entity without a deployment', async (t) => {
  const daemon = await startDaemon(t);
  await daemon.admin('POST', '/api/2.0/serving-endpoints', endpointOf('one', { ghost: 100 }));
  const view = await waitFor(daemon, 'one', (current) => messageOf(current).includes('ghost'));
  t.same(view.state, { ready: 'NOT_READY', config_update: 'IN_PROGRESS' });
  t.match(messageOf(view), /deployment.*lab\.ml\.ghost.*1/);
  // What was missing arrives later.
  const replica = await startNamedReplica(t, 'ghost');
  await daemon.admin('PATCH', MANIFEST, { deployments: deploymentsOf({ ghost: replica.url }) });
  t.match(await daemon.settled('one'), { state: { ready: 'READY' } });
});

t.test('one of two replicas is killed under load: only what was in flight fails', async (t) => {
  const daemon = await startDaemon(t);
  const doomed = await startModelServer(t);
  const other = await startModelServer(t);
  await daemon.admin('PATCH', MANIFEST, {
    deployments: [
      {
        name: 'pair',
        serves: [{ entity_name: 'lab.ml.pair', entity_version: '1' }],
        replicas: [{ url: doomed.url }, { url: other.url }],
        health: { interval_ms: 100 },
      },
    ],
    endpoints: [endpointOf('pair', { pair: 100 })],
  });
  await daemon.settled('pair');

  const connections = 8;
  const bytes = post(
    daemon,
    '/serving-endpoints/pair/invocations',
    '{"inputs":[[4.9,2.5,4.5,1.7]]}',
  );
  let deadAt = Number.POSITIVE_INFINITY;
  let after = 0;
  let atRisk = 0;
  const failures: string[] = [];
  async function run(): Promise<void> {
    const client = new WireClient(t, daemon.dataPort);
    while (after < 400) {
      const startedAt = performance.now();
      const { status, head } = await client.send(bytes).answer();
      if (startedAt > deadAt) after += 1;
      if (status === 200) continue;
      if (startedAt > deadAt) failures.push(head);
      else atRisk += 1;
    }
  }
  const load = Promise.all(Array.from({ length: connections }, run));
  const addresses = async (): Promise<{ state: string; replica_url: string }[]> => {
    const { body } = await daemon.admin('GET', '/api/2.0/pointsman/deployments/pair');
    return (body as { addresses: { state: string; replica_url: string }[] }).addresses;
  };
  while ((await addresses()).some(({ state }) => state !== 'READY')) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await doomed.kill();
  deadAt = performance.now();
  await load;
  t.same(failures, [], 'no request that was sent after the death failed');
  t.ok(atRisk <= connections, `${String(atRisk)} requests were in flight and failed`);
});

t.test('no replica is left: 503 at once, for that share only', async (t) => {
  const daemon = await startDaemon(t);
  const doomed = await startModelServer(t);
  const living = await startNamedReplica(t, 'b');
  await daemon.admin('PATCH', MANIFEST, {
    deployments: deploymentsOf({ a: doomed.url, b: living.url }),
    endpoints: [endpointOf('both', { a: 50, b: 50 })],
  });
  await daemon.settled('both');
  await doomed.kill();
  const seen = new Map<string, number>();
  let slowestMs = 0;
  for (let count = 0; count < 200; count += 1) {
    const startedAt = performance.now();
    const answer = await daemon.invoke('/serving-endpoints/both/invocations', { inputs: [1] });
    const entity = answer.headers.get('served-model-name') ?? '';
    const key = `${entity} ${String(answer.status)}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    if (answer.status !== 503) continue;
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    t.match(answer.body, { error_code: 'TEMPORARILY_UNAVAILABLE' });
    t.match(answer.headers.get('retry-after'), /^[1-9][0-9]*$/);
  }
  t.same([...seen.keys()].sort(), ['a 503', 'b 200'], JSON.stringify([...seen]));
  t.ok((seen.get('a 503') ?? 0) > 50, 'its share is not given to others');
  t.ok(slowestMs < 1_000, `the slowest refusal took ${String(slowestMs)} ms`);
  const { body } = await daemon.admin('GET', '/api/2.0/serving-endpoints/both');
  t.match(body, { state: { ready: 'READY', config_update: 'NOT_UPDATING' } });
});
