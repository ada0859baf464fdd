/**
 * Names and comments could hold what a terminal acts on (C1 controls, line separators, in comments
 * of tokens escape sequences too) and what cannot be stored (halves of surrogate pairs), and the
 * commands printed it raw.
 */
import t from 'tap';
import { renderTable } from '../../src/cli/table.js';
import { call, startAdmin, startServer } from '../unit/admin/harness.js';
import { run } from '../unit/cli/harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const headers = { 'content-type': 'application/json' };
const BAD = ['a\u009b31mb', 'a\u2028b', 'a\u2029b', 'a\u001bb', 'a\nb', '\ud800', 'a\udc00b'];

t.test('names and comments that cannot be shown or stored are refused', async (t) => {
  const admin = await startAdmin(t);
  const refused = async (path: string, body: object, field: string): Promise<void> => {
    const answer = await call(admin, 'POST', path, { body: JSON.stringify(body), headers });
    t.equal(answer.status, 400, answer.text);
    t.match(answer.json['message'], new RegExp(`^${field}: must `), field);
  };
  for (const text of BAD) {
    await refused(`${SCIM}/Users`, { userName: text }, 'userName');
    await refused(`${SCIM}/Users`, { userName: 'mia', displayName: text }, 'displayName');
    await refused(`${SCIM}/Groups`, { displayName: text }, 'displayName');
    const onBehalf = { user_name: 'admin', comment: text };
    await refused('/api/2.0/token-management/on-behalf-of/tokens', onBehalf, 'comment');
  }
  const good = JSON.stringify({ userName: 'zoë 🦊' });
  t.equal((await call(admin, 'POST', `${SCIM}/Users`, { body: good, headers })).status, 200);
});

t.test('commands show escapes instead of sending them to the terminal', async (t) => {
  const cell = renderTable(['a', 'b'], [['x\u001b[2Jy\nz', 'next']]);
  t.equal(cell, 'a                   b\nx\\u001b[2Jy\\u000az  next');

  const evil = 'evil\u001b]0;title\u0007\u009b\u202e';
  const shown = 'evil\\u001b]0;title\\u0007\\u009b\\u202e';
  const { url } = await startServer(t, (request, response) => {
    const isList = request.url?.endsWith('/tokens') === true;
    const token = { token_id: 't', created_by_username: evil, comment: `a\n${evil}` };
    const list = { token_infos: [{ ...token, creation_time: 0, expiry_time: -1 }] };
    const error = { error_code: 'INTERNAL_ERROR', message: `${evil}\nline` };
    response.writeHead(isList ? 200 : 500).end(JSON.stringify(isList ? list : error));
  });
  const host = ['--host', url, '--token', 'x'];
  const table = await run(['token', 'list', ...host]);
  t.ok(table.out.includes(shown), table.out);
  t.notMatch(table.out, /[\u001b\u0007\u009b\u202e]/);
  t.equal(table.out.split('\n').length, 2);
  const json = await run(['token', 'list', '--json', ...host]);
  t.notMatch(json.out, /[\u001b\u0007\u009b\u202e]/);
  t.match(JSON.parse(json.out), { token_infos: [{ created_by_username: evil }] });
  const failed = await run(['status', ...host]);
  t.equal(failed.err, `pointsman: ${shown}\\u000aline (INTERNAL_ERROR)`);
});
