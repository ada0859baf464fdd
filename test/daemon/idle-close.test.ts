/**
 * A replica that closes its kept connections at the worst moment: just when the next request is on its way. Each lane
 * has a replica, a deployment and a client of its own, so that it has one connection, and sends the next request when the
 * replica's idle time is over, give or take JITTER_MS. In every EIGHTH trial the replica has stopped reading already, so
 * that the request certainly meets the close.
 *
 * `node bench/trials.mjs idle-close 2000` runs it with more trials.
 */
import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { ok, startWireReplica, valuesOf, WireClient } from './wire.js';

const TRIALS = Number(process.env['POINTSMAN_TEST_TRIALS'] ?? 240);
const LANES = 12;
const IDLE_MS = 12;
const JITTER_MS = 5;
const EIGHTH = 8;

interface Kind {
  readonly title: string;
  readonly method: 'GET' | 'POST';
  readonly replaySafe: boolean;
}

const KINDS: readonly Kind[] = [
  { title: 'GET', method: 'GET', replaySafe: false },
  { title: 'POST', method: 'POST', replaySafe: false },
  { title: 'POST, replay_safe', method: 'POST', replaySafe: true },
];

/** What one replica has seen. */
interface Replica {
  readonly url: string;
  /** Times that each request was read. */
  readonly deliveries: Map<string, number>;
  /** Stop reading behind the next answer. */
  trap: boolean;
  connections: number;
}

async function startClosingReplica(t: Test): Promise<Replica> {
  const timers = new Map<Socket, NodeJS.Timeout>();
  const state = { deliveries: new Map<string, number>(), trap: false, connections: 0 };
  const { url } = await startWireReplica(t, (request, socket) => {
    clearTimeout(timers.get(socket));
    if (request.index === 0) state.connections += 1;
    const id = valuesOf(request, 'x-lab')[0] ?? '';
    state.deliveries.set(id, (state.deliveries.get(id) ?? 0) + 1);
    const isTrap = state.trap;
    state.trap = false;
    socket.write(ok(id), () => {
      if (isTrap) socket.pause();
      const close = (): void => {
        timers.delete(socket);
        // With bytes unread this is a reset, else a FIN and a reset for what comes behind it.
        socket.destroy();
      };
      timers.set(socket, setTimeout(close, isTrap ? JITTER_MS : IDLE_MS));
    });
  });
  return Object.assign(state, { url });
}

/** Resolves at that time to a tenth of a millisecond or so; a timer alone knows whole ones. */
async function until(time: number): Promise<void> {
  const whole = Math.floor(time - performance.now()) - 1;
  if (whole > 0) await pause(whole);
  while (performance.now() < time) await turn();
}

function request(daemon: TestDaemon, name: string, method: string, id: string): string {
  const lines = [
    `${method} /serving-endpoints/${name}/invocations HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${daemon.queryToken}`,
    `X-Lab: ${id}`,
  ];
  return method === 'GET'
    ? `${lines.join('\r\n')}\r\n\r\n`
    : `${lines.join('\r\n')}\r\nContent-Length: 2\r\n\r\n{}`;
}

/** @throws Error when the daemon does not take them */
async function startLanes(t: Test, daemon: TestDaemon, replaySafe: boolean): Promise<Replica[]> {
  const replicas = await Promise.all(Array.from({ length: LANES }, () => startClosingReplica(t)));
  const names = replicas.map((_, lane) => `lane${String(lane)}`);
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: replicas.map(({ url }, lane) => ({
      name: names[lane],
      protocol: 'raw',
      serves: [{ entity_name: `lab.ml.lane${String(lane)}`, entity_version: '1' }],
      replicas: [{ url }],
      health: { type: 'tcp', interval_ms: 60_000 },
      replay_safe: replaySafe,
    })),
    endpoints: names.map((name) => endpointOf(name, { [name]: 100 })),
  });
  if (applied.status !== 200) throw new Error(applied.text);
  for (const name of names) await daemon.settled(name);
  return replicas;
}

for (const kind of KINDS) {
  t.test(`idle close: ${kind.title}`, async (t) => {
    const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
    const replicas = await startLanes(t, daemon, kind.replaySafe);
    const statuses = new Map<number, number>();
    const wrong: string[] = [];
    let left = TRIALS;

    async function trial(client: WireClient, replica: Replica, lane: number, count: number) {
      const id = `${String(lane)}-${String(count)}`;
      const answer = await client
        .send(request(daemon, `lane${String(lane)}`, kind.method, id))
        .answer(kind.method);
      const delivered = replica.deliveries.get(id) ?? 0;
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      if (answer.status === 200 && answer.body.toString() !== id)
        wrong.push(`${id}: not its answer`);
      if (answer.status === 200 && delivered !== 1)
        wrong.push(`${id}: 200, ${String(delivered)} times`);
      if (delivered > 1) wrong.push(`${id}: delivered ${String(delivered)} times`);
    }

    async function run(replica: Replica, lane: number): Promise<void> {
      const client = new WireClient(t, daemon.dataPort);
      // The first one opens the connection.
      for (let count = 0; left > 0; count += 1) {
        const isTrap = count % EIGHTH === EIGHTH - 1;
        replica.trap = isTrap;
        await trial(client, replica, lane, count);
        left -= 1;
        const answeredAt = performance.now();
        // Swept, not drawn: every tenth of a millisecond has its turn, in each lane at another time.
        const sweep = ((count * 37 + lane * 17) % (20 * JITTER_MS)) / 10 - JITTER_MS;
        await until(answeredAt + (isTrap ? 1 : IDLE_MS + sweep));
      }
      client.socket.destroy();
    }

    await Promise.all(replicas.map(run));
    const most = Math.max(...replicas.flatMap(({ deliveries }) => [...deliveries.values()]));
    t.equal(most, 1, 'nothing was delivered again later');
    t.same(
      wrong.slice(0, 5),
      [],
      'each request is delivered at most once, and answered its own answer',
    );
    const connections = replicas.reduce((sum, one) => sum + one.connections, 0);
    t.comment(`${JSON.stringify([...statuses])}; ${String(connections)} connections`);
    t.ok(connections > LANES * 2, 'connections were closed');
    if (kind.method === 'GET' || kind.replaySafe) {
      t.same([...statuses.keys()], [200], 'no client noticed');
    } else {
      t.same([...statuses.keys()].sort(), [200, 502], 'the answer, or one 502 that was provoked');
    }
  });
}
