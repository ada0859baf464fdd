/**
 * `pointsman permissions` and `pointsman rollback` read, decided and wrote without saying what they
 * had read: a change by somebody else in between was undone. And a principal that was written in
 * another case than the daemon's stayed in the list although the command ended in 0.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { MIA } from '../unit/control/harness.js';
import { irisManifest, run, startDaemon, TOKEN, type Daemon } from '../unit/cli/harness.js';

async function startIris(t: Test): Promise<Daemon> {
  const daemon = await startDaemon(t);
  const input = JSON.stringify(irisManifest(daemon.replica.url));
  const made = await run(['apply', '-f', '-', '--state-dir', daemon.dir], { input });
  t.equal(made.code, 0, made.err);
  return daemon;
}

/** In front of the daemon; `before` has its turn before a request goes on. */
async function startProxy(
  t: Test,
  daemon: Daemon,
  before: (request: IncomingMessage) => Promise<void>,
): Promise<string> {
  const relay = async (request: IncomingMessage): Promise<Response> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    await before(request);
    const { authorization = '', 'if-match': ifMatch } = request.headers;
    return fetch(daemon.url + String(request.url), {
      method: String(request.method),
      headers: {
        authorization,
        ...(parts.length === 0 ? {} : { 'content-type': 'application/json' }),
        ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
      },
      ...(parts.length === 0 ? {} : { body: Buffer.concat(parts) }),
    });
  };
  const server = createServer((request, response) => {
    void relay(request).then(async (answer) => {
      const etag = answer.headers.get('etag');
      response.writeHead(answer.status, etag === null ? {} : { etag });
      response.end(await answer.text());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

async function send(daemon: Daemon, method: string, path: string, body: object): Promise<void> {
  const response = await fetch(`${daemon.url}/api/2.0/${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
}

const ALL_TO_ONE = {
  traffic_config: {
    routes: [
      { served_model_name: 'current', traffic_percentage: 100 },
      { served_model_name: 'challenger', traffic_percentage: 0 },
    ],
  },
};

const PERMISSIONS = 'permissions/serving-endpoints/iris';

function entry(name: string): object {
  return { user_name: name, permission_level: 'CAN_QUERY' };
}

async function startWithUsers(t: Test): Promise<Daemon> {
  const daemon = await startIris(t);
  for (const userName of ['mia@x', 'ben@x']) {
    await send(daemon, 'POST', 'preview/scim/v2/Users', { userName });
  }
  const both = { access_control_list: [entry('mia@x'), entry('ben@x')] };
  await send(daemon, 'PUT', PERMISSIONS, both);
  return daemon;
}

t.test('a permission that is revoked meanwhile stays revoked', async (t) => {
  const daemon = await startWithUsers(t);
  let puts = 0;
  const url = await startProxy(t, daemon, async ({ method }) => {
    if (method !== 'PUT') return;
    puts += 1;
    if (puts === 1) {
      await send(daemon, 'PUT', PERMISSIONS, { access_control_list: [entry('mia@x')] });
    }
  });
  const argv = ['permissions', 'iris', 'user:mia@x=none', '--host', url, '--token', TOKEN];
  const result = await run(argv);
  t.equal(result.code, 0, result.err);
  t.equal(puts, 2, 'refused, read again, sent again');
  t.notMatch(result.out, /@x/);
});

t.test('a list that never stands still is given up', async (t) => {
  const daemon = await startWithUsers(t);
  let puts = 0;
  const url = await startProxy(t, daemon, async ({ method }) => {
    if (method !== 'PUT') return;
    puts += 1;
    const names = puts % 2 === 0 ? ['mia@x', 'ben@x'] : ['mia@x'];
    await send(daemon, 'PUT', PERMISSIONS, { access_control_list: names.map(entry) });
  });
  const argv = ['permissions', 'iris', 'user:mia@x=none', '--host', url, '--token', TOKEN];
  const result = await run(argv);
  t.equal(result.code, 1);
  t.match(result.err, /has changed since it was read/);
  t.equal(puts, 5);
});

t.test('names in any case, and names that have nothing', async (t) => {
  const daemon = await startWithUsers(t);
  const permissions = (...words: string[]): ReturnType<typeof run> =>
    run(['permissions', 'iris', ...words, '--state-dir', daemon.dir]);
  const absent = await permissions('user:mai@x=none', 'group:admins=none', 'user:ben@x=none');
  t.equal(absent.code, 1);
  t.match(absent.err, /Nothing was changed: .* user:mai@x, group:admins here/);
  t.match((await permissions()).out, /user:ben@x/);
  const result = await permissions('user:Mia@X=none');
  t.equal(result.code, 0, result.err);
  t.notMatch(result.out, /mia@x/);
});

t.test('a rollback does not undo what it has not seen', async (t) => {
  const daemon = await startIris(t);
  const shares = ['split', 'iris', 'current=50', 'challenger=50', '--watch', '0'];
  const changed = await run([...shares, '--state-dir', daemon.dir]);
  t.equal(changed.code, 0, changed.err);
  const url = await startProxy(t, daemon, async ({ method }) => {
    if (method === 'POST') await daemon.control.updateConfig('iris', ALL_TO_ONE, MIA);
  });
  const result = await run(['rollback', 'iris', '--host', url, '--token', TOKEN]);
  t.equal(result.code, 1);
  t.match(result.err, /has changed since it was read/);
  t.match(daemon.control.getEndpoint('iris').value, { config: { config_version: 3 } });
});
