import { connect } from 'node:net';
import { fstatSync } from 'node:fs';
import t from 'tap';
import { loadAddon } from '../../../src/native/addon.js';
import {
  checkListenable,
  openListeners,
  type BoundSocket,
} from '../../../src/supervisor/listeners.js';

const addon = loadAddon();
const HOST = '127.0.0.1';

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

function closeAll(sockets: readonly (readonly BoundSocket[])[]): void {
  for (const { descriptor } of sockets.flat()) addon.closeDescriptor(descriptor);
}

/** Sockets as an orphan sends them. */
function received(count: number): BoundSocket[] {
  const first = addon.listenTcp(HOST, 0, 16, true);
  const port = addon.portOf(first);
  const others = Array.from({ length: count - 1 }, () => addon.listenTcp(HOST, port, 16, true));
  return [first, ...others].map((descriptor) => ({ address: { host: HOST, port }, descriptor }));
}

t.test('one socket per slot on the same port', async (t) => {
  const opened = await openListeners(addon, [{ host: 'localhost', port: 0 }], 3);
  t.teardown(() => {
    closeAll(opened.socketsBySlot);
  });
  const [address] = opened.addresses;
  t.equal(address?.host, 'localhost');
  const ports = opened.socketsBySlot.map(([socket]) => addon.portOf(socket?.descriptor ?? -1));
  t.same(ports, [address?.port, address?.port, address?.port]);
});

t.test(
  'a port that somebody listens on is refused, with or without SO_REUSEPORT there',
  async (t) => {
    const [taken] = received(1);
    const port = taken?.address.port ?? 0;
    t.teardown(() => {
      addon.closeDescriptor(taken?.descriptor ?? -1);
    });
    await t.rejects(openListeners(addon, [{ host: HOST, port }], 1), {
      message: new RegExp(
        `data_plane.listen: cannot listen on 127.0.0.1:${String(port)}: another process`,
      ),
    });
  },
);

t.test('received sockets are used first; more slots get new ones on the same port', async (t) => {
  const sockets = received(2);
  const port = sockets[0]?.address.port ?? 0;
  const opened = await openListeners(addon, [{ host: HOST, port }], 3, sockets);
  t.teardown(() => {
    closeAll(opened.socketsBySlot);
  });
  t.same(opened.addresses, [{ host: HOST, port }]);
  t.same(opened.socketsBySlot.slice(0, 2), [[sockets[0]], [sockets[1]]]);
  t.equal(addon.portOf(opened.socketsBySlot[2]?.[0]?.descriptor ?? -1), port);
});

t.test('sockets of a supervisor that was about to end answer again', async (t) => {
  const sockets = received(1);
  const [{ address, descriptor }] = sockets as [BoundSocket];
  t.ok(addon.answerConnects(descriptor, false));
  const client = connect(address.port, HOST);
  const connected = new Promise((resolve) => client.once('connect', resolve));
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.ok(client.connecting, 'nobody answers');
  const opened = await openListeners(addon, [address], 1, sockets);
  // At its second try, after a second.
  await connected;
  client.destroy();
  closeAll(opened.socketsBySlot);
});

t.test('surplus sockets go to slot 0: connections may wait in them', async (t) => {
  const sockets = received(3);
  const port = sockets[0]?.address.port ?? 0;
  const client = connect(port, HOST);
  await new Promise((resolve) => client.once('connect', resolve));
  const opened = await openListeners(addon, [{ host: HOST, port }], 2, sockets);
  t.same(opened.socketsBySlot, [[sockets[0], sockets[2]], [sockets[1]]]);
  t.notOk(client.destroyed);
  client.destroy();
  closeAll(opened.socketsBySlot);
});

t.test('sockets of addresses that are no longer wanted are closed', async (t) => {
  const unwanted = received(2);
  const wanted = received(1);
  const port = wanted[0]?.address.port ?? 0;
  const both = [...unwanted, ...wanted];
  const opened = await openListeners(addon, [{ host: HOST, port }], 1, both);
  t.same(opened.socketsBySlot, [wanted]);
  t.notOk(unwanted.some(({ descriptor }) => isOpen(descriptor)));
  closeAll(opened.socketsBySlot);
});

t.test(
  'port 0 takes over whatever port the host had, unless another address names it',
  async (t) => {
    const [named] = received(1);
    const [any] = received(1);
    if (named === undefined || any === undefined) throw new Error('no sockets');
    const wanted = [{ host: HOST, port: 0 }, named.address];
    const opened = await openListeners(addon, wanted, 1, [named, any]);
    t.same(opened.addresses, [any.address, named.address]);
    t.same(opened.socketsBySlot, [[any, named]]);
    closeAll(opened.socketsBySlot);
  },
);

t.test('what cannot be listened on is refused before sockets are received', async (t) => {
  const [held] = received(1);
  const [foreign] = received(1);
  if (held === undefined || foreign === undefined) throw new Error('no sockets');
  await checkListenable(addon, [held.address, { host: HOST, port: 0 }], [held.address]);
  await t.rejects(checkListenable(addon, [held.address, foreign.address], [held.address]), {
    message: /^data_plane\.listen\[1\]: cannot listen on /,
  });
  closeAll([[held, foreign]]);
});
