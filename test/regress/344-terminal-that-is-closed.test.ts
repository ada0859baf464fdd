/** SIGHUP ended the supervisor as a crash would, and a terminal that was closed its workers too, with what was in flight. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import {
  call,
  deploymentsOf,
  endpointOf,
  startDaemon,
  startReplica,
  temporaryDirectory,
} from '../daemon/harness.js';
import { isAlive, until, workersOf, type WorkerView } from '../daemon/live.js';
import { post, WireClient, type WireAnswer } from '../daemon/wire.js';
import { projectFile } from '../unit/project-file.js';

const SLOW = '/serving-endpoints/slow/invocations';

/** An endpoint whose requests are answered when `answer` is called. */
async function slowManifest(t: Test): Promise<{ manifest: unknown; answer: () => void }> {
  const waiting: (() => void)[] = [];
  const { url } = await startReplica(t, (request, response) => {
    request.resume();
    waiting.push(() => response.end('{"served":"slow"}'));
  });
  const manifest = {
    deployments: deploymentsOf({ slow: url }),
    endpoints: [endpointOf('slow', { slow: 100 })],
  };
  return {
    manifest,
    answer() {
      for (const end of waiting) end();
    },
  };
}

t.test('SIGHUP drains, however often it comes', { timeout: 60_000 }, async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '2' } });
  const { manifest, answer } = await slowManifest(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', manifest);
  await daemon.settled('slow');
  const request = new WireClient(t, daemon.dataPort).send(post(daemon, SLOW, '{}')).answer();
  await until(async () => (await workersOf(daemon)).some((worker) => worker.in_flight > 0));
  for (const { pid } of await workersOf(daemon)) process.kill(pid, 'SIGHUP');
  const ended = daemon.stop('SIGHUP');
  await until(() => daemon.output.some((line) => line.includes('draining')));
  daemon.process.kill('SIGHUP');
  answer();
  t.equal((await request).status, 200);
  t.equal(await ended, 0);
});

t.test('the terminal of a daemon is closed', { timeout: 60_000 }, async (t) => {
  const stateDir = temporaryDirectory(t);
  const flags = [
    ...['--data-plane-listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'],
    ...['--state-dir', stateDir, '--data-plane-drain-delay-ms', '0', '--data-plane-workers', '2'],
  ];
  const preload = process.env['POINTSMAN_TEST_PRELOAD'];
  const command = [
    'exec env -u NODE_OPTIONS',
    ...(preload === undefined ? [] : [`LD_PRELOAD='${preload}'`]),
    ...[process.execPath, projectFile('dist/main.js')],
  ];
  const line = [...command, 'serve', ...flags].join(' ');
  // script(1) runs it on a terminal of its own, which ends with it.
  const terminal = spawn('script', ['-qec', line, '/dev/null'], { cwd: stateDir });
  t.teardown(() => terminal.kill('SIGKILL'));
  let output = '';
  terminal.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(() => output.includes('credentials in'));
  const port = Number(/data port on [^ ]*?:(\d+)/.exec(output)?.[1]);
  const file = (name: string): string => readFileSync(path.join(stateDir, name), 'utf8').trim();
  const admin = async <T>(method: string, route: string, body?: unknown): Promise<T> => {
    const url = `${file('admin-url')}/api/2.0${route}`;
    return (await call(url, method, file('admin-token'), body, {})).body as T;
  };
  const { manifest, answer } = await slowManifest(t);
  await admin('PATCH', '/pointsman/manifest', manifest);
  const invoke = (): Promise<WireAnswer> => {
    const bytes = post({ queryToken: file('query-token') }, SLOW, '{}');
    return new WireClient(t, port).send(bytes).answer();
  };
  const status = (): Promise<{ workers: WorkerView[]; endpoints: { state: string }[] }> =>
    admin('GET', '/pointsman/status');
  await until(async () => JSON.stringify((await status()).endpoints).includes('NOT_UPDATING'));
  const request = invoke();
  await until(async () => (await status()).workers.some((worker) => worker.in_flight > 0));
  const pids = (await status()).workers.map(({ pid }) => pid);
  terminal.kill('SIGKILL');
  await until(
    async () =>
      (await fetch(`http://127.0.0.1:${String(port)}/readyz`).then(
        ({ status: code }) => code,
        () => 0,
      )) !== 200,
  );
  t.ok(pids.every(isAlive), 'the workers finish what they have');
  answer();
  t.equal((await request).status, 200);
  await until(() => !pids.some(isAlive) && !existsSync(path.join(stateDir, 'workers.json')));
  t.pass('and end in order');
});
