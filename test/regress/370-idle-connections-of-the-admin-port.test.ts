/** Connections that nobody used took the supervisor's descriptors until no worker could be respawned. */
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import t from 'tap';
import { ADMIN_CONNECTIONS_MAX } from '../../src/admin/connections.js';
import { startDaemon } from '../daemon/harness.js';
import { until } from '../daemon/live.js';

const MORE = 100;

t.test('the port keeps to its number, and is open to who comes', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const open = new Set<Socket>();
  const closed: string[] = [];
  t.teardown(() => {
    for (const socket of open) socket.destroy();
  });
  const connectTo = async (name: string): Promise<Socket> => {
    const socket = connect(Number(new URL(daemon.adminUrl).port), '127.0.0.1');
    socket.on('error', () => undefined).resume();
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      closed.push(name);
    });
    await once(socket, 'connect');
    return socket;
  };
  const isServed = async (name: string): Promise<void> => {
    const socket = await connectTo(name);
    socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 200 /, name);
  };
  for (let count = 0; count < ADMIN_CONNECTIONS_MAX + MORE; count += 1) {
    await isServed('kept alive');
  }
  await until(() => open.size <= ADMIN_CONNECTIONS_MAX);

  const refused =
    'POST /api/2.0/serving-endpoints HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n';
  const crowds = [
    { name: 'silent', bytes: '' },
    { name: 'refused', bytes: refused },
  ];
  for (const { name, bytes } of crowds) {
    for (let count = 0; count < ADMIN_CONNECTIONS_MAX + MORE; count += 1) {
      (await connectTo(name)).write(bytes);
    }
    await isServed(`beside the ${name}`);
    await until(() => closed.filter((one) => one === name).length >= MORE);
    await until(() => open.size <= ADMIN_CONNECTIONS_MAX);
  }
  for (const socket of open) socket.destroy();
  for (let count = 0; count < MORE; count += 1) await connectTo('late');
  await until(() => open.size === 0);
  t.pass('in time');
});

t.test('a client that is told 408 and never closes its side', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const port = Number(new URL(daemon.adminUrl).port);
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  socket.write('GET /healthz HTTP/1.1\r\n');
  const answer = String((await once(socket, 'data'))[0]);
  t.match(answer, /^HTTP\/1\.1 408 /);
  let problem = '';
  socket.once('error', ({ message }) => (problem = message));
  await until(async () => {
    socket.write('Host: 127.0.0.1\r\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
    return problem !== '';
  });
  t.match(problem, /ECONNRESET|EPIPE/, 'is cut off');
});
