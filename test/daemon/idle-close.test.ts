/**
 * A replica that closes a kept connection just as it is used again: a few milliseconds before the request, with it,
 * or after it. What may be sent twice never fails; what may not is delivered once at most and answered 200 or 502.
 */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { endpointOf, startDaemon, type TestDaemon } from './harness.js';
import { ok, startWireReplica, WireClient } from './wire.js';

const CLIENTS = 20;
const ROUNDS = 25;
const IDLE_MS = 30;
const JITTER_MS = 5;

/** Ways to close. */
const CLOSINGS: readonly ((socket: Socket) => void)[] = [
  (socket) => socket.end(),
  (socket) => socket.destroy(),
  (socket) => socket.resetAndDestroy(),
];

interface Trial {
  readonly statuses: Map<number, number>;
  readonly delivered: Map<string, number>;
}

t.test('kept connections that close as they are used again', async (t) => {
  const delivered = new Map<string, number>();
  let close = CLOSINGS[0];
  const replica = await startWireReplica(t, (request, socket) => {
    const id = request.fields.find(([name]) => name === 'x-id')?.[1] ?? '';
    delivered.set(id, (delivered.get(id) ?? 0) + 1);
    if (socket.writableEnded) return;
    socket.write(ok('{}'));
    if (request.index > 0) return;
    const delayMs = IDLE_MS + (2 * Math.random() - 1) * JITTER_MS;
    setTimeout(() => close?.(socket), delayMs);
  });
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const names = ['careful', 'safe'];
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: names.map((name) => ({
      name,
      protocol: 'raw',
      serves: [{ entity_name: `lab.ml.${name}`, entity_version: '1' }],
      replicas: [{ url: replica.url }],
      replay_safe: name === 'safe',
    })),
    endpoints: names.map((name) => endpointOf(name, { [name]: 100 })),
  });
  for (const name of names) await daemon.settled(name);

  async function race(t: Test, method: string, name: string): Promise<Trial> {
    const statuses = new Map<number, number>();
    delivered.clear();
    const run = async (number: number): Promise<void> => {
      const client = new WireClient(t, daemon.dataPort);
      for (let round = 0; round < ROUNDS; round += 1) {
        const id = `${String(number)}-${String(round)}`;
        const answer = await client.send(request(daemon, method, name, id)).answer(method);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
      }
      client.socket.destroy();
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => run(number)));
    return { statuses, delivered: new Map(delivered) };
  }

  for (const closing of CLOSINGS) {
    close = closing;
    for (const [method, name] of [
      ['GET', 'careful'],
      ['POST', 'safe'],
    ] as const) {
      const { statuses } = await race(t, method, name);
      t.same([...statuses], [[200, CLIENTS * ROUNDS]], `${method} ${name}: none fails`);
    }
    const careful = await race(t, 'POST', 'careful');
    t.ok(
      [...careful.statuses.keys()].every((status) => status === 200 || status === 502),
      `POST careful: ${[...careful.statuses].join(' ')}`,
    );
    t.same(
      [...careful.delivered].filter(([, times]) => times > 1),
      [],
      'none is sent twice',
    );
  }
});

function request(daemon: TestDaemon, method: string, name: string, id: string): string {
  return (
    `${method} /serving-endpoints/${name}/invocations HTTP/1.1\r\nHost: a\r\nX-Id: ${id}\r\n` +
    `Authorization: Bearer ${daemon.queryToken}\r\nContent-Length: 0\r\n\r\n`
  );
}
