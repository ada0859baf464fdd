/**
 * A token whose end lies within a second was judged good in that second and over by the cache, which counted in seconds:
 * the request was judged again and again until the token was over for the judge too. Then both counted in seconds, and
 * a token was refused up to a second before its end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { startDaemon } from '../daemon/harness.js';
import { configure, PATH } from '../daemon/live.js';

const ANSWERED_MS_MAX = 250;

t.test('it is answered at once, and good to its end', async (t) => {
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
  const token = issuer.token('mia', { exp });
  // The last second: first a verdict, then the cache.
  await pause(Math.floor(exp) * 1_000 + 10 - Date.now());
  for (let i = 0; i < 2; i++) t.equal(await statusOf(token), 200, 'before its end');
  await pause(exp * 1_000 + 1 - Date.now());
  const sentAt = performance.now();
  t.equal(await statusOf(token), 401, 'after it');
  const tookMs = Math.round(performance.now() - sentAt);
  t.ok(tookMs < ANSWERED_MS_MAX, `answered after ${String(tookMs)} ms`);
});
