/** The JS door answered 404 to a chunked request whose end had not come: what is not complete has no answer but 400. */
import t from 'tap';
import { GUARDED_MODES, startInMode } from '../daemon/data-modes.js';
import { post, WireClient } from '../daemon/wire.js';

for (const mode of GUARDED_MODES) {
  t.test(mode, async (t) => {
    const daemon = await startInMode(t, mode, {});
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n';
    const client = new WireClient(t, daemon.dataPort).send(head);
    // Another connection's request is answered meanwhile, so an answer would have come.
    await new WireClient(t, daemon.dataPort).send(post(daemon, '/', '')).answer();
    t.equal(client.received, '');
    t.equal((await client.send('XX').answer()).status, 400);
    await client.closed;

    const whole = new WireClient(t, daemon.dataPort).send(`${head}0\r\n\r\n`);
    t.equal((await whole.answer()).status, 404);
    t.equal((await whole.send(`${head}0\r\n\r\n`).answer()).status, 404, 'on the same connection');
  });
}
