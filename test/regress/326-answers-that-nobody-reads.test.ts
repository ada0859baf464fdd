/**
 * A call that a worker brought to the supervisor gave its place back when the supervisor had answered: answers of up to
 * 64 MiB for clients that read nothing were held in memory beside every limit.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import t from 'tap';
import { relaySocketPath } from '../../src/control/relay-socket.js';
import { RELAYED_CALLS_PER_ADDRESS_MAX } from '../../src/worker/relay-places.js';
import { startDaemon } from '../daemon/harness.js';
import { WireClient } from '../daemon/wire.js';

const BODY = Buffer.alloc(24 * 1024 * 1024, 'list');
const PATH = '/api/2.0/serving-endpoints';

for (const [mode, flags] of Object.entries({
  native: {},
  js: { 'data-plane-guard': 'off' },
} as Readonly<Record<string, Record<string, string>>>)) {
  await t.test(`a place is held until the client has its answer, ${mode}`, async (t) => {
    const daemon = await startDaemon(t, { flags: { ...flags, 'data-plane-workers': '1' } });
    const socketPath = relaySocketPath(daemon.stateDir);
    rmSync(socketPath);
    let sent = 0;
    let onSent: () => void = () => undefined;
    const supervisor = createServer((request, response) => {
      response.once('finish', () => {
        sent += 1;
        onSent();
      });
      response.end(request.url?.endsWith('?all') === true ? BODY : '{}');
    });
    await new Promise<void>((resolve) => supervisor.listen(socketPath, resolve));
    t.teardown(() => {
      supervisor.closeAllConnections();
      supervisor.close();
    });
    const ask = (query: string, more = '') =>
      new WireClient(t, daemon.dataPort).send(
        `GET ${PATH}${query} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n${more}\r\n`,
      );
    const deaf = Array.from({ length: RELAYED_CALLS_PER_ADDRESS_MAX }, (_none, index) => {
      const client = ask('?all', index === 0 ? 'Connection: close\r\n' : '');
      client.socket.pause();
      return client;
    });
    while (sent < deaf.length) await new Promise<void>((resolve) => (onSent = resolve));
    t.equal((await ask('').answer('GET')).status, 429);

    const [leaver, reader, ...others] = deaf;
    leaver?.socket.destroy();
    let status = 429;
    while (status === 429) ({ status } = await ask('').answer('GET'));
    t.equal(status, 200, 'who leaves gives it back');

    for (const client of [reader, ...others]) {
      client?.socket.resume();
      const answer = await client?.answer('GET');
      t.equal(answer?.status, 200);
      t.ok(answer?.body.equals(BODY), 'every byte in its place');
    }
    const again = await Promise.all(deaf.map(() => ask('').answer('GET')));
    t.ok(
      again.every(({ status }) => status === 200),
      'so does who has it all',
    );
    const last = ask('?all', 'Connection: close\r\n');
    t.ok((await last.answer('GET')).body.equals(BODY));
    await last.closed;
  });
}
