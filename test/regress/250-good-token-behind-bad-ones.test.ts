/**
 * The throttle of bad credentials was asked before signed tokens were looked at: twenty bad ones of one address shut out
 * the good tokens of everybody behind it.
 */
import t from 'tap';
import { call, startAdmin } from '../unit/admin/harness.js';

const PATH = '/api/2.0/preview/scim/v2/Me';
const GOOD = 'good.signed.token';
const BAD_MAX = 30;

t.test('a good signed token passes while bad ones are throttled', async (t) => {
  const admin = await startAdmin(
    t,
    {},
    {
      verifyBearer: (token) => {
        const principal = token === GOOD ? admin.identities.principal('1') : null;
        return Promise.resolve(principal === null ? null : { principal, limitedTo: null });
      },
    },
  );
  const statusOf = async (token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await call(admin, 'GET', PATH, { headers })).status;
  };
  let sent = 0;
  while ((await statusOf(`bad.signed.${String(sent)}`)) !== 429 && sent < BAD_MAX) sent += 1;
  t.ok(sent < BAD_MAX, 'bad ones are throttled');
  t.equal(await statusOf(GOOD), 200);
  const again = [await statusOf('bad.signed.again'), await statusOf('bad.signed.once-more')];
  // The first one may come just when the budget lets one through, which costs it for seconds.
  t.ok(again.includes(429), 'bad ones still are');
});
