/** How processes end and begin: nothing that was in flight is lost, and no second daemon gets in. */
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  endpointOf,
  runCommand,
  startDaemon,
  startReplica,
  temporaryDirectory,
  type TestDaemon,
} from './harness.js';
import { post, WireClient } from './wire.js';

const INVOKE = '/serving-endpoints/s/invocations';

interface Gate {
  readonly daemon: TestDaemon;
  /** Requests at the replica that wait for `open`. */
  readonly waiting: () => number;
  readonly open: () => void;
}

/** A daemon before a replica that holds requests back until the gate opens. */
async function startGated(t: Test): Promise<Gate> {
  const held: (() => void)[] = [];
  let isOpen = false;
  const replica = await startReplica(t, (request, response) => {
    request.resume();
    request.once('end', () => {
      if (isOpen || request.headers['x-lab'] === 'quick') response.end('done');
      else held.push(() => response.end('done'));
    });
  });
  const daemon = await startDaemon(t);
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ s: replica.url }),
    endpoints: [endpointOf('s', { s: 100 })],
  });
  await daemon.settled('s');
  return {
    daemon,
    waiting: () => held.length,
    open: () => {
      isOpen = true;
      for (const answer of held) answer();
    },
  };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} under load: what is in flight is answered, then exit code 0`, async (t) => {
    const { daemon, waiting, open } = await startGated(t);
    const clients = Array.from({ length: 20 }, () => new WireClient(t, daemon.dataPort));
    const answers = clients.map((client) => client.send(post(daemon, INVOKE, '{}')).answer());
    await until(() => waiting() === clients.length);
    const ended = daemon.stop(signal);
    await until(() => daemon.output.some((line) => line.includes('draining')));
    const probe = await daemon.admin('GET', '/readyz').catch(() => null);
    t.match(probe, { status: 503 }, 'not ready while it drains');
    open();
    for (const { status, body } of await Promise.all(answers)) {
      t.equal(status, 200);
      t.equal(body.toString(), 'done');
    }
    t.equal(await ended, 0);
    await Promise.all(clients.map((client) => client.closed));
    await t.rejects(daemon.invoke(INVOKE, {}), 'nobody listens any more');
  });
}

t.test(
  'a worker that is killed is replaced within a second and loses no waiting connection',
  async (t) => {
    const { daemon } = await startGated(t);
    const before = await daemon.workerPid();
    process.kill(before, 'SIGSTOP');
    // These connect and send while nobody accepts.
    const clients = Array.from({ length: 10 }, () => new WireClient(t, daemon.dataPort));
    const bytes = post(daemon, INVOKE, '{}', ['X-Lab: quick']);
    await Promise.all(
      clients.map(
        (client) =>
          new Promise<void>((resolve) =>
            client.socket.once('connect', () => {
              resolve();
            }),
          ),
      ),
    );
    const answers = clients.map((client) => client.send(bytes).answer());
    const killedAt = performance.now();
    process.kill(before, 'SIGKILL');
    for (const { status } of await Promise.all(answers)) t.equal(status, 200);
    const tookMs = performance.now() - killedAt;
    t.ok(tookMs < 1_000, `served again after ${String(Math.round(tookMs))} ms`);
    const after = await daemon.workerPid();
    t.not(after, before);
    const { body } = await daemon.admin('GET', '/api/2.0/pointsman/status');
    t.match(body, { workers: [{ state: 'SERVING', pid: after }] });
    // The new worker takes part in changes.
    const update = await daemon.admin('DELETE', '/api/2.0/serving-endpoints/s');
    t.equal(update.status, 200, update.text);
    t.equal((await daemon.invoke(INVOKE, {})).status, 404);
  },
);

t.test(
  'a worker that dies during changes: the changes are made, by it or its successor',
  async (t) => {
    const { daemon, open } = await startGated(t);
    open();
    for (let round = 0; round < 3; round += 1) {
      const killed = daemon.workerPid().then((pid) => {
        process.kill(pid, 'SIGKILL');
      });
      const statuses: number[] = [];
      for (let count = 0; count < 10; count += 1) {
        const name = `e${String(round)}-${String(count)}`;
        const { status } = await daemon.admin(
          'POST',
          '/api/2.0/serving-endpoints',
          endpointOf(name, { s: 100 }),
        );
        statuses.push(status);
      }
      await killed;
      await until(async () => (await daemon.workerPid()) !== 0);
      for (const [count, status] of statuses.entries()) {
        const name = `e${String(round)}-${String(count)}`;
        const { status: there } = await daemon.admin('GET', `/api/2.0/serving-endpoints/${name}`);
        t.equal(there, status === 200 ? 200 : 404, `${name}: answered ${String(status)}`);
        if (status !== 200) continue;
        await daemon.settled(name);
        await until(async () => {
          const answer = await daemon
            .invoke(`/serving-endpoints/${name}/invocations`, {})
            .catch(() => ({ status: 0 }));
          return answer.status === 200;
        });
      }
    }
  },
);

t.test('a second daemon is refused and the first goes on', async (t) => {
  const { daemon, open } = await startGated(t);
  open();
  const pid = await daemon.workerPid();
  const admin = new URL(daemon.adminUrl).host;
  const data = new URL(daemon.dataUrl).host;
  const other = ['--state-dir', temporaryDirectory(t)];
  const refusals: [args: string[], names: RegExp][] = [
    [
      [
        '--state-dir',
        daemon.stateDir,
        '--data-plane-listen',
        '127.0.0.1:0',
        '--admin-listen',
        '127.0.0.1:0',
      ],
      new RegExp(`state_dir.*${daemon.stateDir}.*in use`),
    ],
    [
      [...other, '--data-plane-listen', data, '--admin-listen', '127.0.0.1:0'],
      new RegExp(`data_plane\\.listen.*${data}`),
    ],
    [
      [...other, '--data-plane-listen', '127.0.0.1:0', '--admin-listen', admin],
      new RegExp(`admin\\.listen.*${admin}`),
    ],
  ];
  for (const [args, names] of refusals) {
    const { code, stderr } = await runCommand(['serve', ...args]);
    t.equal(code, 1, stderr);
    t.match(stderr, names);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
  }
  t.equal(await daemon.workerPid(), pid);
  t.equal((await daemon.invoke(INVOKE, {})).status, 200);
  t.equal((await daemon.admin('GET', '/api/2.0/serving-endpoints/s')).status, 200);
  t.equal(daemon.process.exitCode, null);
});
