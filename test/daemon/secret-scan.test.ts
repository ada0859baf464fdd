/** That the look for secrets finds them: each kind planted in each place, and nothing where there is none. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { temporaryDirectory } from './harness.js';
import { SecretScan } from './secret-scan.js';
import { SecretWatch } from './secret-watch.js';

const SECRET = 'f7Qz-42_the+secret/of=this~test';
const HEX = '0123456789abcdef'.repeat(4);
const TOKEN = `${Buffer.from('{"alg":"ES256","typ":"at+jwt","kid":"k"}').toString('base64url')}.e30.c2ln`;

t.test('what is told and what has a shape is found, in every spelling', (t) => {
  const scan = new SecretScan();
  scan.add('the secret', SECRET);
  const basic = Buffer.from(`client:${SECRET}`).toString('base64');
  const planted: [string, RegExp][] = [
    [`{"msg":"${SECRET}"}`, /^log: the secret$/],
    [`?token=${encodeURIComponent(SECRET)}&x=1`, /percent-encoded/],
    [`0x${Buffer.from(SECRET).toString('hex')}`, /hexadecimal/],
    [`value ${basic} of a field`, /base64/],
    [`value ${Buffer.from(`12${SECRET}`).toString('base64url')}`, /base64/],
    [`made dapi${HEX}`, /a personal access token/],
    [`made dose${HEX.slice(0, 20)}...`, /a client secret/],
    [`token ${TOKEN}`, /a signed token/],
    [`token ${TOKEN.slice(0, 40)}...`, /a signed token/],
    ['-----BEGIN EC PRIVATE KEY-----', /a private key/],
    [`{"kty":"EC","d":"${HEX.slice(0, 43)}"}`, /a private key/],
    ['authorization: bearer abcdefghijklmnop', /a credential/],
  ];
  for (const [text, finding] of planted) {
    const leaks = scan.leaks(`line\n${text}\nline`, 'log');
    t.ok(
      leaks.some((leak) => finding.test(leak)),
      text,
    );
    t.notOk(leaks.join().includes(SECRET), 'not repeated');
  }
  const clean =
    'Authorization: Bearer <token>, WWW-Authenticate: Bearer realm="pointsman", id 0123abcd';
  t.strictSame(scan.leaks(clean, 'log'), []);
  const sealed = `"sealed":"${HEX}eyJ0_Zk3-9QpWxYzAbCdEfGh${HEX}"`;
  t.strictSame(scan.leaks(sealed, 'log'), [], 'sealed bytes may begin as a token does');
  t.end();
});

t.test('files, arguments and environments', async (t) => {
  const scan = new SecretScan();
  scan.add('the secret', SECRET);
  const directory = temporaryDirectory(t);
  writeFileSync(path.join(directory, 'admin-token'), SECRET);
  mkdirSync(path.join(directory, 'folder'));
  t.strictSame(scan.leaksInFiles(directory), [], 'a credential file may');
  writeFileSync(path.join(directory, 'store.db'), `\0\0${SECRET}\0`);
  t.strictSame(scan.leaksInFiles(directory), ['file store.db: the secret']);

  const start = (script: string, secret: string, env: Record<string, string>): Promise<number> => {
    const child = spawn('/bin/sh', ['-c', script, 'sh', secret], {
      env,
      detached: true,
    });
    // With what it has started.
    t.teardown(() => process.kill(-(child.pid ?? 0), 'SIGKILL'));
    return new Promise((resolve) => {
      child.stdout.once('data', () => {
        resolve(child.pid ?? 0);
      });
    });
  };
  // A grandchild that waits, with the environment of its parent.
  const script = 'sleep 60 & echo ready; wait';
  const one = await start(script, SECRET, {});
  // The child that it forked has the same ones until it becomes another program.
  t.ok(scan.leaksInProcess(one).includes(`arguments of process ${String(one)}: the secret`));
  const two = await start(script, '', { A: SECRET });
  t.match(scan.leaksInProcess(two), [/^environment of process/, /^environment of process/]);
  const given = scan.leaksInProcess(two, [SECRET]);
  t.equal(given.length, 1, 'what was given on purpose is not passed on');
  t.notMatch(given[0], String(two));
});

t.test('a watch tells at its end', async (t) => {
  const stateDir = temporaryDirectory(t);
  writeFileSync(path.join(stateDir, 'query-token'), SECRET);
  const env = { POINTSMAN_MASTER_KEY: HEX, OTHER: 'x'.repeat(20) };
  const found = async (
    output: string,
    watched: (watch: SecretWatch) => void = () => undefined,
  ): Promise<string> => {
    const watch = new SecretWatch(stateDir, env);
    watch.started(0);
    watched(watch);
    return (await watch.finish(null, '', [output]))?.message ?? '';
  };
  t.equal(await found('all is well'), '');
  t.match(await found(`key ${HEX}`), /output: the variable POINTSMAN_MASTER_KEY$/);
  const answer = (route: string, status: number, text: string, body: unknown = null) =>
    found('', (watch) => {
      watch.onCall(route, body, status, new Headers(), text);
    });
  const create = '/api/2.0/token/create';
  t.equal(
    await answer(create, 200, `{"token_value":"dapi${HEX}"}`),
    '',
    'it is what was asked for',
  );
  t.match(await answer(create, 400, `{"message":"dapi${HEX}"}`), /answer 400 of .*personal/);
  t.match(await answer('/x', 200, SECRET), /the content of query-token/);
  const body = { deployments: [{ headers: { 'X-Api-Key': 'the-key-of-the-replica' } }] };
  const manifest = '/api/2.0/pointsman/manifest';
  t.equal(await answer(manifest, 200, JSON.stringify(body), body), '', 'an admin may read it');
  const told = found('sent the-key-of-the-replica', (watch) => {
    watch.onCall(manifest, body, 200, new Headers(), '');
  });
  t.match(await told, /a header of a deployment/);
});
