/**
 * A takeover that failed when some of a worker's listening sockets had come kept those for ever: nobody accepted from them,
 * and the kernel went on giving them new connections.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { pino } from 'pino';
import t from 'tap';
import { unixSocketPath, type ControlChannel } from '../../../src/control/control-socket.js';
import { loadAddon } from '../../../src/native/addon.js';
import { Orphans } from '../../../src/supervisor/orphans.js';
import { isAlive, startTimeOf, writeWorkerFile } from '../../../src/supervisor/worker-file.js';
import { temporaryDirectory } from '../../daemon/harness.js';

const addon = loadAddon();
const HOST = '127.0.0.1';

t.test('what has come is closed', async (t) => {
  const stateDir = temporaryDirectory(t);
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  const socket = addon.listenTcp(HOST, 0, 16, true);
  const port = addon.portOf(socket);
  const listeners = [
    { host: HOST, port },
    { host: HOST, port },
  ];
  const record = { pid, startTime: startTimeOf(pid) ?? 0, listeners };
  writeWorkerFile(stateDir, [record]);
  let batches = 0;
  const orphans = new Orphans({
    addon: {
      ...addon,
      receiveDescriptors(listener) {
        batches += 1;
        if (batches > 1) throw new Error('accept4: EMFILE');
        return addon.receiveDescriptors(listener);
      },
    },
    stateDir,
    drainTimeoutMs: 1_000,
    logger: pino({ level: 'silent' }),
  });
  const worker = {
    send({ lendSockets }) {
      if (lendSockets === undefined) return;
      addon.sendDescriptors(unixSocketPath(lendSockets.socketPath), [socket]);
      addon.closeDescriptor(socket);
    },
  } as Pick<ControlChannel, 'send'> as ControlChannel;
  orphans.greet({ slot: 0, pid, blockId: 1, activeRevision: 1 }, worker);
  t.same(await orphans.takeSockets(), []);
  t.equal(batches, 2);
  t.notOk(isAlive(record), 'whose sockets are lost is no use');
  const client = connect(port, HOST);
  t.teardown(() => client.destroy());
  await t.rejects(once(client, 'connect'), { code: 'ECONNREFUSED' }, 'nobody listens any more');
});
