/** 100 streams of events at once: each event is relayed when it is sent, and a client that leaves ends its own stream only. */
import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { deploymentsOf, endpointOf, startDaemon, startReplica } from './harness.js';
import { until } from './live.js';
import { quantile } from './process-stats.js';
import { post, WireClient } from './wire.js';

const STREAMS = 100;
const EVENTS = 50;
const EVENT_MS = 100;
const DELAY_MS_MAX = 100;
const LEAVERS = 10;
const INVOKE = '/serving-endpoints/s/invocations';

t.test(`${String(STREAMS)} streams`, async (t) => {
  const open = new Map<string, ServerResponse>();
  const left: string[] = [];
  const replica = await startReplica(t, (request, response) => {
    const id = String(request.headers['x-lab']);
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: begin\n\n');
    open.set(id, response);
    response.once('close', () => {
      if (!response.writableFinished) left.push(id);
    });
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  const delays: number[] = [];
  const broken: string[] = [];

  /** Resolves with the events that came. */
  async function listen(client: WireClient, id: string): Promise<number> {
    let events = 0;
    for (;;) {
      const event = await client.takeThrough('\n\n');
      if (event === null) break;
      const sent = /data: (\S+) (\S+)\n\n$/.exec(event);
      if (sent === null) continue;
      if (sent[1] === 'end') {
        await client.takeThrough('0\r\n\r\n');
        return events;
      }
      if (sent[1] !== id) broken.push(`${id} got an event of ${String(sent[1])}`);
      delays.push(performance.now() - Number(sent[2]));
      events += 1;
    }
    return -1;
  }

  const ids = Array.from({ length: STREAMS }, (_, number) => `s${String(number)}`);
  const clients = ids.map((id) =>
    new WireClient(t, daemon.dataPort).send(post(daemon, INVOKE, '{}', [`X-Lab: ${id}`])),
  );
  const listening = clients.map((client, number) => listen(client, ids[number] ?? ''));
  await until(() => open.size === STREAMS);
  for (let event = 0; event < EVENTS; event += 1) {
    if (event === EVENTS / 2)
      for (const client of clients.slice(0, LEAVERS)) client.socket.destroy();
    for (const [id, response] of open) {
      if (!response.destroyed) response.write(`data: ${id} ${String(performance.now())}\n\n`);
    }
    await pause(EVENT_MS);
  }
  t.same(left.sort(), ids.slice(0, LEAVERS).sort(), 'those who left ended theirs, and no other');
  for (const [id, response] of open) if (!left.includes(id)) response.end('data: end end\n\n');
  const events = await Promise.all(listening);
  t.same(broken, []);
  t.same(
    new Set(events.slice(LEAVERS)),
    new Set([EVENTS]),
    'the others got every event and the end',
  );
  t.same(new Set(events.slice(0, LEAVERS)), new Set([-1]));
  const [half, most] = [quantile(delays, 0.5), Math.max(...delays)];
  t.comment(`delay of an event: ${half.toFixed(2)} ms (median), ${most.toFixed(1)} ms at most`);
  t.ok(most <= DELAY_MS_MAX, `${most.toFixed(1)} ms at most`);
});
