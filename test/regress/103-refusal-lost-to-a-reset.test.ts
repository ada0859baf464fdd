/** A client that was still sending when it was refused got a reset after 256 KiB more, and lost the refusal. */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { GUARDED_MODES, pathOf, startInMode } from '../daemon/data-modes.js';
import { startNamedReplica } from '../daemon/harness.js';
import { WireClient } from '../daemon/wire.js';

/** Half of the time that a refused connection stays. */
const SENDING_MS = 1_000;

for (const mode of GUARDED_MODES) {
  t.test(mode, async (t) => {
    const replica = await startNamedReplica(t, 's');
    const flags = { 'data-plane-max-request-bytes': '100000' };
    const daemon = await startInMode(t, mode, { s: replica }, flags);
    const client = new WireClient(t, daemon.dataPort);
    const { socket } = client;
    socket.pause();
    const head = [
      `POST ${pathOf('s')} HTTP/1.1\r\nHost: a`,
      `Authorization: Bearer ${daemon.queryToken}`,
      'Transfer-Encoding: chunked\r\n\r\n',
    ];
    client.send(head.join('\r\n') + `10000\r\n${'x'.repeat(0x10000)}\r\n`.repeat(256));
    // It goes on sending until nothing is taken any more, and only then reads.
    await Promise.race([client.closed, pause(SENDING_MS)]);
    socket.resume();
    t.equal((await client.answer()).status, 413);
  });
}
