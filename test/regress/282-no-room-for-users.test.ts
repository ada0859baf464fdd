/**
 * Where there were as many principals as there may be, a good token of an issuer that makes users was 503 on the data port,
 * which is right, and 401 on the admin port, which tells the client to throw its token away.
 */
import path from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { PRINCIPALS_MAX } from '../../src/auth/identity-book.js';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

t.test('it is the server that has no room', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const flags = { ...issuer.flags, 'data-plane-workers': '1' };
  const first = await startDaemon(t, { flags });
  await configure(t, first, { a: 100 });
  await first.stop();
  const db = new Database(path.join(first.stateDir, 'pointsman.db'));
  db.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO principals (kind, name, json) SELECT 'user', 'user-' || i, '{}' FROM n`,
  ).run(PRINCIPALS_MAX);
  db.close();

  const daemon = await startDaemon(t, { flags, stateDir: first.stateDir });
  const headers = { authorization: `Bearer ${issuer.token('mia')}` };
  const body = { error_code: 'TEMPORARILY_UNAVAILABLE' };
  const data = await daemon.invoke(PATH, { inputs: [1] }, headers);
  t.match(data, { status: 503, body });
  const me = await fetch(`${daemon.adminUrl}/api/2.0/preview/scim/v2/Me`, { headers });
  t.equal(me.status, 503);
  t.match(await me.json(), { ...body, message: /100000 principals, which is the limit/ });
  for (const answer of [data, me]) t.match(answer.headers.get('retry-after'), /^[1-9]\d*$/);
  // Who is known already, or may never be, is judged as ever.
  const statusOf = async (name: string): Promise<number> => {
    const authorization = `Bearer ${issuer.token(name)}`;
    const url = `${daemon.adminUrl}/api/2.0/preview/scim/v2/Me`;
    const answer = await fetch(url, { headers: { authorization } });
    await answer.body?.cancel();
    return answer.status;
  };
  t.equal(await statusOf('user-7'), 200);
  t.equal(await statusOf('pointsman'), 401);
});
