/**
 * Behind the JS door a large answer without a length lost pieces in its middle: what went beyond the 16 KiB that
 * uWebSockets.js collects at once was dropped whenever the socket took nothing at that moment, and now and then the rest
 * fitted together to a whole, shorter answer. And a replica that failed behind such a head was our own 500.
 */
import t from 'tap';
import { pathOf, startInMode, type DataMode } from '../daemon/data-modes.js';
import { post, startWireReplica, valuesOf, WireClient } from '../daemon/wire.js';

const BEGIN = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n';
const SIZES = [100, 15_359, 16_384, 131_072, 600_001, 2_000_000, 8_388_608];
const CHUNKS = [8_000, 131_072, 10_000_000];

/** Every eight bytes say where they stand. */
function textOf(bytes: number): Buffer {
  const text = Array.from({ length: Math.ceil(bytes / 8) }, (_none, at) =>
    String(at).padStart(8, '0'),
  );
  return Buffer.from(text.join('')).subarray(0, bytes);
}

function chunked(body: Buffer, chunkBytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += chunkBytes) {
    const part = body.subarray(at, at + chunkBytes);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

for (const mode of ['native', 'guarded', 'js'] satisfies DataMode[]) {
  t.test(mode, async (t) => {
    const replica = await startWireReplica(t, ({ body }, socket) => {
      const wanted = JSON.parse(body.toString()) as Record<string, number | string>;
      const { bytes, chunk, fault, padding = 0 } = wanted;
      const head = `${BEGIN}x-padding: ${'p'.repeat(Number(padding))}\r\n`;
      if (fault !== undefined) {
        socket.write(`${head}transfer-encoding: chunked\r\n\r\n${String(fault)}`);
        setTimeout(() => socket.end('zz\r\n'), 100);
      } else if (chunk === 0) {
        socket.write(`${head}connection: close\r\n\r\n`);
        socket.end(textOf(Number(bytes)));
      } else {
        socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
        socket.write(chunked(textOf(Number(bytes)), Number(chunk)));
      }
    });
    const daemon = await startInMode(t, mode, { a: replica });
    const ask = (wanted: object): WireClient =>
      new WireClient(t, daemon.dataPort).send(
        post(daemon, pathOf('a'), JSON.stringify({ inputs: [1], ...wanted })),
      );

    for (const bytes of SIZES) {
      const whole = textOf(bytes);
      for (const chunk of [...CHUNKS, 0]) {
        const clients = Array.from({ length: 3 }, () => ask({ bytes, chunk }));
        const answers = await Promise.all(clients.map((client) => client.answer()));
        const exact = answers.map(({ body }) => body.equals(whole));
        t.same(exact, [true, true, true], `${String(bytes)} bytes in chunks of ${String(chunk)}`);
      }
    }

    for (const padding of [3_000, 7_000, 12_000, 40_000]) {
      for (const bytes of [100, 100_000, 2_000_000]) {
        const answer = await ask({ bytes, chunk: 131_072, padding }).answer();
        t.ok(answer.body.equals(textOf(bytes)), `behind a head of ${String(padding)} bytes`);
        t.equal(valuesOf(answer, 'x-padding')[0]?.length, padding);
      }
    }

    const slow = ask({ bytes: 8_388_608, chunk: 131_072 });
    slow.socket.pause();
    const reading = slow.answer();
    const sip = setInterval(() => {
      slow.socket.resume();
      setTimeout(() => slow.socket.pause(), 1);
    }, 5);
    const read = await reading;
    clearInterval(sip);
    t.ok(read.body.equals(textOf(8_388_608)), 'to a slow reader');

    if (mode === 'native') return;
    const failed = await ask({ fault: '' }).answer();
    t.equal(failed.status, 502, failed.head);
    t.same(valuesOf(failed, 'served-model-name'), ['a']);
    await t.rejects(ask({ fault: '4\r\nhalf\r\n' }).answer(), /broke off/);
  });
}
