/** The admin port answered every 401 with the bare challenge, and a limited token's 403 with none, unlike the data port. */
import t from 'tap';
import type { Caller } from '../../src/auth/authenticator.js';
import { startAdmin, QUERY_TOKEN } from '../unit/admin/harness.js';

const PATH = '/api/2.0/serving-endpoints';
const BARE = 'Bearer realm="pointsman"';

t.test('the challenge says what is wrong with the token', async (t) => {
  const verifyBearer = (token: string): Promise<Caller | null> => {
    const principal = token === 'limited.signed.token' ? admin.identities.principal('1') : null;
    return Promise.resolve(principal === null ? null : { principal, limitedTo: ['id'] });
  };
  const admin = await startAdmin(t, {}, { verifyBearer });
  const ask = async (headers: Record<string, string>): Promise<[number, string | null]> => {
    const answer = await fetch(admin.url + PATH, { headers });
    await answer.arrayBuffer();
    return [answer.status, answer.headers.get('www-authenticate')];
  };
  const bearer = (token: string) => ask({ authorization: `Bearer ${token}` });
  t.strictSame(await ask({}), [401, BARE]);
  t.strictSame(await bearer('wrong'), [401, `${BARE}, error="invalid_token"`]);
  t.strictSame(await bearer('a.b.c'), [401, `${BARE}, error="invalid_token"`]);
  t.strictSame(await bearer('limited.signed.token'), [403, `${BARE}, error="insufficient_scope"`]);
  t.strictSame(await bearer(QUERY_TOKEN), [403, null], 'no scope would help');
});
