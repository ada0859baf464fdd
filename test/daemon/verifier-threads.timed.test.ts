/**
 * The verifier thread of a running worker ends in a burst of unknown tokens, again and again: nobody is let in
 * unverified, the worker stays and keeps no descriptor of a thread that is gone, and tokens are verified again within a
 * second.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { ExternalIssuer } from './external-issuer.js';
import { startDaemon, temporaryDirectory, type TestDaemon } from './harness.js';
import { configure, PATH, until } from './live.js';

const BURST = 300;
const KILLS = 5;
const BACK_MS_MAX = 1_000;
/** A connection to a replica or a client more or less, at the moment of counting. */
const DESCRIPTORS_SLACK = 3;

async function statusOf(daemon: TestDaemon, token: string): Promise<number> {
  const answer = await daemon.invoke(PATH, { inputs: [1] }, { authorization: `Bearer ${token}` });
  if (answer.status === 503) t.ok(answer.headers.get('retry-after'), '503 says when to come back');
  return answer.status;
}

await t.test('threads end in a burst', async (t) => {
  const file = path.join(temporaryDirectory(t), 'fault');
  const preload = pathToFileURL(path.join(import.meta.dirname, 'thread-fault.js'));
  const issuer = new ExternalIssuer(t);
  const daemon = await startDaemon(t, {
    flags: { ...issuer.flags, 'data-plane-workers': '1' },
    nodeOptions: `--import=${preload.href}`,
    env: { THREAD_FAULT: file },
  });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('POST', '/api/2.0/preview/scim/v2/Users', { userName: 'mia' });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ user_name: 'mia', permission_level: 'CAN_QUERY' }],
  });
  const cached = issuer.token('mia');
  t.equal(await statusOf(daemon, cached), 200);
  const worker = await daemon.workerPid();

  const descriptors = (): number => readdirSync(`/proc/${String(worker)}/fd`).length;
  const descriptorsBefore = descriptors();
  const killed = (): number => readFileSync(file, 'utf8').split('\n').length - 1;
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const burst = Array.from({ length: BURST }, async (_, index) => {
      const isForged = index % 2 === 1;
      const good = issuer.token('mia');
      const token = isForged ? `${good.slice(0, -86)}${'A'.repeat(86)}` : good;
      return { isForged, status: await statusOf(daemon, token) };
    });
    process.kill(worker, 'SIGUSR2');
    for (const { isForged, status } of await Promise.all(burst)) {
      if (isForged) t.ok([401, 503].includes(status), `a forged token got ${String(status)}`);
      else t.ok([200, 503].includes(status), `a good token got ${String(status)}`);
    }
    t.equal(await statusOf(daemon, cached), 200, 'what was verified goes on');
  }
  await until(() => killed() === KILLS);
  t.match(readFileSync(file, 'utf8'), /^(?:1\n)+$/, 'there was a thread each time');

  process.kill(worker, 'SIGUSR2');
  await until(() => killed() === KILLS + 1);
  const endedAt = performance.now();
  while ((await statusOf(daemon, issuer.token('mia'))) !== 200) t.comment('not back yet');
  const tookMs = Math.round(performance.now() - endedAt);
  t.ok(tookMs < BACK_MS_MAX, `a new token was verified after ${String(tookMs)} ms`);
  t.equal(await daemon.workerPid(), worker, 'the worker never ended');
  await until(() => descriptors() <= descriptorsBefore + DESCRIPTORS_SLACK);
});
