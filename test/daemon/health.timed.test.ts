/**
 * Replicas that are killed, hang, take no connections or come and go under load. Probes are far apart here, so that
 * what helps is what the workers find out by themselves. Replicas that have to be stopped are processes of their own.
 */
import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, startReplica, type TestDaemon } from './harness.js';
import { ENDPOINT, Load, PATH, until } from './live.js';
import { post, WireClient } from './wire.js';

const CLIENTS = 8;
/** Of a deployment and worker (docs/manifest.md, Retry budget). */
const RETRIES_IN_HAND_MAX = 100;

const SERVER = `
const server = require('node:http').createServer((request, response) => {
  request.resume().once('end', () => response.end('{}'));
});
const [port, backlog] = process.argv.slice(1).map(Number);
server.listen({ port, host: '127.0.0.1', backlog }, () => console.log(server.address().port));
`;

interface ReplicaProcess {
  readonly port: number;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process is gone. */
  kill(): Promise<void>;
}

async function startReplicaProcess(t: Test, port = 0, backlog = 511): Promise<ReplicaProcess> {
  // env(1) takes the test runner's loader away; see harness.ts.
  const args = [
    '-u',
    'NODE_OPTIONS',
    process.execPath,
    '-e',
    SERVER,
    String(port),
    String(backlog),
  ];
  const child = spawn('env', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve();
    });
  });
  const kill = (): Promise<void> => {
    child.kill('SIGKILL');
    return gone;
  };
  t.teardown(kill);
  const line = await new Promise<string>((resolve) =>
    createInterface({ input: child.stdout }).once('line', resolve),
  );
  return { port: Number(line), signal: (signal) => child.kill(signal), kill };
}

interface AddressRow {
  readonly address: string;
  readonly state: string;
  readonly ejected_workers: number;
  readonly ejected_until: number | null;
  readonly ejections: number;
}

/** The endpoint `live` on one deployment with these ports, each ready by its first probe. */
async function configure(
  daemon: TestDaemon,
  ports: readonly number[],
  timeouts: Readonly<Record<string, number>> = {},
): Promise<void> {
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: [
      {
        name: 'm',
        serves: [{ entity_name: 'lab.ml.m', entity_version: '1' }],
        replicas: ports.map((port) => ({ url: `http://127.0.0.1:${String(port)}` })),
        health: { interval_ms: 3_600_000, timeout_ms: 10_000 },
        timeouts,
      },
    ],
    endpoints: [endpointOf(ENDPOINT, { m: 100 })],
  });
  await daemon.settled(ENDPOINT);
  await until(async () => (await addressesOf(daemon)).every(({ state }) => state === 'READY'));
}

async function addressesOf(daemon: TestDaemon): Promise<AddressRow[]> {
  const { body } = await daemon.admin('GET', '/api/2.0/pointsman/deployments/m');
  return (body as { addresses: AddressRow[] }).addresses;
}

async function addressOf(daemon: TestDaemon, port: number): Promise<AddressRow | undefined> {
  const rows = await addressesOf(daemon);
  return rows.find(({ address }) => address === `127.0.0.1:${String(port)}`);
}

/** Sums of metrics over their series that name `label`, from one look. */
async function metrics(
  daemon: TestDaemon,
  names: readonly string[],
  label = '',
): Promise<number[]> {
  const { text } = await daemon.admin('GET', '/metrics');
  const lines = text.split('\n').filter((line) => line.includes(label));
  return names.map((name) =>
    lines
      .filter((line) => line.startsWith(`pointsman_${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0),
  );
}

function statusesOf(load: Load): number[] {
  return load.failures.map((text) => Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1] ?? 0));
}

t.test('one of two replicas is killed, and comes back', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const killed = await startReplicaProcess(t);
  const other = await startReplicaProcess(t);
  await configure(daemon, [killed.port, other.port]);
  const failedAt: number[] = [];
  const load = new Load(t, daemon, CLIENTS, ({ sentAt, status }) => {
    if (status !== 200) failedAt.push(sentAt);
  });
  await load.more(300);
  t.same(load.failures, []);
  await killed.kill();
  const goneAt = performance.now();
  await until(async () => (await addressOf(daemon, killed.port))?.state === 'EJECTED');
  const ejected = await addressOf(daemon, killed.port);
  t.ok((ejected?.ejected_workers ?? 0) > 0);
  t.ok((ejected?.ejected_until ?? 0) > Date.now() - 1_000);
  await load.more(2_000);
  t.equal((await addressOf(daemon, other.port))?.ejections, 0);
  await startReplicaProcess(t, killed.port);
  const label = `:${String(killed.port)}"`;
  const requestsThere = async (): Promise<number> =>
    (await metrics(daemon, ['address_requests_total'], label))[0] ?? 0;
  const before = await requestsThere();
  await until(async () => (await requestsThere()) > before + 100);
  await load.stop();
  t.same(
    failedAt.filter((sentAt) => sentAt > goneAt),
    [],
    'nobody sees that it is gone, nor that it comes back',
  );
  // What was under way there when it died had been sent. Linux closes what a dead process had open last first, so
  // its listening socket last: each client may meet that once more, on a connection that is reset together with it.
  t.ok(failedAt.length <= 2 * CLIENTS, `${String(failedAt.length)} failures`);
  t.ok(statusesOf(load).every((status) => status === 502));
});

t.test('a replica that hangs costs its timeout and no more, and goes on after it', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const replica = await startReplicaProcess(t);
  const timeoutMs = 400;
  await configure(daemon, [replica.port], { response_header_ms: timeoutMs });
  const client = new WireClient(t, daemon.dataPort);
  const bytes = post(daemon, PATH, '{}');
  t.equal((await client.send(bytes).answer()).status, 200);
  replica.signal('SIGSTOP');
  // The best of some: this machine may be busy.
  let leastMs = Infinity;
  for (let count = 0; count < 5; count += 1) {
    const startedMs = performance.now();
    t.equal((await client.send(bytes).answer()).status, 504);
    const tookMs = performance.now() - startedMs;
    t.ok(tookMs >= timeoutMs - 1, `not before its time: ${String(tookMs)} ms`);
    leastMs = Math.min(leastMs, tookMs);
  }
  t.ok(leastMs < timeoutMs + 100, `${String(leastMs)} ms`);
  replica.signal('SIGCONT');
  t.equal((await client.send(bytes).answer()).status, 200, 'no restart, no wait');
});

t.test('a replica that takes no connections costs the time to connect at most', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const hole = await startReplicaProcess(t, 0, 1);
  const other = await startReplicaProcess(t);
  const connectMs = 400;
  await configure(daemon, [hole.port, other.port], { connect_ms: connectMs });
  hole.signal('SIGSTOP');
  await fillBacklog(t, hole.port);
  const tooks: number[] = [];
  const load = new Load(t, daemon, CLIENTS, ({ sentAt }) => tooks.push(performance.now() - sentAt));
  await until(async () => ((await addressOf(daemon, hole.port))?.ejections ?? 0) > 0);
  await load.more(500);
  await load.stop();
  t.same(load.failures, []);
  const mostMs = Math.max(...tooks);
  t.ok(mostMs >= connectMs - 1, 'some request went there first');
  // Half a second for a busy machine; a second attempt there would cost as much again.
  t.ok(mostMs < connectMs + 500, `${String(mostMs)} ms`);
  t.ok(tooks.filter((tookMs) => tookMs > connectMs).length <= 2 * CLIENTS, 'few do');
});

/** Connections until one gets no answer: those before it stand in the queue, and it is full. */
async function fillBacklog(t: Test, port: number): Promise<void> {
  for (;;) {
    const socket: Socket = connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    const isUp = await Promise.race([
      new Promise<boolean>((resolve) =>
        socket.once('connect', () => {
          resolve(true);
        }),
      ),
      new Promise<boolean>((resolve) => setTimeout(resolve, 300, false)),
    ]);
    if (!isUp) return;
  }
}

t.test('with everything down attempts stay below 1.2 times the requests', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const replicas = [await startReplicaProcess(t), await startReplicaProcess(t)];
  await configure(
    daemon,
    replicas.map(({ port }) => port),
  );
  const load = new Load(t, daemon, CLIENTS);
  await load.more(500);
  for (const replica of replicas) await replica.kill();
  await load.more(2 * CLIENTS);
  const counts = (): Promise<number[]> =>
    metrics(daemon, ['requests_total', 'address_connects_total']);
  const before = await counts();
  const failures = load.failures.length;
  await load.more(2_000);
  t.ok(load.failures.length >= failures + 2_000, 'none is answered well');
  const after = await counts();
  const [requests = 0, attempts = 0] = after.map((count, index) => count - (before[index] ?? 0));
  t.ok(requests >= 2_000);
  t.ok(attempts >= requests, 'no request is refused without a try');
  // Each of the two workers may still have in hand what the good requests before earned it.
  const most = requests * 1.2 + 2 * RETRIES_IN_HAND_MAX;
  t.ok(attempts <= most, `${String(attempts)} attempts, ${String(requests)} requests`);
  for (const { port } of replicas) await startReplicaProcess(t, port);
  const good = (): number => load.answers - load.failures.length;
  const goodBefore = good();
  await until(() => good() > goodBefore + 10);
  const failuresUntilThen = load.failures.length;
  await load.more(500);
  await load.stop();
  t.ok(
    load.failures.length <= failuresUntilThen + CLIENTS,
    'and all is well at once when they are up',
  );
});

t.test('a replica that comes and goes every half second', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const delivered = new Map<string, number>();
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const id = String(request.headers['x-id'] ?? '');
    delivered.set(id, (delivered.get(id) ?? 0) + 1);
    request.resume();
    setTimeout(() => response.end('{}'), 5);
  };
  const steady = await startReplica(t, listener);
  const flapping = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === '/ping') response.end();
    else listener(request, response);
  });
  await new Promise<void>((resolve) => flapping.listen(0, '127.0.0.1', resolve));
  const { port } = flapping.address() as AddressInfo;
  const stop = (): Promise<void> => {
    const closed = new Promise<void>((resolve) =>
      flapping.close(() => {
        resolve();
      }),
    );
    flapping.closeAllConnections();
    return closed;
  };
  t.teardown(() => (flapping.listening ? stop() : undefined));
  await configure(daemon, [port, Number(new URL(steady.url).port)]);
  let isOver = false;
  let requests = 0;
  const statuses: number[] = [];
  const run = async (number: number): Promise<void> => {
    const client = new WireClient(t, daemon.dataPort);
    for (let count = 0; !isOver; count += 1) {
      const fields = [`X-Id: ${String(number)}-${String(count)}`];
      requests += 1;
      const { status } = await client.send(post(daemon, PATH, '{}', fields)).answer();
      if (status !== 200) statuses.push(status);
    }
  };
  const running = Promise.all(Array.from({ length: CLIENTS }, (_, number) => run(number)));
  const flaps = 3;
  for (let flap = 0; flap < flaps; flap += 1) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await stop();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await new Promise<void>((resolve) => flapping.listen(port, '127.0.0.1', resolve));
  }
  isOver = true;
  await running;
  t.ok(requests > 200, `${String(requests)} requests`);
  t.ok(
    statuses.every((status) => status === 502),
    `what had been sent: ${statuses.join()}`,
  );
  t.ok(statuses.length <= flaps * CLIENTS, `${String(statuses.length)} failures`);
  t.same(
    [...delivered].filter(([, times]) => times > 1),
    [],
    'none is delivered twice',
  );
});
