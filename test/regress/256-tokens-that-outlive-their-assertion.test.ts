/** A token that was given for an assertion lived on behind its end: whoever exchanged it in its last second had one more life. */
import t from 'tap';
import { CLIENT_1, createServiceKit, permissionOn } from '../unit/auth/service-kit.js';

const FORM = {
  grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
  authorization_details: permissionOn('m1', 'query_inference_endpoint'),
};
const LIFE_S = 3_600;
const LEFT_S = 10;

t.test('it ends with the assertion, and says so', async (t) => {
  const { ask, verify, clock } = await createServiceKit(t);
  const first = await ask({ grant_type: 'client_credentials' }, CLIENT_1);
  t.equal(first.body['expires_in'], LIFE_S);
  const assertion = String(first.body['access_token']);
  const { exp } = await verify(assertion);
  clock.advance((LIFE_S - LEFT_S) * 1_000);
  const exchanged = await ask({ ...FORM, assertion });
  t.match(exchanged, { status: 200, body: { expires_in: LEFT_S } });
  t.equal((await verify(exchanged.body['access_token'])).exp, exp);
  clock.advance(LEFT_S * 1_000);
  t.match(await ask({ ...FORM, assertion }), { status: 400, body: { error: 'invalid_grant' } });
});
