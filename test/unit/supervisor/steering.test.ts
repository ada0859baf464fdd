/** New connections meet only the sockets of slots that serve. */
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import t, { type Test } from 'tap';
import { loadAddon } from '../../../src/native/addon.js';
import { openListeners } from '../../../src/supervisor/listeners.js';
import { Steering } from '../../../src/supervisor/steering.js';

const SLOTS = 3;
const CONNECTIONS = 60;

async function open(t: Test) {
  const addon = loadAddon();
  const listeners = await openListeners(addon, [{ host: '127.0.0.1', port: 0 }], SLOTS);
  const [{ port } = { port: 0 }] = listeners.addresses;
  const accepted: number[] = [];
  const servers: Server[] = [];
  for (const [slot, [socket]] of listeners.socketsBySlot.entries()) {
    accepted.push(0);
    const server = createServer((client) => {
      accepted[slot] = (accepted[slot] ?? 0) + 1;
      client.end();
    });
    server.listen({ fd: socket?.descriptor ?? -1 });
    await once(server, 'listening');
    servers.push(server);
  }
  t.teardown(() => {
    for (const server of servers) server.close();
  });
  const connectAll = async (): Promise<number[]> => {
    accepted.fill(0);
    for (let count = 0; count < CONNECTIONS; count += 1) {
      const client = connect(port, '127.0.0.1').resume();
      await once(client, 'close');
    }
    return [...accepted];
  };
  return { addon, listeners, connectAll, steering: new Steering(addon, listeners) };
}

t.test('the sockets of slots that do not serve get no connections', async (t) => {
  const { connectAll, steering } = await open(t);
  steering.follow([true, false, true]);
  t.ok(
    (await connectAll()).every((count) => count > 0),
    'at the start the kernel shares out',
  );
  steering.begin();
  for (const serving of [
    [true, false, true],
    [false, false, true],
    [true, true, false],
    [true, true, true],
    [false, true, false],
  ]) {
    steering.follow(serving);
    const got = await connectAll();
    t.same(
      got.map((count) => count > 0),
      serving,
      `${JSON.stringify(serving)}: ${JSON.stringify(got)}`,
    );
  }
  steering.follow([false, false, false]);
  t.ok(
    (await connectAll()).every((count) => count > 0),
    'where none serves they wait with all',
  );
});

t.test('who takes the sockets over steers past none of them', async (t) => {
  const { addon, listeners, connectAll, steering } = await open(t);
  steering.begin();
  steering.follow([true, false, true]);
  const received = listeners.socketsBySlot.flat();
  const second = await openListeners(addon, [...listeners.addresses], SLOTS, received);
  t.same(second.ordered, [], 'the order of these is not known');
  t.ok((await connectAll()).every((count) => count > 0));
});
