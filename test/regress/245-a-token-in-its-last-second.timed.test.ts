/**
 * A token whose end lies within a second was judged good in that second and over by the cache, which counts in seconds:
 * the request was judged again and again until the token was over for the judge too.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

const ANSWERED_MS_MAX = 250;

t.test('it is answered at once', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '1' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ group_name: 'users', permission_level: 'CAN_QUERY' }],
  });
  const statusOf = async (token: string): Promise<number> => {
    const authorization = `Bearer ${token}`;
    return (await daemon.invoke(PATH, { inputs: [1] }, { authorization })).status;
  };
  t.equal(await statusOf(issuer.token('mia')), 200);
  const exp = Math.floor(Date.now() / 1_000) + 1.9;
  // The moment in which it is over in seconds and not in fractions.
  await pause(Math.floor(exp) * 1_000 + 100 - Date.now());
  const sentAt = performance.now();
  t.equal(await statusOf(issuer.token('mia', { exp })), 401);
  const tookMs = Math.round(performance.now() - sentAt);
  t.ok(tookMs < ANSWERED_MS_MAX, `answered after ${String(tookMs)} ms`);
});
