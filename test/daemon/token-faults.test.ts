/**
 * What becomes of verification when something fails or is abused: a worker that dies in a burst of unknown tokens, and a
 * flood of bad ones. Nobody is let in unverified, and good tokens go on.
 */
import t from 'tap';
import { configure, PATH, until, workersOf } from './live.js';
import { ExternalIssuer } from './external-issuer.js';
import { startDaemon, type Answer, type TestDaemon } from './harness.js';

const SCIM = '/api/2.0/preview/scim/v2';
const BURST = 200;
/** Users that a worker asks for at once, and how long their requests wait for them. */
const WANTED_USERS_MAX = 64;
const WAIT_MS = 2_000;

/** Tokens of one service principal that may query the endpoint. */
async function tokensOf(daemon: TestDaemon, count: number): Promise<string[]> {
  const machine = await daemon.admin('POST', `${SCIM}/ServicePrincipals`, { displayName: 'm' });
  const { id, applicationId } = machine.body as { id: string; applicationId: string };
  const secrets = `/api/2.0/accounts/servicePrincipals/${id}/credentials/secrets`;
  const { secret } = (await daemon.admin('POST', secrets)).body as { secret: string };
  const { body } = await daemon.admin('GET', '/api/2.0/serving-endpoints/live');
  await daemon.admin(
    'PUT',
    `/api/2.0/permissions/serving-endpoints/${(body as { id: string }).id}`,
    {
      access_control_list: [
        { service_principal_name: applicationId, permission_level: 'CAN_QUERY' },
      ],
    },
  );
  const tokens: string[] = [];
  for (let made = 0; made < count; made += 1) {
    const answer = await fetch(`${daemon.adminUrl}/oidc/v1/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: applicationId,
        client_secret: secret,
      }),
    });
    tokens.push(((await answer.json()) as { access_token: string }).access_token);
  }
  return tokens;
}

const query = (daemon: TestDaemon, token: string): Promise<Answer> =>
  daemon.invoke(PATH, { inputs: [1] }, { authorization: `Bearer ${token}` });

/** Another signature: three parts that look right. */
function forged(token: string, number: number): string {
  const [head = '', claims = ''] = token.split('.');
  const signature = Buffer.alloc(64, 1);
  signature.writeUInt32BE(number);
  return `${head}.${claims}.${signature.toString('base64url')}`;
}

await t.test('a worker dies in a burst of tokens', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  const tokens = await tokensOf(daemon, 20);
  const [worker] = await workersOf(daemon);
  const burst = Array.from({ length: BURST }, (_, index) => {
    const token = tokens[index % tokens.length] ?? '';
    const bad = index % 2 === 1;
    return query(daemon, bad ? forged(token, index) : token).then(
      ({ status }) => ({ bad, status }),
      () => ({ bad, status: 0 }),
    );
  });
  process.kill(worker?.pid ?? 0, 'SIGKILL');
  for (const { bad, status } of await Promise.all(burst)) {
    if (bad) t.not(status, 200, 'a forged token is let in by nobody');
    else t.ok([0, 200, 503].includes(status), `a good one got ${String(status)}`);
  }
  await until(async () => (await workersOf(daemon))[0]?.state === 'SERVING');
  for (const token of tokens) t.match(await query(daemon, token), { status: 200 });
  t.match(await query(daemon, forged(tokens[0] ?? '', 1)), { status: 401 });
});

await t.test('a flood of bad tokens is bounded, and good ones are served', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  const [token = ''] = await tokensOf(daemon, 1);
  t.match(await query(daemon, token), { status: 200 });
  const seen = new Map<number, number>();
  let sent = 0;
  const flood = Array.from({ length: 50 }, async () => {
    for (let number = sent; sent < 2_000; number = sent) {
      sent += 1;
      const { status, headers } = await query(daemon, forged(token, number));
      seen.set(status, (seen.get(status) ?? 0) + 1);
      if (status === 503) t.ok(headers.get('retry-after'));
    }
  });
  let good = 0;
  const steady = (async () => {
    while (sent < 2_000) {
      t.equal((await query(daemon, token)).status, 200);
      good += 1;
    }
  })();
  await Promise.all([...flood, steady]);
  t.ok(good > 0);
  t.ok([...seen.keys()].every((status) => status === 401 || status === 503));
  t.ok((seen.get(401) ?? 0) > 0);
});

await t.test('users that nobody makes are waited for by few, and not for long', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ group_name: 'users', permission_level: 'CAN_QUERY' }],
  });
  const supervisor = daemon.process.pid ?? 0;
  process.kill(supervisor, 'SIGSTOP');
  t.teardown(() => process.kill(supervisor, 'SIGCONT'));
  const names = Array.from(
    { length: WANTED_USERS_MAX + 20 },
    (_, index) => `user-${String(index)}`,
  );
  const sentAt = performance.now();
  const answers = await Promise.all(
    names.map(async (name) => {
      const { status, headers } = await query(daemon, issuer.token(name));
      const retryAfter = headers.get('retry-after');
      return { name, status, retryAfter, isLate: performance.now() - sentAt >= WAIT_MS };
    }),
  );
  for (const { status, retryAfter } of answers) {
    t.equal(status, 503);
    t.ok(retryAfter);
  }
  const turnedAway = answers.filter(({ isLate }) => !isLate);
  t.equal(turnedAway.length, names.length - WANTED_USERS_MAX, 'the rest are answered at once');
  process.kill(supervisor, 'SIGCONT');
  for (const { name } of answers.slice(0, 3).concat(turnedAway.slice(0, 3))) {
    await until(async () => (await query(daemon, issuer.token(name))).status === 200);
  }
});
