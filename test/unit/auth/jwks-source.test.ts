/** Key sets over real HTTP and from files: kept fresh, kept when the source fails, and asked for no more than is needed. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { fetchKeySet, KEY_SET_BYTES_MAX } from '../../../src/auth/jwks-fetch.js';
import {
  JwksSource,
  REFRESH_COOLDOWN_MS,
  REFRESH_INTERVAL_MS,
  type KeySetLocation,
} from '../../../src/auth/jwks-source.js';
import { TrustKeeper, type TrustKeeperOptions } from '../../../src/auth/trust-keeper.js';
import { AUDIENCE, createKey, ISSUER, publishedJwk, TestClock, type TestKey } from './token-kit.js';

const first = createKey('ES256', 'first');
const second = createKey('ES256', 'second');

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A key server whose answer can be changed; `paths` lists what it was asked. */
class KeyServer {
  readonly paths: string[] = [];
  url = '';
  handler: Handler = () => undefined;

  publish(...keys: TestKey[]): void {
    this.handler = (_request, response) => {
      response.end(JSON.stringify({ keys: keys.map(publishedJwk) }));
    };
  }

  static async start(t: Test): Promise<KeyServer> {
    const keyServer = new KeyServer();
    const server = createServer((request, response) => {
      keyServer.paths.push(request.url ?? '');
      keyServer.handler(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    keyServer.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/keys`;
    return keyServer;
  }
}

interface Source {
  readonly source: JwksSource;
  readonly clock: TestClock;
  readonly problems: string[];
  readonly kids: () => string[];
  readonly changes: () => number;
}

function createSource(t: Test, location: KeySetLocation): Source {
  const clock = new TestClock();
  const problems: string[] = [];
  let changes = 0;
  const source = new JwksSource({
    location,
    algorithms: ['ES256'],
    clock,
    onKeys: () => {
      changes += 1;
    },
    onProblem: (problem) => problems.push(problem),
  });
  t.teardown(() => {
    source.close();
  });
  const kids = (): string[] => source.keys.map(({ kid }) => kid);
  return { source, clock, problems, kids, changes: () => changes };
}

t.test('a refresh is one read however many ask, and then there is a cooldown', async (t) => {
  const server = await KeyServer.start(t);
  server.publish(first);
  const { source, clock, kids, changes } = createSource(t, { uri: server.url });
  await source.start();
  t.strictSame(kids(), ['first']);
  server.publish(first, second);
  await Promise.all([source.refresh(), source.refresh()]);
  t.equal(server.paths.length, 1, 'just read');
  clock.advance(REFRESH_COOLDOWN_MS);
  await Promise.all(Array.from({ length: 100 }, () => source.refresh()));
  t.equal(server.paths.length, 2);
  t.strictSame(kids(), ['first', 'second']);
  t.equal(changes(), 2);
});

t.test('keys are read again by themselves; one that was removed goes', async (t) => {
  const server = await KeyServer.start(t);
  server.publish(first, second);
  const { source, clock, kids, changes } = createSource(t, { uri: server.url });
  await source.start();
  clock.advance(REFRESH_INTERVAL_MS);
  await source.refresh();
  t.equal(server.paths.length, 2);
  t.equal(changes(), 1, 'the same keys are no change');
  server.publish(second);
  clock.advance(REFRESH_INTERVAL_MS);
  await source.refresh();
  t.strictSame(kids(), ['second']);
});

t.test('a source that fails in whatever way costs no key', async (t) => {
  const server = await KeyServer.start(t);
  server.publish(first);
  const { source, clock, kids, problems } = createSource(t, { uri: server.url });
  await source.start();
  const handlers: [Handler, RegExp][] = [
    [(_request, response) => response.writeHead(500).end('{"keys":[]}'), /answered 500/],
    [(_request, response) => response.writeHead(204).end(), /answered 204/],
    [(_request, response) => response.end('<html>'), /not JSON/],
    [(_request, response) => response.end('{"keys":{}}'), /no list/],
    [(request) => request.socket.destroy(), /./],
    [(_request, response) => response.end('x'.repeat(KEY_SET_BYTES_MAX + 1)), /larger than/],
    [
      (_request, response) => response.writeHead(302, { location: 'http://127.0.0.2:1/' }).end(),
      /another host/,
    ],
    [
      (_request, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      /another host/,
    ],
    [(_request, response) => response.writeHead(302).end(), /redirects to nothing/],
    [(_request, response) => response.writeHead(302, { location: '/keys' }).end(), /too often/],
  ];
  for (const [handler, problem] of handlers) {
    server.handler = handler;
    clock.advance(REFRESH_COOLDOWN_MS);
    await source.refresh();
    t.match(problems.at(-1), problem);
    t.strictSame(kids(), ['first']);
  }
  server.publish(second);
  clock.advance(REFRESH_COOLDOWN_MS);
  await source.refresh();
  t.strictSame(kids(), ['second'], 'and it recovers');
});

t.test('a redirect on the same host is followed', async (t) => {
  const server = await KeyServer.start(t);
  server.handler = (request, response) => {
    if (request.url === '/keys') response.writeHead(307, { location: '/v2/keys' }).end();
    else response.end('{"keys":[]}');
  };
  t.equal(await fetchKeySet(server.url), '{"keys":[]}');
  t.strictSame(server.paths, ['/keys', '/v2/keys']);
});

t.test('plain http leads to this machine only, whatever the name', async (t) => {
  const server = await KeyServer.start(t);
  server.publish(first);
  const { port } = new URL(server.url);
  t.match(await fetchKeySet(`http://localhost:${port}/keys`), /first/);
  for (const uri of [
    'http://192.0.2.1/keys',
    'http://169.254.169.254/',
    'https://169.254.169.254/',
  ]) {
    await t.rejects(fetchKeySet(uri), { message: /must be https|metadata/ }, uri);
  }
});

t.test('a file is a source like any other', async (t) => {
  const file = path.join(t.testdir(), 'keys.json');
  writeFileSync(file, JSON.stringify({ keys: [publishedJwk(first)] }));
  const { source, clock, kids, problems } = createSource(t, { file });
  await source.start();
  t.strictSame(kids(), ['first']);
  writeFileSync(file, JSON.stringify({ keys: [publishedJwk(second), { kty: 'oct', k: 'AAAA' }] }));
  clock.advance(REFRESH_COOLDOWN_MS);
  await source.refresh();
  t.strictSame(kids(), ['second']);
  t.match(problems, [/keys\[1\]: holds a private/]);
  writeFileSync(file, 'x'.repeat(KEY_SET_BYTES_MAX + 1));
  clock.advance(REFRESH_COOLDOWN_MS);
  await source.refresh();
  t.strictSame(kids(), ['second']);
  t.match(problems.at(-1), /larger than/);
});

t.test('the keeper joins our own keys with those of the issuers', async (t) => {
  const server = await KeyServer.start(t);
  server.publish(second);
  const clock = new TestClock();
  const listeners: (() => void)[] = [];
  const problems: string[] = [];
  let own = [first];
  const options: TrustKeeperOptions = {
    issuer: 'https://own',
    audience: 'own-audience',
    signingKeys: { publicKeys: () => own, onChange: (listener) => listeners.push(listener) },
    external: [
      {
        issuer: ISSUER,
        location: { uri: server.url },
        audiences: [AUDIENCE],
        algorithms: ['ES256'],
        tokenTypes: ['JWT'],
        principalClaim: 'email',
        groupsClaim: '',
        adminGroups: [],
        autoCreate: true,
      },
    ],
    clock,
    onProblem: (issuer, problem) => problems.push(`${issuer}: ${problem}`),
  };
  const keeper = new TrustKeeper(options);
  t.teardown(() => {
    keeper.close();
  });
  const versions: number[] = [];
  keeper.onChange(({ version }) => versions.push(version));
  await keeper.start();
  t.match(keeper.current().issuers, [
    { issuer: 'https://own', kind: 'own', audiences: ['own-audience'], keys: [{ kid: 'first' }] },
    { issuer: ISSUER, kind: 'external', tokenTypes: ['jwt'], keys: [{ kid: 'second' }] },
  ]);
  own = [first, createKey('ES256', 'third')];
  for (const listener of listeners) listener();
  t.strictSame(versions, [2, 3]);
  await keeper.refresh('https://own');
  await keeper.refresh('https://unknown');
  t.equal(server.paths.length, 1, 'only an external issuer is asked');
  server.handler = (_request, response) => response.writeHead(503).end();
  clock.advance(REFRESH_COOLDOWN_MS);
  await keeper.refresh(ISSUER);
  t.strictSame(problems, [`${ISSUER}: answered 503`]);
  t.throws(() => new TrustKeeper({ ...options, issuer: ISSUER }), {
    code: 'INVALID_PARAMETER_VALUE',
    message: `auth.issuers: ${ISSUER} is our own issuer`,
  });
});
