/** Limits on requests in flight, over four worker processes, as a replica and its clients see them. */
import type { ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startReplica,
  type TestDaemon,
} from './harness.js';
import { ENDPOINT, FOUR_WORKERS, Load, PATH, until, workersOf } from './live.js';
import { jsonOf, post, valuesOf, WireClient, type WireAnswer } from './wire.js';

const BODY = '{"inputs":[1]}';
const DEPLOYMENTS = '/api/2.0/pointsman/deployments';

/** A replica that counts what it has to do at once. */
class CountingReplica {
  inFlight = 0;
  most = 0;
  started = 0;
  /** Of `inFlight` over time, in milliseconds. */
  busyMs = 0;
  readonly bodies: string[] = [];
  #changedAt = performance.now();

  begin(): void {
    this.started += 1;
    this.#change(1);
    // What has come on other connections in the same turn, the end of a dead worker's among it, counts first.
    setImmediate(() =>
      setImmediate(() => {
        this.most = Math.max(this.most, this.inFlight);
      }),
    );
  }

  end(): void {
    this.#change(-1);
  }

  /** Mean of requests in flight since the call before. */
  meanInFlight(sinceMs: number): number {
    this.#change(0);
    const mean = this.busyMs / (performance.now() - sinceMs);
    this.busyMs = 0;
    return mean;
  }

  #change(by: number): void {
    const now = performance.now();
    this.busyMs += this.inFlight * (now - this.#changedAt);
    this.#changedAt = now;
    this.inFlight += by;
  }
}

interface Setting {
  readonly daemon: TestDaemon;
  readonly counting: CountingReplica;
  /** Requests at the replica that wait for `answer`; empty with a service time. */
  readonly held: ServerResponse[];
  putLimits(limits: Readonly<Record<string, unknown>>): Promise<void>;
  load(): Promise<DeploymentLoad>;
}

interface DeploymentLoad {
  readonly in_flight: number;
  readonly waiting: number;
  readonly refused_full: number;
  readonly refused_deadline: number;
}

/** @param serviceMs how long the replica takes for a request; null: until the test answers it. */
async function startLimited(
  t: Test,
  limits: Readonly<Record<string, unknown>>,
  serviceMs: number | null,
): Promise<Setting> {
  const daemon = await startDaemon(t, { flags: FOUR_WORKERS });
  const counting = new CountingReplica();
  const held: ServerResponse[] = [];
  const replica = await startReplica(t, (request, response) => {
    counting.begin();
    let ended = false;
    const end = (): void => {
      if (!ended) counting.end();
      ended = true;
    };
    response.once('prefinish', end);
    response.once('close', end);
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.once('end', () => {
      counting.bodies.push(Buffer.concat(parts).toString());
      if (serviceMs === null) held.push(response);
      else setTimeout(() => response.end('{"served":"a"}'), serviceMs);
    });
  });
  const [deployment] = deploymentsOf({ a: replica.url });
  const putLimits = async (wanted: Readonly<Record<string, unknown>>): Promise<void> => {
    const body = { ...(deployment as object), limits: wanted };
    const answer = await daemon.admin('PUT', `${DEPLOYMENTS}/a`, body);
    t.equal(answer.status, 200, answer.text);
  };
  await putLimits(limits);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    endpoints: [endpointOf(ENDPOINT, { a: 100 })],
  });
  await daemon.settled(ENDPOINT);
  const load = async (): Promise<DeploymentLoad> => {
    const { body } = await daemon.admin('GET', `${DEPLOYMENTS}/a`);
    return (body as { load: DeploymentLoad }).load;
  };
  return { daemon, counting, held, putLimits, load };
}

/** A request on a connection of its own, so that all workers get some. */
function send(t: Test, { daemon }: Setting, body = BODY): WireClient {
  return new WireClient(t, daemon.dataPort).send(post(daemon, PATH, body));
}

/** Answers the oldest request at the replica. */
function answerOne({ held }: Setting): void {
  held.shift()?.end('{}');
}

function checkRefusal(t: Test, answer: WireAnswer, message: RegExp): void {
  t.equal(answer.status, 429);
  t.match(valuesOf(answer, 'retry-after')[0], /^[1-9]\d*$/);
  t.strictSame(valuesOf(answer, 'x-pointsman-error'), ['RESOURCE_EXHAUSTED']);
  t.strictSame(valuesOf(answer, 'served-model-name'), ['a']);
  const body = jsonOf(answer);
  t.equal(body['error_code'], 'RESOURCE_EXHAUSTED');
  t.match(body['message'], message);
}

const SERVICE_MS = 15;
const BUSY = { max_in_flight: 4, queue: 64, queue_ms: 20_000 };

t.test('four at once, whatever 64 clients of four workers send', async (t) => {
  const setting = await startLimited(t, BUSY, SERVICE_MS);
  const { daemon, counting } = setting;
  const clients = Array.from({ length: 64 }, () => new Load(t, daemon, 1));
  await until(async () => (await workersOf(daemon)).every(({ in_flight }) => in_flight > 0));
  counting.meanInFlight(0);
  const since = performance.now();
  const before = clients.map(({ answers }) => answers);
  await until(() => counting.started >= 1_000);
  const mean = counting.meanInFlight(since);
  const counts = clients.map(({ answers }, index) => answers - (before[index] ?? 0));
  await Promise.all(clients.map((client) => client.stop()));
  t.equal(counting.most, 4, 'never more');
  t.ok(mean > 3, `${mean.toFixed(2)} of 4 on average`);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  t.ok(most - least <= 4, `no client is starved: ${String(least)} to ${String(most)} answers each`);
  t.strictSame(
    clients.flatMap(({ failures }) => failures),
    [],
  );
  t.match(await setting.load(), { in_flight: 0, waiting: 0, refused_full: 0, refused_deadline: 0 });
});

t.test('workers that are killed again and again take no place with them', async (t) => {
  const setting = await startLimited(t, BUSY, SERVICE_MS);
  const { daemon, counting } = setting;
  const load = new Load(t, daemon, 64);
  await load.more(100);
  for (let kill = 0; kill < 12; kill += 1) {
    const victim = (await workersOf(daemon))[kill % 4];
    if (victim === undefined || victim.state !== 'SERVING') continue;
    process.kill(victim.pid, 'SIGKILL');
    await load.more(40);
  }
  await until(async () => (await workersOf(daemon)).every(({ state }) => state === 'SERVING'));
  counting.meanInFlight(0);
  const since = performance.now();
  await load.more(400);
  const mean = counting.meanInFlight(since);
  await load.stop();
  t.ok(counting.most <= 4, `at most ${String(counting.most)} at once`);
  t.ok(mean > 3, `${mean.toFixed(2)} of 4 on average afterwards`);
  await until(async () => (await setting.load()).in_flight === 0);
  t.match(await setting.load(), { in_flight: 0, waiting: 0 });
});

t.test('a queue that is full refuses at once, and serves in order of arrival', async (t) => {
  const setting = await startLimited(t, { max_in_flight: 1, queue: 6, queue_ms: 60_000 }, null);
  const { counting, held } = setting;
  const clients = [send(t, setting, '{"number":0}')];
  await until(() => held.length === 1);
  for (let number = 1; number <= 6; number += 1) {
    clients.push(send(t, setting, `{"number":${String(number)}}`));
    await until(async () => (await setting.load()).waiting === number);
  }
  const sentAt = performance.now();
  const refused = await send(t, setting, '{"number":7}').answer();
  t.ok(performance.now() - sentAt < 1_000, 'at once');
  checkRefusal(t, refused, /^Served entity a .*limits\.max_in_flight.*limits\.queue requests wait/);
  t.match(await setting.load(), { in_flight: 1, waiting: 6, refused_full: 1 });
  for (const client of clients) {
    await until(() => held.length === 1);
    answerOne(setting);
    t.equal((await client.answer()).status, 200);
  }
  t.strictSame(
    counting.bodies,
    clients.map((_, number) => `{"number":${String(number)}}`),
  );
  t.equal(counting.most, 1);
});

t.test('without a queue the limit refuses at once', async (t) => {
  const setting = await startLimited(t, { max_in_flight: 2 }, null);
  const clients = [send(t, setting), send(t, setting)];
  await until(() => setting.held.length === 2);
  for (let round = 0; round < 8; round += 1) {
    checkRefusal(t, await send(t, setting).answer(), /limits\.max_in_flight of its deployment$/);
  }
  answerOne(setting);
  answerOne(setting);
  for (const client of clients) t.equal((await client.answer()).status, 200);
  t.match(await setting.load(), { in_flight: 0, refused_full: 8, refused_deadline: 0 });
  const { text } = await setting.daemon.admin('GET', '/metrics');
  t.match(text, /^pointsman_deployment_in_flight_limit\{deployment="a"\} 2$/m);
  t.match(text, /^pointsman_deployment_refused_requests_total\{deployment="a",reason="full"\} 8$/m);
});

t.test('a wait ends by its deadline, and with its client', async (t) => {
  const setting = await startLimited(t, { max_in_flight: 1, queue: 9, queue_ms: 400 }, null);
  const { counting, held } = setting;
  const holder = send(t, setting);
  await until(() => held.length === 1);
  const sentAt = performance.now();
  const late = send(t, setting);
  const gone = send(t, setting);
  await until(async () => (await setting.load()).waiting === 2);
  gone.socket.destroy();
  await until(async () => (await setting.load()).waiting === 1);
  checkRefusal(t, await late.answer(), /no place became free within limits\.queue_ms$/);
  const waitedMs = performance.now() - sentAt;
  t.ok(waitedMs >= 390 && waitedMs < 1_000, `after ${waitedMs.toFixed(0)} ms`);
  t.match(await setting.load(), { in_flight: 1, waiting: 0, refused_deadline: 1 });
  // The connection that was refused is as good as new.
  late.send(post(setting.daemon, PATH, BODY));
  answerOne(setting);
  t.equal((await holder.answer()).status, 200);
  await until(() => held.length === 1);
  answerOne(setting);
  t.equal((await late.answer()).status, 200);
  t.equal(counting.started, 2, 'who left was never served');
});

t.test('a large body waits with its request', async (t) => {
  const setting = await startLimited(t, { max_in_flight: 1, queue: 9, queue_ms: 60_000 }, null);
  const holder = send(t, setting);
  await until(() => setting.held.length === 1);
  const large = JSON.stringify({ inputs: 'x'.repeat(4_000_000) });
  const waiting = send(t, setting, large);
  await until(async () => (await setting.load()).waiting === 1);
  answerOne(setting);
  t.equal((await holder.answer()).status, 200);
  await until(() => setting.held.length === 1);
  answerOne(setting);
  t.equal((await waiting.answer()).status, 200);
  t.ok(setting.counting.bodies[1] === large, 'it arrives whole');
});

t.test('from_workload limits an entity by its size', async (t) => {
  const setting = await startLimited(t, { from_workload: true }, null);
  // The endpoint's only entity is Small.
  const clients = Array.from({ length: 4 }, () => send(t, setting));
  await until(() => setting.held.length === 4);
  checkRefusal(t, await send(t, setting).answer(), /limits\.from_workload .*workload size$/);
  while (setting.held.length > 0) answerOne(setting);
  for (const client of clients) t.equal((await client.answer()).status, 200);
});

t.test('a limit that changes counts what is in flight already', async (t) => {
  const setting = await startLimited(t, {}, null);
  const { held, counting } = setting;
  const clients = [send(t, setting), send(t, setting), send(t, setting)];
  await until(() => held.length === 3);
  await setting.putLimits({ max_in_flight: 3 });
  t.equal((await send(t, setting).answer()).status, 429);
  await setting.putLimits({ max_in_flight: 2, queue: 5, queue_ms: 60_000 });
  clients.push(send(t, setting));
  await until(async () => (await setting.load()).waiting === 1);
  answerOne(setting);
  await until(async () => (await setting.load()).in_flight === 2);
  t.equal(counting.started, 3, 'still as many as the limit');
  answerOne(setting);
  await until(() => counting.started === 4);
  while (held.length > 0) answerOne(setting);
  await until(() => held.length > 0 || counting.inFlight === 0);
  while (held.length > 0) answerOne(setting);
  for (const client of clients) t.equal((await client.answer()).status, 200);
});
