/**
 * Commands believed whatever answered: an answer without end was read without end, one of another
 * shape ended in a stack, an empty variable hid the token of the state directory, and the config of
 * somebody else was taken for the one that was waited for.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { MIA } from '../unit/control/harness.js';
import { startServer } from '../unit/admin/harness.js';
import { irisManifest, run, startDaemon, TOKEN } from '../unit/cli/harness.js';

async function startStranger(
  t: Test,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<(argv: readonly string[]) => ReturnType<typeof run>> {
  const { url } = await startServer(t, (request, response) => {
    request.resume();
    answer(response, request);
  });
  return (argv) => run([...argv, '--host', url, '--token', 'x']);
}

const COMMANDS = [
  ['status'],
  ['endpoints'],
  ['deployments'],
  ['principals'],
  ['permissions', 'iris'],
  ['permissions', 'iris', 'user:mia=none'],
  ['split', 'iris', 'a=100'],
  ['rollback', 'iris'],
  ['cancel-update', 'iris'],
  ['token', 'create'],
  ['token', 'list'],
  ['token', 'fetch', 'iris'],
  ['rotate-keys'],
];

const STATUS = {
  version: '1',
  revision: 1,
  uptime_s: 1,
  workers: [],
  endpoints: [],
  deployments: [],
};

t.test('answers of another shape', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [200, '{}'],
    [200, 'null'],
    [200, '[]'],
    [200, '<html>'],
    [500, 'null'],
    [500, '{}'],
    [401, '"no"'],
    [502, '<html>'],
    [200, JSON.stringify({ ...STATUS, endpoints: [null] })],
    [200, '{"token_infos": [{"creation_time": 1e300}], "configs": [7], "Resources": [{}]}'],
  ];
  for (const [status, body] of cases) {
    const local = await startStranger(t, (response) => response.writeHead(status).end(body));
    for (const argv of COMMANDS) {
      // It names no percentages, which is a mistake in the arguments first.
      if (argv[0] === 'split' && status === 200 && body.startsWith('{')) continue;
      const { code, err } = await local(argv);
      const what = `${argv.join(' ')}: ${String(status)} ${body}`;
      t.equal(code, 1, what);
      const expected = `answers (status ${String(status)}) what no pointsman daemon sends.`;
      t.ok(err.split('\n')[0]?.endsWith(expected), `${what}: ${err}`);
    }
  }
});

t.test('an answer of more bytes than any daemon sends', async (t) => {
  const part = Buffer.alloc(1024 * 1024, ' ');
  const local = await startStranger(t, (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(part));
    };
    response.on('drain', more);
    more();
  });
  const { code, err } = await local(['status']);
  t.equal(code, 1);
  t.match(err, /answers with more than 64 MiB\.$/m);
});

t.test('a variable that is set to nothing is none', async (t) => {
  const daemon = await startDaemon(t);
  const env = { POINTSMAN_STATE_DIR: daemon.dir, POINTSMAN_ADMIN_TOKEN: '' };
  const result = await run(['status'], { env });
  t.equal(result.code, 0, result.err);
});

t.test('the config of somebody else is not the one that was waited for', async (t) => {
  const daemon = await startDaemon(t);
  const input = JSON.stringify(irisManifest(daemon.replica.url));
  t.equal((await run(['apply', '-f', '-', '--state-dir', daemon.dir], { input })).code, 0);
  const shares = (current: number): object => ({
    traffic_config: {
      routes: [
        { served_model_name: 'current', traffic_percentage: current },
        { served_model_name: 'challenger', traffic_percentage: 100 - current },
      ],
    },
  });
  const never = { name: 'next', entity_name: 'demo.models.iris', entity_version: '9' };
  await daemon.control.updateConfig('iris', { served_entities: [never] }, MIA);
  const preempted: Promise<unknown>[] = [];
  const argv = ['rollback', 'iris', '2', '--preempt', '--host', daemon.url, '--token', TOKEN];
  const result = await run(argv, {
    onSleep: () => {
      if (preempted.length > 0) return;
      const options = { ...MIA, preempt: true };
      preempted.push(daemon.control.updateConfig('iris', shares(50), options));
    },
  });
  await Promise.all(preempted);
  t.equal(result.code, 1);
  t.match(result.err, /Another change of iris has replaced config version 3; version 4 serves\./);
});
