/**
 * A good token of an issuer that makes users, whose name somebody had in other letter case, was 503 on the admin port for
 * ever, and the message told the other's name. On the data port it was 401.
 */
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

const SCIM = '/api/2.0/preview/scim/v2';

t.test('a name that is taken in other letters is nobody on both ports', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('POST', `${SCIM}/Users`, { userName: 'Mia@Example.org' });
  for (const [name, status] of Object.entries({ 'mia@example.org': 401, 'ben@example.org': 200 })) {
    const headers = { authorization: `Bearer ${issuer.token(name)}` };
    const me = await daemon.admin('GET', `${SCIM}/Me`, undefined, headers);
    t.equal(me.status, status, me.text);
    t.notMatch(me.text, /Mia/);
    const data = await daemon.invoke(PATH, { inputs: [1] }, headers);
    t.equal(data.status, status === 200 ? 403 : status, data.text);
  }
});
