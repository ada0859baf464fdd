/** A start that was refused (a port that is taken, a bad key) left tokens, a key and a store in the state directory. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import t from 'tap';
import { startDaemon, temporaryDirectory, type DaemonOptions } from '../daemon/harness.js';

const MADE = /token|key|issuer|pointsman\.db/;

t.test('what a refused start has made is taken away, and nothing else', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const address = `127.0.0.1:${String((taken.address() as AddressInfo).port)}`;
  const refusals: [DaemonOptions, RegExp][] = [
    [{ flags: { 'admin-listen': address } }, /admin\.listen: /],
    [{ flags: { 'data-plane-listen': address } }, /data_plane\.listen: /],
    [{ env: { POINTSMAN_ADMIN_TOKEN: 'short' } }, /pointsman: POINTSMAN_ADMIN_TOKEN: /],
    [{ env: { POINTSMAN_MASTER_KEY: 'short' } }, /pointsman: POINTSMAN_MASTER_KEY: /],
  ];
  for (const [options, message] of refusals) {
    const stateDir = temporaryDirectory(t);
    writeFileSync(path.join(stateDir, 'notes-on-my-token'), 'mine');
    await t.rejects(startDaemon(t, { ...options, stateDir }), { message });
    const left = readdirSync(stateDir).filter((name) => MADE.test(name));
    t.strictSame(left, ['notes-on-my-token'], String(message));
  }

  const stateDir = temporaryDirectory(t);
  const first = await startDaemon(t, { stateDir });
  const { adminToken } = first;
  await first.admin('POST', '/api/2.0/serving-endpoints', { name: 'kept' });
  await first.stop();
  for (const [options] of refusals) {
    await t.rejects(startDaemon(t, { ...options, stateDir }));
  }
  t.equal(readFileSync(path.join(stateDir, 'admin-token'), 'utf8').trim(), adminToken);
  t.ok(existsSync(path.join(stateDir, 'issuer')));
  const again = await startDaemon(t, { stateDir });
  t.match(await again.admin('GET', '/api/2.0/serving-endpoints/kept'), { status: 200 });
});
