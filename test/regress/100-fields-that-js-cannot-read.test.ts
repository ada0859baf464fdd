/**
 * A field name with another byte than a letter, a digit or a hyphen made uWebSockets.js wait for ever, `/healthz` included; and it
 * took bytes above ASCII off the ends of values. Behind the front it is given neither.
 */
import t from 'tap';
import { GUARDED_MODES, pathOf, startInMode, startRecordingReplica } from '../daemon/data-modes.js';
import { ok, post, valuesOf, WireClient } from '../daemon/wire.js';

for (const mode of GUARDED_MODES) {
  t.test(mode, async (t) => {
    const replica = await startRecordingReplica(t, (_request, socket) => {
      socket.write(ok('{}'));
    });
    const daemon = await startInMode(t, mode, { s: replica });
    const ask = async (path: string): Promise<number> => {
      const fields = [
        'X_A: 1',
        'X.B: 2',
        'X-C: caf\xc3\xa9',
        'X-Pointsman-Fields: 582d443a20310d0a',
      ];
      const bytes = post(daemon, path, '{}', fields);
      return (await new WireClient(t, daemon.dataPort).send(bytes).answer()).status;
    };
    t.equal(await ask('/healthz'), 405);
    t.equal(await ask(pathOf('s')), 200);
    const [seen] = replica.requests;
    if (seen === undefined) throw new Error('nothing reached the replica');
    t.same(valuesOf(seen, 'x.b'), ['2']);
    t.same(valuesOf(seen, 'x-c'), ['caf\xc3\xa9']);
    t.same(valuesOf(seen, 'x_a'), [], 'no underscore gets through');
    t.same(valuesOf(seen, 'x-d'), [], 'a client cannot speak for the front');
  });
}
