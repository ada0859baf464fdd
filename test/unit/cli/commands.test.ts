/** The commands against a real control plane behind the real admin port. */
import { createServer, type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { reservePort, startReplica } from '../control/harness.js';
import { TOKEN, irisManifest, run, startDaemon, type Daemon, type RunResult } from './harness.js';

interface Session {
  readonly daemon: Daemon;
  /** Runs a command with the daemon's state directory. */
  readonly local: (
    argv: readonly string[],
    options?: Parameters<typeof run>[1],
  ) => Promise<RunResult>;
  /** Writes a manifest and gives its path. */
  readonly write: (manifest: object) => string;
}

async function startSession(t: Test, applied = true): Promise<Session> {
  const daemon = await startDaemon(t);
  const local: Session['local'] = (argv, options) =>
    run([...argv, '--state-dir', daemon.dir], options);
  const write = (manifest: object): string => {
    const file = join(daemon.dir, 'manifest.yaml');
    writeFileSync(file, stringify(manifest));
    return file;
  };
  if (applied) {
    const made = await local(['apply', '-f', write(irisManifest(daemon.replica.url))]);
    t.equal(made.code, 0, made.err);
  }
  return { daemon, local, write };
}

t.test('split changes the shares, watches, and says how to undo it', async (t) => {
  const { daemon, local } = await startSession(t);
  daemon.setCounters([
    { entity: 'current', ok: 900, failed: 0 },
    { entity: 'challenger', ok: 100, failed: 0 },
  ]);
  const result = await local(['split', 'iris', 'current=50', 'challenger=50', '--watch', '2'], {
    onSleep: (elapsedMs) => {
      const seconds = Math.round(elapsedMs / 1000);
      daemon.setCounters([
        { entity: 'current', ok: 900 + 30 * seconds, failed: 0 },
        { entity: 'challenger', ok: 100 + 29 * seconds, failed: seconds },
      ]);
    },
  });
  t.equal(result.code, 0, result.err);
  const lines = result.out.split('\n');
  t.strictSame(lines.slice(0, 3), [
    'iris         old   new',
    'current     90 %  50 %',
    'challenger  10 %  50 %',
  ]);
  t.match(lines[3], /^Live after \d+ ms: config version 2, revision \d+\.$/);
  t.match(
    lines[5],
    /^ {2}1 s {2}60 requests {2}current 50\.0 % \(0 failed\) {2}challenger 50\.0 % \(1 failed\)$/,
  );
  t.match(lines[6], /^ {2}2 s {2}120 requests .*\(2 failed\)$/);
  const target = `--state-dir ${daemon.dir}`;
  t.equal(lines.at(-1), `Undo: pointsman split iris current=90 challenger=10 ${target}`);
  const shares = daemon.dataPlane.last.endpoints[0]?.entities.map(({ sharePpm }) => sharePpm);
  t.strictSame(shares, [500_000, 500_000]);

  const undo = String(lines.at(-1)).split(' ').slice(2);
  const undone = await local([...undo, '--watch', '0', '--json']);
  t.match(JSON.parse(undone.out), {
    endpoint: 'iris',
    before: [{ percent: 50 }, { percent: 50 }],
    after: [{ name: 'current', percent: 90 }, { percent: 10 }],
    config_version: 3,
    live: true,
    undo: `pointsman split iris current=50 challenger=50 ${target}`,
  });
});

t.test('Ctrl-C in the watch leaves the change in place and prints the undo line', async (t) => {
  const { daemon, local } = await startSession(t);
  const result = await local(['split', 'iris', 'current=1', 'challenger=99'], {
    onSleep: (_elapsedMs, interrupt) => {
      interrupt();
    },
  });
  t.equal(result.code, 0);
  t.match(
    result.out,
    /The watch has ended; the change stays in place\.\nUndo: pointsman split iris current=90/,
  );
  t.match(daemon.control.getEndpoint('iris').value, { config: { config_version: 2 } });
});

t.test('split refuses what is wrong without changing anything', async (t) => {
  const { daemon, local } = await startSession(t);
  const { revision } = daemon.control;
  for (const [args, code, message] of [
    [['iris', 'current=50', 'challenger=51'], 2, /sums to 101, not 100/],
    [
      ['iris', 'current=50', 'challengr=50'],
      2,
      /no served entity challengr.*Did you mean challenger\?/,
    ],
    [['iris', 'current=100'], 2, /challenger has 10 % now and is not named/],
    [['irish', 'current=100'], 1, /irish.*\(RESOURCE_DOES_NOT_EXIST\)/],
    [['iris', 'current=100', '--watch', 'long'], 2, /must be a number of seconds/],
  ] as const) {
    const result = await local(['split', ...args]);
    t.equal(result.code, code, args.join(' '));
    t.match(result.err, message);
    t.notMatch(result.out, /Undo/, 'there is nothing to undo');
  }
  t.equal(daemon.control.revision, revision);
});

t.test('rollback goes to what served before, or to a version; --list shows them', async (t) => {
  const { daemon, local } = await startSession(t);
  const none = await local(['rollback', 'iris']);
  t.equal(none.code, 1);
  t.match(
    none.err,
    /iris has no config that served before and differs.*\nSee what is kept with .*--list/,
  );
  await local(['split', 'iris', 'current=50', 'challenger=50', '--watch', '0']);
  const list = await local(['rollback', 'iris', '--list']);
  t.match(
    list.out,
    /^version +state +accepted +by +split +model\n +2 +active .* admin +current 50 %, ch/,
  );
  t.match(
    list.out,
    /\n +1 {2}.* admin +current 90 %, challenger 10 % +demo\.models\.iris v1, demo\.models\.iris v2$/,
  );
  const back = await local(['rollback', 'iris']);
  t.equal(back.code, 0, back.err);
  t.match(
    back.out,
    /^iris +old +new\ncurrent +50 % demo\.models\.iris v1 +90 % demo\.models\.iris v1\n/,
  );
  t.match(back.out, /\niris: config version 1 again\.\nLive after \d+ ms: config version 3, /);
  t.match(back.out, /\nUndo: pointsman rollback iris 2 --state-dir /);
  const shares = daemon.dataPlane.last.endpoints[0]?.entities.map(({ sharePpm }) => sharePpm);
  t.strictSame(shares, [900_000, 100_000]);
  const chosen = await local(['rollback', 'iris', '2', '--json']);
  t.match(JSON.parse(chosen.out), {
    rolled_back_to: 2,
    config_version: 4,
    undo: /iris 3 --state-dir /,
  });
  const same = await local(['rollback', 'iris', '2']);
  t.match(same.out, /\nConfig version 2 is the same as the active one\.\n/);
  const past = await local(['rollback', 'iris']);
  t.match(past.out, /\niris: config version 3 again\./, 'versions 4 and 2 are what serves');
  await daemon.control.updateConfig('iris', NEVER_READY, { principal: 'mia' });
  t.equal((await local(['cancel-update', 'iris'])).code, 0);
  t.match((await local(['rollback', 'iris', '--list'])).out, /\n +7 +never served .* mia /);
  t.match(
    (await local(['rollback', 'iris', '9'])).err,
    /no config version 9; the newest kept are 7/,
  );
  t.equal((await local(['rollback', 'iris', 'x'])).code, 2);
  t.equal((await local(['rollback', 'nope'])).code, 1);
});

const NEVER_READY = {
  served_entities: [{ name: 'next', entity_name: 'demo.models.iris', entity_version: '9' }],
};

t.test('an update that waits: seen, in the way, preempted, canceled', async (t) => {
  const { daemon, local, write } = await startSession(t);
  const options = { principal: 'mia' };
  await daemon.control.updateConfig('iris', NEVER_READY, options);
  const shown = await local(['endpoints', 'iris']);
  t.match(shown.out, /config version 1 \(2 waits\)/);
  t.match(
    shown.out,
    /\nConfig version 2 waits, since .*:\nentity .*\nnext +100 % +demo\.models\.iris v9 +none +no deployment/,
  );
  const split = ['split', 'iris', 'current=50', 'challenger=50', '--watch', '0'];
  t.match((await local(split)).err, /is being updated.*\(RESOURCE_CONFLICT\)/);
  const preempted = await local([...split, '--preempt']);
  t.equal(preempted.code, 0, preempted.err);
  t.match(preempted.out, /Live after \d+ ms: config version 3/);

  await daemon.control.updateConfig('iris', NEVER_READY, options);
  const canceled = await local(['cancel-update', 'iris']);
  t.equal(canceled.code, 0, canceled.err);
  t.equal(
    canceled.out,
    'iris: the update to config version 4 is canceled; config version 3 goes on serving.',
  );
  t.match((await local(['cancel-update', 'iris'])).err, /no update in progress/);
  t.match((await local(['endpoints'])).out, /UPDATE_CANCELED +3 \(4 was canceled\)/);

  await daemon.control.updateConfig('iris', NEVER_READY, options);
  const manifest = write(irisManifest(daemon.replica.url));
  t.equal((await local(['apply', '-f', manifest])).code, 1);
  const applied = await local(['apply', '-f', manifest, '--preempt']);
  t.equal(applied.code, 0, applied.err);
  t.match(daemon.control.getEndpoint('iris').value, { config: { config_version: 6 } });
});

t.test('apply shows each change and what is waited for, then that it is true', async (t) => {
  const { daemon, local, write } = await startSession(t, false);
  const port = await reservePort(t);
  const file = write(irisManifest(`http://127.0.0.1:${String(port)}`));
  const plan = await local(['apply', '-f', file, '--dry-run']);
  t.match(plan.out, /create {2}deployment {2}iris/);
  t.match(plan.out, /Dry run: nothing was changed\.$/);
  t.strictSame(daemon.control.listEndpoints(), []);

  let started: Promise<unknown> | null = null;
  const result = await local(['apply', '-f', file], {
    onSleep: () => {
      const { message } = daemon.control.status().endpoints[0] ?? { message: '' };
      if (message.includes(String(port))) started ??= startReplica(t, port);
    },
  });
  t.equal(result.code, 0, result.err);
  t.match(result.out, new RegExp(`iris waits: .*iris.*127\\.0\\.0\\.1:${String(port)}`));
  t.match(result.out, /\nApplied: revision \d+\.$/);
  const again = await local(['apply', '-f', file]);
  t.match(again.out, /^Nothing to change; 2 resources as in the manifest\./);
});

t.test('apply gives up waiting at its timeout and says what goes on', async (t) => {
  const { local, write } = await startSession(t, false);
  const port = await reservePort(t);
  const file = write(irisManifest(`http://127.0.0.1:${String(port)}`));
  const result = await local(['apply', '-f', file, '--timeout', '1']);
  t.equal(result.code, 3);
  t.match(result.err, /The manifest is stored, but not ready yet: iris\.\nThe daemon goes on/);
});

t.test('apply says which deployments serve as before', async (t) => {
  const { local, write } = await startSession(t);
  const port = await reservePort(t);
  const file = write(irisManifest(`http://127.0.0.1:${String(port)}`));
  const result = await local(['apply', '-f', file]);
  t.equal(result.code, 0, result.err);
  t.match(result.out, /\n[\w-]+: changed, but serves as before until .*\nApplied: revision \d+\.$/);
});

t.test('apply --replace shows what it deletes and needs a yes', async (t) => {
  const { daemon, local, write } = await startSession(t);
  const file = write({ deployments: [], endpoints: [] });
  const replace = ['apply', '-f', file, '--replace'];
  const silent = await local(replace);
  t.equal(silent.code, 2);
  t.match(silent.out, /--replace deletes:\n.*\ndelete {2}/);
  t.match(silent.err, /Nothing was changed\.\nAdd --yes/);
  const declined = await local(replace, { answer: 'n' });
  t.equal(declined.code, 1);
  t.match(declined.questions, [/^Delete 2 resources\? \[y\/N\] $/]);
  t.equal(daemon.control.listEndpoints().length, 1);
  t.equal((await local(replace, { answer: 'y' })).code, 0);
  t.equal(daemon.control.listEndpoints().length, 0);
  t.equal((await local([...replace, '--yes'])).code, 0);
});

t.test('apply names file, line and field of what is wrong', async (t) => {
  const { daemon, local } = await startSession(t, false);
  const file = join(daemon.dir, 'bad.yaml');
  writeFileSync(file, 'endpoints: [1\nx: 2');
  t.match(
    (await local(['apply', '-f', file])).err,
    /bad\.yaml: The text is not YAML.* line 2, column 1$/,
  );
  const unknown = await local(['apply', '-f', '-'], { input: '{"endpoint": []}' });
  t.match(unknown.err, /endpoint: unknown key.*\(INVALID_PARAMETER_VALUE\)/);
  t.match((await local(['apply', '-f', '-'], { input: ' ' })).err, /standard input is empty/);
  t.match((await local(['apply', '-f', '/nowhere'])).err, /Cannot read the manifest \/nowhere/);
  t.equal((await local(['apply'])).code, 2);
});

t.test('endpoints, deployments and status: tables for people, JSON for scripts', async (t) => {
  const { daemon, local } = await startSession(t);
  daemon.setCounters([{ entity: 'current', ok: 9, failed: 1 }]);
  const list = await local(['endpoints']);
  t.match(
    list.out,
    /^endpoint +ready +update +version +split\niris +READY +NOT_UPDATING +1 +current 90 %, ch/,
  );
  const one = await local(['endpoints', 'iris']);
  t.match(
    one.out,
    /\ncurrent +90 % +demo\.models\.iris v1 +iris +10 +1 +0 +0\.5 ms +0\.9 ms +0\.99 ms/,
  );
  t.match(JSON.parse((await local(['endpoints', 'iris', '--json'])).out), { name: 'iris' });
  t.match(
    (await local(['endpoints', 'nope'])).err,
    /There is no endpoint nope\.\nEndpoints: iris\./,
  );
  t.match((await local(['deployments'])).out, /\niris +READY +1 of 1 +iris$/);
  t.match(
    (await local(['deployments', 'iris'])).out,
    /\n127\.0\.0\.1:\d+ +http:\/\/127\.0\.0\.1:\d+\/? +1 +READY +0 /,
  );
  t.match(
    (await local(['deployments', 'iris'])).out,
    /\nLoad: 0 in flight \(no limit\), 0 waiting, 0 turned away since the start\.\n/,
  );
  t.match((await local(['deployments', 'x'])).err, /There is no deployment x\./);
  const status = await local(['status']);
  t.match(status.out, /^pointsman 9\.9\.9 at http:\/\/127\.0\.0\.1:\d+, up /);
  t.match(status.out, /\n {5}0 {3}42 +SERVING degraded +js +1 +2 +12 ms +3 +5 +1 +4\n/);
  t.match(JSON.parse((await local(['status', '--json'])).out), { version: '9.9.9', workers: [{}] });
});

t.test(
  'host and token: flags, then POINTSMAN_, then DATABRICKS_, then the state directory',
  async (t) => {
    const { daemon } = await startSession(t);
    const { url } = daemon;
    const works = async (argv: string[], env: Record<string, string>): Promise<void> => {
      const result = await run(['status', ...argv], { env });
      t.equal(result.code, 0, `${argv.join(' ')} ${JSON.stringify(env)} ${result.err}`);
    };
    const bad = 'http://127.0.0.1:1';
    await works(['--host', url, '--token', TOKEN], {
      POINTSMAN_HOST: bad,
      POINTSMAN_ADMIN_TOKEN: 'x',
    });
    await works([], { POINTSMAN_HOST: url, POINTSMAN_ADMIN_TOKEN: TOKEN, DATABRICKS_HOST: bad });
    await works([], { DATABRICKS_HOST: `${url}/`, DATABRICKS_TOKEN: TOKEN });
    await works([], { DATABRICKS_HOST: url.replace('http://', ''), DATABRICKS_TOKEN: TOKEN });
    await works([], { POINTSMAN_STATE_DIR: daemon.dir });
    await works(['--host', url], { POINTSMAN_STATE_DIR: daemon.dir });
    const config = join(daemon.dir, 'pointsman.yaml');
    writeFileSync(config, 'state_dir: .');
    await works(['--config', config], { DATABRICKS_HOST: bad });
    await works([], { POINTSMAN_CONFIG: config });
  },
);

t.test('a credential never goes to a host that it does not belong to', async (t) => {
  const { daemon } = await startSession(t);
  const other = await startReplica(t);
  const env = {
    POINTSMAN_STATE_DIR: daemon.dir,
    DATABRICKS_HOST: 'https://workspace.example',
    DATABRICKS_TOKEN: 'of-the-workspace',
  };
  await run(['status', '--host', other.url], { env });
  t.equal(other.headers.length, 1);
  t.equal(other.headers[0]?.['authorization'], undefined);
});

t.test('failures say what was tried and what to do', async (t) => {
  const { daemon, local } = await startSession(t);
  const env = { POINTSMAN_STATE_DIR: daemon.dir };
  const wrong = await run(['status', '--token', 'x'], { env });
  t.equal(wrong.code, 1);
  t.match(
    wrong.err,
    /\(UNAUTHENTICATED\)\nThe token was not accepted\. The local token is in .*admin-token/,
  );
  const html = await startReplica(t);
  html.status = 200;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const lost = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const unknown = await run(['cancel-update', 'iris', '--host', lost]);
  server.close();
  t.match(unknown.err, `The connection to ${lost} was lost before the answer came.`);
  t.match(unknown.err, /may have been done: look with "pointsman status --host/);
  t.match(
    (await run(['status', '--host', 'a b'])).err,
    /--host: "a b" is not a URL.*\nWrite it like http/,
  );
  const typo = join(daemon.dir, 'typo');
  const config = join(daemon.dir, 'pointsman.yaml');
  writeFileSync(config, `admin: { listen: '${new URL(daemon.url).host}' }`);
  const mistyped = ['status', '--config', config, '--state-dir', typo];
  t.match((await run(mistyped)).err, `No token was found. No daemon has run in ${typo}; name its`);
  await daemon.close();
  t.match(
    (await run(mistyped)).err,
    `came from the configuration, as no daemon has run in ${typo}.`,
  );
  const gone = await local(['status']);
  t.equal(gone.code, 1);
  t.match(
    gone.err,
    new RegExp(
      `^pointsman: No daemon answers at ${daemon.url} \\(ECONNREFUSED\\); .*state directory`,
    ),
  );
  t.match(gone.err, /Start one with "pointsman serve"/);
});

t.test('check finds what is wrong with a configuration and a manifest', async (t) => {
  const folder = t.testdir({
    'good.yaml': 'data_plane: { listen: "127.0.0.1:0" }',
    'bad.yaml': 'data_plane: { worker: 1 }',
    'manifest.yaml': stringify(irisManifest('http://127.0.0.1:9')),
    'wrong.yaml': stringify(irisManifest('https://127.0.0.1:9')),
    alone: { 'c.yaml': '' },
  });
  const good = join(folder, 'good.yaml');
  const both = await run(['check', '--config', good, '-f', join(folder, 'manifest.yaml')]);
  t.equal(both.code, 0, both.err);
  t.match(
    both.out,
    /^Configuration: good\. Data port 127\.0\.0\.1:0, admin port 127\.0\.0\.1:8081/,
  );
  t.match(both.out, /Manifest .*manifest\.yaml: good\. 1 deployment, 1 endpoint\.$/);
  const json = await run([
    'check',
    '--config',
    good,
    '-f',
    join(folder, 'manifest.yaml'),
    '--json',
  ]);
  t.match(JSON.parse(json.out), {
    data_plane: { listen: ['127.0.0.1:0'] },
    admin: { listen: ['127.0.0.1:8081'] },
    state_dir: /pointsman-state$/,
    warnings: [],
    manifest: { deployments: 1, endpoints: 1, unchecked_principals: [] },
  });
  const alone = await run(['check', '--config', join(folder, 'alone', 'c.yaml'), '--json']);
  t.match(JSON.parse(alone.out), { manifest: null });
  const forgotten = { ...irisManifest('http://127.0.0.1:9'), deployments: [] };
  const input = JSON.stringify(forgotten);
  const noted = await run(['check', '--config', good, '-f', '-'], { input });
  t.equal(noted.code, 0);
  t.match(
    noted.out,
    /\nNote: no deployment of the manifest serves demo\.models\.iris version 1, which endpoint iris names\./,
  );
  const bad = await run(['check', '--config', join(folder, 'bad.yaml')]);
  t.equal(bad.code, 1);
  t.match(bad.err, /data_plane\.worker: unknown key; did you mean workers\?/);
  const wrong = await run(['check', '--config', good, '-f', join(folder, 'wrong.yaml')]);
  t.equal(wrong.code, 1);
  t.match(wrong.err, /wrong\.yaml: deployments\[0\]\.replicas\[0\]\.url: /);
  const flag = await run(['check', '--data-plane-workers', 'many']);
  t.match(flag.err, /data_plane\.workers \(--data-plane-workers\): must be an integer/);
});

t.test('rotate-keys says what becomes of the tokens', async (t) => {
  const daemon = await startDaemon(t);
  const local = (argv: string[]) => run([...argv, '--host', daemon.url, '--token', TOKEN]);
  t.match((await local(['rotate-keys'])).out, /^Key next is published and signs in a minute/);
  t.match((await local(['rotate-keys', '--revoke'])).out, /^Key fresh signs now; every token/);
  const json = await local(['rotate-keys', '--revoke', '--json']);
  t.strictSame(JSON.parse(json.out), { kid: 'fresh', revoked: true });
});

const COMMANDS = [
  'serve',
  'check',
  'apply',
  'split',
  'rollback',
  'cancel-update',
  'endpoints',
  'deployments',
  'rotate-keys',
  'status',
];

t.test('usage: help has examples for every command, mistakes end in 2', async (t) => {
  const help = await run(['--help']);
  t.equal(help.code, 0);
  t.match(help.out, /Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 accepted/);
  for (const name of COMMANDS) {
    t.match(help.out, new RegExp(`\n  ${name} `));
    t.match((await run([name, '--help'])).out, new RegExp(`Examples:\n.*pointsman ${name}`));
  }
  t.equal((await run(['--version'])).out, '9.9.9');
  const unknown = await run(['splitt', 'iris']);
  t.equal(unknown.code, 2);
  t.match(unknown.err, /unknown command 'splitt'.*\n.*split/);
  t.equal((await run(['split', 'iris'])).code, 2);
  t.equal((await run(['status', '--nope'])).code, 2);
});

t.test('apply names what serves without a ready replica', async (t) => {
  const { daemon, local, write } = await startSession(t);
  const file = write(irisManifest(daemon.replica.url));
  daemon.replica.status = 500;
  while (daemon.control.status().deployments[0]?.state === 'READY') await delay(20);
  const result = await local(['apply', '-f', file]);
  t.equal(result.code, 0, result.err);
  t.match(result.out, /\niris: current has no ready replica: .*\niris: challenger has no ready/);
  t.match(result.out, /\nApplied: revision \d+\.$/);
});
