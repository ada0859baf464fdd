/**
 * Where an issuer makes users, whoever was deleted was made again by the next call with the same token.
 */
import path from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { DELETED_NAMES_MAX } from '../../src/store/identity-tables.js';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon, type TestDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';
import { createKit, temporaryDirectory } from '../unit/auth/kit.js';

const SCIM = '/api/2.0/preview/scim/v2';
const NAME = 'Mia@example.org';

interface Resources {
  readonly Resources: readonly { readonly id: string }[];
}

/** Of the data port, then of the admin port. */
async function statusesOf(daemon: TestDaemon, token: string): Promise<number[]> {
  const headers = { authorization: `Bearer ${token}` };
  const data = await daemon.invoke(PATH, { inputs: [1] }, headers);
  return [data.status, (await daemon.admin('GET', `${SCIM}/Me`, undefined, headers)).status];
}

async function idsOf(daemon: TestDaemon, plural: string, filter: string): Promise<string[]> {
  const query = new URLSearchParams({ filter });
  const { body } = await daemon.admin('GET', `${SCIM}/${plural}?${query.toString()}`);
  return (body as Resources).Resources.map(({ id }) => id);
}

t.test('who is deleted stays so, whatever tokens there were', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const flags = { ...issuer.flags, 'data-plane-workers': '2' };
  const first = await startDaemon(t, { flags });
  await configure(t, first, { a: 100 });
  const token = issuer.token(NAME);
  t.strictSame(await statusesOf(first, token), [403, 200], 'made by its token');
  const [id = ''] = await idsOf(first, 'Users', `userName eq "${NAME}"`);
  const machine = await first.admin('POST', `${SCIM}/ServicePrincipals`, {});
  const { applicationId, id: machineId } = machine.body as { applicationId: string; id: string };
  await first.admin('DELETE', `${SCIM}/Users/${id}`);
  await first.admin('DELETE', `${SCIM}/ServicePrincipals/${machineId}`);

  const early = issuer.token(NAME, { iat: 1 });
  const others = [early, issuer.token(NAME.toLowerCase()), issuer.token(applicationId)];
  const refuses = async (daemon: TestDaemon): Promise<void> => {
    for (const one of [token, ...others]) {
      t.strictSame(await statusesOf(daemon, one), [401, 401]);
    }
    t.strictSame(await idsOf(daemon, 'Users', `userName eq "${NAME}"`), []);
    t.strictSame(await idsOf(daemon, 'Users', `userName eq "${applicationId}"`), []);
  };
  await refuses(first);
  await first.stop();

  const second = await startDaemon(t, { flags, stateDir: first.stateDir });
  await refuses(second);
  const made = await second.admin('POST', `${SCIM}/Users`, { userName: NAME });
  t.equal(made.status, 200, 'an admin may make it again');
  t.strictSame(await statusesOf(second, token), [403, 200]);
  await second.admin('DELETE', `${SCIM}/Users/${(made.body as { id: string }).id}`);
  t.strictSame(await statusesOf(second, token), [401, 401]);
  await second.stop();

  const db = new Database(path.join(first.stateDir, 'pointsman.db'));
  db.exec('UPDATE deleted_names SET deleted_at = deleted_at - 60000');
  db.close();
  const third = await startDaemon(t, { flags, stateDir: first.stateDir });
  t.strictSame(await statusesOf(third, early), [401, 401]);
  t.strictSame(await statusesOf(third, issuer.token(NAME)), [403, 200], 'so may its issuer, later');
});

t.test('as many deletions are remembered as there may be', (t) => {
  const dir = temporaryDirectory(t);
  const { store } = createKit(t, dir);
  store.identities.delete(0, { name: 'first', deletedAtMs: 1 });
  store.identities.delete(0, { name: 'second', deletedAtMs: 1 });
  const db = new Database(path.join(dir, 'pointsman.db'));
  db.prepare(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO deleted_names (name, deleted_at) SELECT 'user-' || i, 1 FROM n`,
  ).run(DELETED_NAMES_MAX - 2);
  db.close();
  store.identities.delete(0, { name: 'second', deletedAtMs: 2 });
  t.equal(store.identities.deletedNames().length, DELETED_NAMES_MAX - 1);
  const kit = createKit(t, dir);
  for (const name of ['second', 'SECOND', 'user-1']) t.notOk(kit.book.mayBeMade(name, 0), name);
  t.ok(kit.book.mayBeMade('first', 0));
  t.end();
});
