/**
 * Calls that a worker brings to the supervisor had 32 places for whoever came first: one client without a credential could
 * take all those for tokens, or by the public documents all those for reads.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { jsonOf, WireClient } from '../daemon/wire.js';

const SHARE = 8;
const PLACES = 32;
const FORM = 'grant_type=client_credentials';
const TOKEN =
  'POST /oidc/v1/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n' +
  `Content-Length: ${String(FORM.length)}\r\n\r\n${FORM}`;
const KEYS = 'GET /oidc/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n';

t.test('a client has its share, and documents take no place of reads', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const me =
    'GET /api/2.0/preview/scim/v2/Me HTTP/1.1\r\nHost: a\r\n' +
    `Authorization: Bearer ${daemon.adminToken}\r\n\r\n`;
  const send = (bytes: string, from: string) =>
    new WireClient(t, daemon.dataPort, from).send(bytes);
  /** Takes what there is; resolves when the next one is refused. */
  const exhaust = async (bytes: string, froms: readonly string[]): Promise<WireClient[]> => {
    const waiting = froms.flatMap((from) => Array.from({ length: SHARE }, () => send(bytes, from)));
    const refused = await send(bytes, froms[0] ?? '').answer();
    t.equal(refused.status, 429);
    t.match(refused.head, /^retry-after: 1\r$/im);
    const code = bytes === TOKEN ? 'error' : 'error_code';
    t.hasProps(jsonOf(refused), [code]);
    return waiting;
  };
  daemon.process.kill('SIGSTOP');
  t.teardown(() => daemon.process.kill('SIGCONT'));
  const greedy = await exhaust(TOKEN, ['127.0.0.2']);
  const others = Array.from({ length: PLACES / SHARE }, (_none, at) => `127.0.0.${String(at + 2)}`);
  const readers = await exhaust(KEYS, others);
  const crowdedOut = await send(KEYS, '127.0.0.9').answer();
  t.equal(crowdedOut.status, 429, 'beyond all places, whoever it is');

  const token = send(TOKEN, '127.0.0.9');
  const read = send(me, '127.0.0.9');
  daemon.process.kill('SIGCONT');
  t.equal((await token.answer()).status, 401);
  t.equal((await read.answer()).status, 200);
  for (const client of greedy) t.equal((await client.answer()).status, 401);
  for (const client of readers) t.equal((await client.answer()).status, 200);
  t.equal((await send(TOKEN, '127.0.0.2').answer()).status, 401, 'and has it again');
});
