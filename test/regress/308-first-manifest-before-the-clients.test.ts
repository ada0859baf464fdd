/**
 * The first manifest takes the place of everything, and was applied when the admin port was open
 * already: what a client had made in between was deleted.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { deploymentsOf, startDaemon, temporaryDirectory } from '../daemon/harness.js';
import { reservePort } from '../unit/control/harness.js';

const TOKEN = 'a-token-of-the-test-that-is-long-enough-to-be-taken';

t.test('what a client makes as soon as it can stays', async (t) => {
  const manifest = path.join(temporaryDirectory(t), 'manifest.json');
  // Many, so that applying them takes a while.
  const names = Array.from({ length: 300 }, (_, index) => `d${String(index)}`);
  const urls = Object.fromEntries(names.map((name) => [name, 'http://127.0.0.1:1']));
  writeFileSync(manifest, JSON.stringify({ deployments: deploymentsOf(urls), endpoints: [] }));
  const port = String(await reservePort(t));
  const starting = startDaemon(t, {
    flags: { manifest, 'admin-listen': `127.0.0.1:${port}` },
    env: { POINTSMAN_ADMIN_TOKEN: TOKEN },
  });
  const create = (): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/api/2.0/serving-endpoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'mine' }),
    });
  let made: Response | null = null;
  while (made === null) {
    made = await create().catch(() => null);
    await delay(1);
  }
  t.equal(made.status, 200, await made.text());
  const daemon = await starting;
  const lineOf = (words: string): number => daemon.output.findIndex((one) => one.includes(words));
  t.ok(lineOf('manifest.json applied') >= 0);
  t.ok(lineOf('manifest.json applied') < lineOf('admin port on'));
  t.match(await daemon.admin('GET', '/api/2.0/serving-endpoints/mine'), { status: 200 });
});
