/**
 * A token whose `sub` escaped half of a surrogate pair made a user of that name where an issuer's users are made at their
 * first token. No UTF-8 spells it: the supervisor, or every worker again and again, ended decoding what the other sent.
 */
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH, workersOf } from '../daemon/live.js';

const ME = '/api/2.0/preview/scim/v2/Me';

t.test('names that are not well-formed', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true, groups_claim: 'groups' });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ group_name: 'users', permission_level: 'CAN_QUERY' }],
  });
  const worker = await daemon.workerPid();
  const statuses = async (token: string): Promise<number[]> => {
    const headers = { authorization: `Bearer ${token}` };
    const answers = [
      await daemon.invoke(PATH, { inputs: [1] }, headers),
      await fetch(`${daemon.dataUrl}${ME}`, { headers }),
      await fetch(`${daemon.adminUrl}${ME}`, { headers }),
    ];
    return answers.map(({ status }) => status);
  };
  for (const name of ['\ud800z', 'z\udfff', '\udc00\ud800']) {
    t.same(await statuses(issuer.token(name)), [401, 401, 401], 'as a name');
    const groups = issuer.token('mia', { groups: [name] });
    t.same(await statuses(groups), [401, 401, 401], 'as a group');
    t.same(await statuses(issuer.token('mia', { jti: name })), [401, 401, 401], 'anywhere');
  }
  const spaces = [' mia', 'mia ', 'm'.repeat(256)];
  for (const name of spaces) t.same(await statuses(issuer.token(name)), [401, 401, 401], name);
  t.same(await statuses(issuer.token('mia')), [200, 200, 200]);
  t.same(await statuses(issuer.token('m\ud83d\ude00')), [200, 200, 200], 'a whole pair');
  const body = '{"userName":"\\ud800z"}';
  const made = await daemon.admin('POST', '/api/2.0/preview/scim/v2/Users', body);
  t.match(made.body, { message: 'userName: must be well-formed Unicode' });
  t.equal(await daemon.workerPid(), worker);
  t.match(await workersOf(daemon), [{ restarts: 0 }]);
});
