/** More options in Connection than are looked at are the client's fault, also where JS would have answered: it was a 500. */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { flagsOf, GUARDED_MODES } from '../daemon/data-modes.js';
import { jsonOf, WireClient } from '../daemon/wire.js';

const OPTIONS = Array.from({ length: 33 }, (_, at) => `a${String(at)}`).join(',');

for (const mode of GUARDED_MODES) {
  t.test(mode, async (t) => {
    const daemon = await startDaemon(t, { flags: flagsOf(mode) });
    const answer = await new WireClient(t, daemon.dataPort)
      .send(`GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: ${OPTIONS}\r\n\r\n`)
      .answer('GET');
    t.equal(answer.status, 400);
    t.match(jsonOf(answer), { error_code: 'INVALID_PARAMETER_VALUE' });
    for (const field of [
      'Expect: foo',
      'Transfer-Encoding: gzip',
      'Transfer-Encoding: x, chunked',
    ]) {
      const refused = await new WireClient(t, daemon.dataPort)
        .send(`POST /serving-endpoints/a/invocations HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`)
        .answer();
      t.type(jsonOf(refused)['message'], 'string', field);
    }
  });
}
