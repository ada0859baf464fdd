/**
 * A call was judged by its head alone: an access token that was deleted, or a user that was, before the body came still
 * made the change.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { EMPTY_PROFILE } from '../../src/auth/identity-book.js';
import { startAdmin, type Harness } from '../unit/admin/harness.js';

const PATH = '/api/2.0/serving-endpoints';
const BODY = JSON.stringify({ name: 'late' });

/** Sends the head of a change; resolves when it was judged: node asks for the body and begins the request at once. */
async function sendHead(t: Test, admin: Harness, token: string): Promise<Socket> {
  const socket = connect(Number(new URL(admin.url).port), '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.setEncoding('latin1');
  socket.write(
    `POST ${PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\n` +
      `content-length: ${String(BODY.length)}\r\nexpect: 100-continue\r\n\r\n`,
  );
  t.match(String(await once(socket, 'data')), /^HTTP\/1\.1 100 /);
  return socket;
}

async function sendBody(socket: Socket): Promise<string> {
  socket.write(BODY);
  return String(await once(socket, 'data')).split('\r\n', 1)[0] ?? '';
}

t.test('the right to change is held when the body is there', async (t) => {
  const admin = await startAdmin(t);
  const { book, credentials } = admin.identities;
  const profile = { ...EMPTY_PROFILE, entitlements: ['create-endpoints'] };
  const mia = book.create('user', { name: 'mia', profile });
  const makeToken = () =>
    credentials.create('access_token', { principalId: mia.id, lifetimeS: null, comment: '' });

  const deleted = makeToken();
  const first = await sendHead(t, admin, deleted.secret);
  credentials.delete('access_token', mia.id, deleted.credential.id);
  t.equal(await sendBody(first), 'HTTP/1.1 401 Unauthorized');

  const { secret } = makeToken();
  const second = await sendHead(t, admin, secret);
  book.update(mia.id, { name: 'mia', profile: EMPTY_PROFILE });
  t.equal(await sendBody(second), 'HTTP/1.1 403 Forbidden');
  t.equal(admin.control.grants.named('late'), null, 'nothing was made');

  book.update(mia.id, { name: 'mia', profile });
  const third = await sendHead(t, admin, secret);
  t.equal(await sendBody(third), 'HTTP/1.1 200 OK');
});
