/** Every command as a process of its own, against a daemon that lives. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  runCommand,
  startDaemon,
  startNamedReplica,
  temporaryDirectory,
  type Command,
} from './harness.js';
import { post, WireClient } from './wire.js';

const daemon = await startDaemon(t);
const current = await startNamedReplica(t, 'current');
const challenger = await startNamedReplica(t, 'challenger');
const folder = temporaryDirectory(t);
const manifestFile = path.join(folder, 'manifest.json');
const manifest = {
  deployments: deploymentsOf({ current: current.url, challenger: challenger.url }),
  endpoints: [endpointOf('iris', { current: 90, challenger: 10 })],
};
writeFileSync(manifestFile, JSON.stringify(manifest));

/** With the state directory as the only hint where the daemon is. */
function pointsman(...args: string[]): Promise<Command> {
  return runCommand([...args, '--state-dir', daemon.stateDir], { HOME: folder });
}

function jsonOf(command: Command): Record<string, unknown> {
  return JSON.parse(command.stdout) as Record<string, unknown>;
}

await t.test('check', async (t) => {
  const good = await pointsman('check', '-f', manifestFile);
  t.equal(good.code, 0, good.stderr);
  t.match(good.stdout, /Configuration: good/);
  t.match(good.stdout, /2 deployments, 1 endpoint/);
  const bad = path.join(folder, 'bad.yaml');
  writeFileSync(bad, 'deployments:\n  - name: a\n    serving: []\n');
  const refused = await pointsman('check', '-f', bad);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /deployments\[0\].*serv/);
  const config = path.join(folder, 'pointsman.yaml');
  writeFileSync(config, 'data_plane:\n  lisen: 127.0.0.1:1\n');
  const typo = await pointsman('check', '--config', config);
  t.equal(typo.code, 1);
  t.match(typo.stderr, /lisen.*listen/s);
});

await t.test('apply', async (t) => {
  const dry = await pointsman('apply', '-f', manifestFile, '--dry-run');
  t.equal(dry.code, 0, dry.stderr);
  t.match(dry.stdout, /create +endpoint +iris/);
  t.match(dry.stdout, /nothing was changed/i);
  t.equal((await daemon.admin('GET', '/api/2.0/serving-endpoints/iris')).status, 404);

  const applied = await pointsman('apply', '-f', manifestFile);
  t.equal(applied.code, 0, applied.stderr);
  t.match(applied.stdout, /create +deployment +challenger/);
  t.match(applied.stdout, /Applied: revision \d+/);
  t.equal((await daemon.invoke('/serving-endpoints/iris/invocations', {})).status, 200);

  const again = await pointsman('apply', '-f', manifestFile, '--json');
  t.match(jsonOf(again), { settled: true, changes: [{ action: 'unchanged' }] });

  const less = path.join(folder, 'less.json');
  writeFileSync(less, JSON.stringify({ ...manifest, endpoints: [] }));
  const unasked = await pointsman('apply', '-f', less, '--replace');
  t.equal(unasked.code, 2, 'a deletion needs --yes when nobody can be asked');
  t.match(unasked.stdout + unasked.stderr, /iris/);
  t.equal((await daemon.admin('GET', '/api/2.0/serving-endpoints/iris')).status, 200);

  const missing = await pointsman('apply', '-f', path.join(folder, 'nowhere.yaml'));
  t.not(missing.code, 0);
  t.match(missing.stderr, /nowhere\.yaml/);
});

await t.test('split', async (t) => {
  const client = new WireClient(t, daemon.dataPort);
  const enough = new AbortController();
  const load = (async () => {
    const bytes = post(daemon, '/serving-endpoints/iris/invocations', '{}');
    while (!enough.signal.aborted) await client.send(bytes).answer();
  })();
  const changed = await pointsman('split', 'iris', 'current=50', 'challenger=50', '--watch', '1');
  enough.abort();
  await load;
  t.equal(changed.code, 0, changed.stderr);
  t.match(changed.stdout, /current +90 % +50 %/);
  t.match(changed.stdout, /challenger +10 % +50 %/);
  t.match(changed.stdout, /Live after \d+ ms: config version 2, revision \d+/);
  t.match(
    changed.stdout,
    /1 s +\d+ requests +current \d+\.\d % \(0 failed\) +challenger \d+\.\d %/,
  );
  const lines = changed.stdout.trimEnd().split('\n');
  const target = `--state-dir ${daemon.stateDir}`;
  t.equal(lines.at(-1), `Undo: pointsman split iris current=90 challenger=10 ${target}`);

  const undo = (lines.at(-1) ?? '').replace('Undo: pointsman ', '').split(' ');
  const undone = await pointsman(...undo, '--watch', '0', '--json');
  t.equal(undone.code, 0, undone.stderr);
  t.match(jsonOf(undone), {
    endpoint: 'iris',
    before: [
      { name: 'current', percent: 50 },
      { name: 'challenger', percent: 50 },
    ],
    after: [
      { name: 'current', percent: 90 },
      { name: 'challenger', percent: 10 },
    ],
    config_version: 3,
  });
});

await t.test('endpoints, deployments, status', async (t) => {
  const endpoints = await pointsman('endpoints');
  t.equal(endpoints.code, 0, endpoints.stderr);
  t.match(endpoints.stdout, /iris/);
  const one = await pointsman('endpoints', 'iris');
  t.match(one.stdout, /current +90 %?/);
  t.match(jsonOf(await pointsman('endpoints', 'iris', '--json')), {
    name: 'iris',
    config_version: 3,
  });
  t.match(jsonOf(await pointsman('endpoints', '--json')), { endpoints: [{ name: 'iris' }] });

  const deployments = await pointsman('deployments');
  t.match(deployments.stdout, /current +READY +1 of 1 +iris/);
  const two = await pointsman('deployments', 'current');
  t.match(two.stdout, new RegExp(current.url));
  t.match(jsonOf(await pointsman('deployments', 'current', '--json')), {
    name: 'current',
    state: 'READY',
  });

  const status = await pointsman('status');
  t.equal(status.code, 0, status.stderr);
  t.match(status.stdout, /revision/i);
  t.match(jsonOf(await pointsman('status', '--json')), { workers: [{ state: 'SERVING' }] });
});

await t.test('a token for an endpoint, with the line to use it', async (t) => {
  const fetched = await pointsman('token', 'fetch', 'iris');
  t.equal(fetched.code, 0, fetched.stderr);
  const [assignment = '', line = ''] = fetched.stdout.split('\n');
  t.match(
    line,
    /^curl -X POST http:\/\/127\.0\.0\.1:[0-9]+\/serving-endpoints\/iris\/invocations /,
  );
  const token = /^TOKEN=([\w-]+\.[\w-]+\.[\w-]+)$/.exec(assignment)?.[1] ?? '';
  const headers = { authorization: `Bearer ${token}` };
  const path = '/serving-endpoints/iris/invocations';
  t.match(await daemon.invoke(path, { inputs: [] }, headers), { status: 200 });
  t.match(jsonOf(await pointsman('token', 'fetch', 'iris', '--json')), {
    token_type: 'Bearer',
    authorization_details: [{ type: 'workspace_permission' }],
  });
  const config = `${folder}/public.yaml`;
  writeFileSync(config, 'data_plane: { public_url: "https://models.example" }');
  const named = await pointsman('token', 'fetch', 'iris', '--json', '--config', config);
  const endpointUrl = 'https://models.example/serving-endpoints/iris/invocations';
  t.match(jsonOf(named), { endpoint_url: endpointUrl });
  t.equal((await pointsman('token', 'fetch')).code, 2);
  t.match((await pointsman('token', 'fetch', 'nobody')).stderr, /nobody does not exist/);
});

await t.test('where the daemon is and which token: flags and variables', async (t) => {
  const host = {
    DATABRICKS_HOST: daemon.adminUrl,
    DATABRICKS_TOKEN: daemon.adminToken,
    HOME: folder,
  };
  t.equal((await runCommand(['status'], host)).code, 0);
  const own = { POINTSMAN_HOST: daemon.adminUrl, POINTSMAN_ADMIN_TOKEN: daemon.adminToken };
  t.equal((await runCommand(['endpoints', 'iris'], own)).code, 0);
  const flags = ['--host', daemon.adminUrl, '--token', daemon.adminToken];
  t.equal((await runCommand(['deployments', ...flags])).code, 0);
  const wrong = await runCommand(['status', '--host', daemon.adminUrl, '--token', 'wrong']);
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /token/i);
  const nobody = path.join(folder, 'empty');
  mkdirSync(nobody);
  const off = await runCommand(['status', '--state-dir', nobody, '--token', 'x']);
  t.equal(off.code, 1);
  t.match(off.stderr, /127\.0\.0\.1:8081/, 'the address that was tried is named');
});

await t.test('wrong usage is code 2 and names what is wrong', async (t) => {
  const cases: [args: string[], names: RegExp][] = [
    [['split', 'iris', 'current=50', 'challenger=49'], /99.*100/],
    [['split', 'iris', 'current=50', 'challenger=50', 'current=0'], /current is given twice/],
    [['split', 'iris', 'curent=50', 'challenger=50'], /curent.*current/],
    [['split', 'iris', 'current=100'], /challenger/],
    [['split', 'iris', 'current=x', 'challenger=50'], /current=x/],
    [['split', 'iris'], /name=percent/],
    [['split', 'iris', 'current=50', 'challenger=50', '--watch', 'long'], /--watch.*long/],
    [['apply'], /--file/],
    [['aply'], /aply.*apply/s],
    [['status', '--jsn'], /--jsn/],
  ];
  for (const [args, names] of cases) {
    const { code, stderr } = await pointsman(...args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, names);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
  }
  const unknown = await pointsman('endpoints', 'nobody');
  t.equal(unknown.code, 1);
  t.match(unknown.stderr, /nobody.*iris/s);
  const split = await pointsman('split', 'nobody', 'a=100');
  t.equal(split.code, 1);
  t.match(split.stderr, /nobody/);
});

await t.test('help and version', async (t) => {
  const help = await runCommand(['--help']);
  t.equal(help.code, 0);
  for (const name of ['serve', 'check', 'apply', 'split', 'endpoints', 'deployments', 'status']) {
    t.match(help.stdout, new RegExp(`^ +${name}\\b`, 'm'));
    const { code, stdout } = await runCommand([name, '--help']);
    t.equal(code, 0);
    t.match(stdout, /Examples:\n {2}/);
  }
  t.match((await runCommand(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
});
