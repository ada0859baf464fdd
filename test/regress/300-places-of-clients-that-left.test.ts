/**
 * The admin port gave a place of its relay to an invocation whose client had left while its
 * credential was judged, or that waited behind another one on the same connection: the end of such
 * an exchange was never announced, so the place was lost until the next start.
 */
import { request, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ADMIN_RELAY_IN_FLIGHT_MAX } from '../../src/core/limits.js';
import {
  QUERY,
  QUERY_TOKEN,
  startAdmin,
  startServer,
  type Harness,
} from '../unit/admin/harness.js';

const PATH = '/serving-endpoints/iris/invocations';
const HEAD =
  `POST ${PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${QUERY_TOKEN}\r\n` +
  'content-length: 0\r\n\r\n';
const CALLER = {
  principal: {
    id: '2',
    kind: 'user',
    name: 'query',
    applicationId: '',
    active: true,
    groups: [],
    groupIds: [],
    entitlements: [],
  },
  limitedTo: null,
} as const;

/** Answers only requests whose path says so. */
async function startRelay(
  t: Test,
  judge: () => Promise<void>,
): Promise<{ admin: Harness; held: ServerResponse[] }> {
  const held: ServerResponse[] = [];
  const { url } = await startServer(t, (incoming, response) => {
    incoming.resume();
    if (incoming.url?.endsWith('?answer') === true) response.end('{}');
    else held.push(response);
  });
  const admin = await startAdmin(t, {
    authenticate: async () => {
      await judge();
      return CALLER;
    },
    supervisor: {
      workers: () => [],
      refusals: () => [],
      ready: () => ({ ready: true, reason: '' }),
      dataPlaneUrl: () => url,
    },
  });
  return { admin, held };
}

async function statusOf(admin: Harness): Promise<number> {
  const response = await fetch(`${admin.url}${PATH}?answer`, { method: 'POST', headers: QUERY });
  await response.arrayBuffer();
  return response.status;
}

t.test('clients that leave while their credential is judged', async (t) => {
  let judged = 0;
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const { admin } = await startRelay(t, () => {
    judged += 1;
    return gate;
  });
  for (let index = 0; index < ADMIN_RELAY_IN_FLIGHT_MAX; index += 1) {
    const sent = request(admin.url + PATH, { method: 'POST', headers: QUERY });
    const closed = new Promise((resolve) => sent.on('close', resolve));
    sent.on('error', () => undefined);
    sent.end();
    while (judged <= index) await delay(1);
    sent.destroy();
    await closed;
  }
  await delay(50);
  go();
  t.equal(await statusOf(admin), 200);
});

t.test('invocations that wait behind another one of a connection that closes', async (t) => {
  const { admin, held } = await startRelay(t, () => Promise.resolve());
  const { port } = new URL(admin.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.write(HEAD.repeat(ADMIN_RELAY_IN_FLIGHT_MAX));
  while (held.length < ADMIN_RELAY_IN_FLIGHT_MAX) await delay(1);
  t.equal(await statusOf(admin), 429, 'all places are taken');
  socket.destroy();
  while (!held.every((response) => response.closed)) await delay(1);
  t.equal(await statusOf(admin), 200);
});
