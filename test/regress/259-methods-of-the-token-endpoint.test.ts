/** GET of the token endpoint was 401 in the admin API's form on the admin port, and 405 in that of OAuth on the data port. */
import t from 'tap';
import { startAdmin } from '../unit/admin/harness.js';
import { createServiceKit, OWN_ISSUER } from '../unit/auth/service-kit.js';

const TOKEN = '/oidc/v1/token';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

t.test('other methods than POST are 405 in the form of OAuth', async (t) => {
  const { service: tokens, keys } = await createServiceKit(t);
  const baseUrl = (): string => 'http://127.0.0.1:1';
  const oidc = { issuer: OWN_ISSUER, baseUrl, workspaceId: '1', tokens, keys };
  const { url } = await startAdmin(t, { oidc });
  for (const [path, init] of [
    [TOKEN, {}],
    [`${TOKEN}/?a=b`, {}],
    [TOKEN, { method: 'PUT', headers: FORM, body: 'a=b' }],
    [TOKEN, { method: 'DELETE', headers: { authorization: 'Bearer wrong' } }],
  ] as const) {
    const answer = await fetch(url + path, init);
    t.equal(answer.status, 405);
    t.match(await answer.json(), { error: 'invalid_request', error_description: /POST/ });
    t.equal(answer.headers.get('allow'), 'POST');
    t.equal(answer.headers.get('cache-control'), 'no-store');
    t.equal(answer.headers.get('pragma'), 'no-cache');
  }
  t.equal((await fetch(`${url}${TOKEN}/more`)).status, 401, 'other paths are not concerned');
  t.equal((await fetch(`${url}${TOKEN}`, { method: 'HEAD' })).status, 405);
});
