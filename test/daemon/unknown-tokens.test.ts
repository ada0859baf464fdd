/**
 * A flood of bad tokens is refused without the JS of the loop that relays requests; and what only that can tell is asked
 * of it, with the same answers as ever.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { ExternalIssuer } from './external-issuer.js';
import { startDaemon, temporaryDirectory } from './harness.js';
import { configure, PATH, until } from './live.js';

const FORGED = 200;
const STRANGE = 20;
/** One token that comes again and again is asked about once a second, and its like no more often. */
const AGAIN_MS = 2_500;
const ASKED_AGAIN_MAX = 8;
/** Between two looks for an issuer's keys lie 5 s, and a second in which nobody asks; the rest is for a slow machine. */
const NEW_KEY_MS_MAX = 20_000;

await t.test('who is asked', async (t) => {
  const directory = temporaryDirectory(t);
  const file = path.join(directory, 'asked');
  const faults = path.join(directory, 'faults');
  const preloads = ['unknown-tokens.js', 'thread-fault.js'].map((name) =>
    pathToFileURL(path.join(import.meta.dirname, name)),
  );
  const issuer = new ExternalIssuer(t);
  const daemon = await startDaemon(t, {
    flags: { ...issuer.flags, 'data-plane-workers': '1' },
    nodeOptions: preloads.map(({ href }) => `--import=${href}`).join(' '),
    env: { UNKNOWN_TOKENS: file, THREAD_FAULT: faults },
  });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('POST', '/api/2.0/preview/scim/v2/Users', { userName: 'mia' });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ user_name: 'mia', permission_level: 'CAN_QUERY' }],
  });
  const worker = await daemon.workerPid();

  const statusOf = async (authorization: string): Promise<number> => {
    const answer = await daemon.invoke(PATH, { inputs: [1] }, { authorization });
    return answer.status;
  };
  const asked = async (): Promise<number> => {
    rmSync(file, { force: true });
    process.kill(worker, 'SIGWINCH');
    await until(() => existsSync(file) && readFileSync(file, 'utf8') !== '');
    return Number(readFileSync(file, 'utf8'));
  };

  const good = issuer.token('mia');
  const forged = (index: number): string =>
    `Bearer ${good.slice(0, -86)}${String(index).padStart(86, 'A')}`;
  // Once the lane is open it stays so.
  await until(async () => {
    const before = await asked();
    t.equal(await statusOf(forged(0)), 401);
    return (await asked()) === before;
  });

  const before = await asked();
  const bad = Array.from({ length: FORGED }, (_, index) => statusOf(forged(index + 1)));
  t.same(new Set(await Promise.all(bad)), new Set([401]));
  for (const other of ['Bearer garbage', 'Bearer a.b.c', 'Digest x=y', 'nothing']) {
    t.equal(await statusOf(other), 401, other);
  }
  t.equal(await asked(), before, 'the loop was asked about none of them');

  t.equal(await statusOf(`Bearer ${good}`), 200);
  t.equal(await asked(), before + 1);
  t.equal(await statusOf(`Bearer ${good}`), 200);
  t.equal(await asked(), before + 1, 'what is cached is nobody’s question');
  t.equal(await statusOf(`Bearer dapi${'0'.repeat(64)}`), 401);
  t.equal(await asked(), before + 2, 'only the loop knows access tokens');

  // A look for the key is in the loop's hands; for a second behind it nobody is asked.
  const untilNobodyIsAsked = async (): Promise<void> => {
    await until(async () => {
      const start = await asked();
      const strange = Array.from({ length: STRANGE }, () => `Bearer ${issuer.nextToken('mia')}`);
      const statuses = await Promise.all(strange.map(statusOf));
      return statuses.every((status) => status === 401) && (await asked()) === start;
    });
  };
  await untilNobodyIsAsked();

  const removed = `Bearer ${issuer.nextToken('mia')}`;
  const start = await asked();
  const untilMs = performance.now() + AGAIN_MS;
  let sent = 0;
  for (; performance.now() < untilMs; sent += 1) t.equal(await statusOf(removed), 401);
  const times = (await asked()) - start;
  t.ok(times <= ASKED_AGAIN_MAX, `asked ${String(times)} times about ${String(sent)} requests`);

  process.kill(worker, 'SIGUSR2');
  await until(() => existsSync(faults) && readFileSync(faults, 'utf8') !== '');
  await untilNobodyIsAsked();
  t.pass('the next thread hears of looks, too');
  t.equal(await daemon.workerPid(), worker);
});

await t.test('a new key is found in a flood of tokens with keys that nobody has', async (t) => {
  const issuer = new ExternalIssuer(t, { auto_create: true });
  const daemon = await startDaemon(t, { flags: { ...issuer.flags, 'data-plane-workers': '2' } });
  await configure(t, daemon, { a: 100 });
  await daemon.admin('PATCH', '/api/2.0/permissions/serving-endpoints/live', {
    access_control_list: [{ group_name: 'users', permission_level: 'CAN_QUERY' }],
  });
  const stranger = new ExternalIssuer(t);
  const send = async (token: string): Promise<number> => {
    const authorization = `Bearer ${token}`;
    return (await daemon.invoke(PATH, { inputs: [1] }, { authorization })).status;
  };
  const flood = async (): Promise<Set<number>> => {
    const tokens = Array.from({ length: STRANGE }, () => stranger.nextToken('mia'));
    return new Set(await Promise.all(tokens.map(send)));
  };
  const refused = new Set<number>();
  // It has looked in vain already when the key comes.
  for (let round = 0; round < 10; round += 1) for (const one of await flood()) refused.add(one);
  issuer.publishNextKey();
  const publishedMs = performance.now();
  let status = 0;
  while (status !== 200 && performance.now() - publishedMs < NEW_KEY_MS_MAX) {
    const [ofNext, ofFlood] = await Promise.all([send(issuer.nextToken('mia')), flood()]);
    status = ofNext;
    for (const one of ofFlood) refused.add(one);
  }
  t.equal(status, 200, `after ${(performance.now() - publishedMs).toFixed(0)} ms`);
  t.ok(refused.has(401));
  t.same(
    [...refused].filter((one) => one !== 401 && one !== 503),
    [],
  );
});
