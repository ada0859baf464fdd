/**
 * Calls that a worker brings to the supervisor had places in common: readers, whom nobody asks for a credential before the
 * supervisor does, took them from clients that want a token.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';
import { jsonOf, WireClient } from '../daemon/wire.js';

const PLACES = 32;
/** Of one address. */
const SHARE = 8;
const KEYS = 'GET /oidc/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n';
const FORM = 'grant_type=client_credentials';
const TOKEN =
  'POST /oidc/v1/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n' +
  `Content-Length: ${String(FORM.length)}\r\n\r\n${FORM}`;

t.test('places of their own, and none for who brings nothing', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const send = (bytes: string, from = '127.0.0.1') =>
    new WireClient(t, daemon.dataPort, from).send(bytes);
  daemon.process.kill('SIGSTOP');
  t.teardown(() => daemon.process.kill('SIGCONT'));
  const waiting = Array.from({ length: PLACES }, (_none, index) =>
    send(KEYS, `127.0.0.${String(2 + Math.floor(index / SHARE))}`),
  );
  // Those before have their places when this one has none.
  let full = await send(KEYS).answer('GET');
  while (full.status !== 429) full = await send(KEYS).answer('GET');
  t.match(jsonOf(full), { error_code: 'REQUEST_LIMIT_EXCEEDED' });
  const token = send(TOKEN);
  for (const path of ['/api/2.0/serving-endpoints', '/api/2.0/preview/scim/v2/Me']) {
    const answer = await send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).answer('GET');
    t.equal(answer.status, 401, path);
  }
  daemon.process.kill('SIGCONT');
  t.equal((await token.answer()).status, 401);
  for (const client of waiting) t.equal((await client.answer('GET')).status, 200);
});
