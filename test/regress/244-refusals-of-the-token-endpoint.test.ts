/**
 * Refusals of the token endpoint that came before it had another form than that of OAuth, or another status, or did not
 * name the limit.
 */
import t from 'tap';
import { startDaemon } from '../daemon/harness.js';

const TOKEN = '/oidc/v1/token';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const TOO_LARGE = `grant_type=client_credentials&x=${'y'.repeat(70_000)}`;

t.test('one form on both ports', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  for (const url of [daemon.adminUrl, daemon.dataUrl]) {
    let described = '';
    const ask = async (init: RequestInit): Promise<[number, string]> => {
      const answer = await fetch(url + TOKEN, init);
      const body = (await answer.json()) as { error: string; error_description: string };
      t.match(body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      described = body.error_description;
      return [answer.status, body.error];
    };
    const post = (body: string, headers: Record<string, string> = FORM) =>
      ask({ method: 'POST', headers, body });
    t.strictSame(await post(TOO_LARGE), [413, 'invalid_request']);
    t.equal(described, 'The body is larger than 65536 bytes');
    t.strictSame(await post('a=b', { 'content-type': '' }), [400, 'invalid_request']);
    t.strictSame(await post('a=b', { 'content-type': 'nonsense' }), [400, 'invalid_request']);
    t.strictSame(await post('grant_type=client_credentials'), [401, 'invalid_client']);
  }
  const get = await fetch(daemon.dataUrl + TOKEN);
  t.equal(get.status, 405);
  t.equal(get.headers.get('allow'), 'POST');
  t.match(await get.json(), { error: 'invalid_request' });
  await daemon.stop('SIGKILL');
  const body = new URLSearchParams({ grant_type: 'client_credentials' });
  const late = await fetch(daemon.dataUrl + TOKEN, { method: 'POST', body });
  t.equal(late.status, 503, 'workers outlive the supervisor');
  t.ok(late.headers.get('retry-after'));
  t.match(await late.json(), { error: 'temporarily_unavailable' });
});
