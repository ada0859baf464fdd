/** The configuration file: precedence, exact errors, and what is checked across keys. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { loadConfig, type Config } from '../../../src/config/config.js';
import { CONFIG_LEAVES, rangeOf } from '../../../src/config/schema.js';
import { PointsmanError } from '../../../src/core/errors.js';

type Sources = { flags?: Record<string, string>; env?: Record<string, string> };

t.test('loadConfig', (t) => {
  const folder = t.testdir({ 'manifest.yaml': '', sub: {} });
  const load = (yaml: string, { flags = {}, env = {} }: Sources = {}): Config => {
    const file = join(folder, 'sub', 'pointsman.yaml');
    writeFileSync(file, yaml);
    return loadConfig({ file, flags, env });
  };
  const failure = (yaml: string, sources: Sources = {}): string => {
    try {
      load(yaml, sources);
    } catch (error) {
      if (error instanceof PointsmanError) return error.message;
      throw error;
    }
    return 'accepted';
  };

  t.test('an empty file gives the documented defaults', (t) => {
    for (const config of [
      load(''),
      load('data_plane:\nadmin: {}'),
      loadConfig({ flags: {}, env: {} }),
    ]) {
      t.strictSame(config.data_plane.listen, [{ host: '127.0.0.1', port: 8080 }]);
      t.strictSame(config.admin.listen, [{ host: '127.0.0.1', port: 8081 }]);
      t.equal(config.data_plane.max_request_bytes, 16_777_216);
      t.equal(config.workspace_id, '1');
      t.equal(config.auth.mode, 'required');
      t.equal(config.manifest, '', 'the default manifest does not exist here');
      t.strictSame(config.warnings, []);
      t.ok([...config.sources.values()].every((source) => source === 'default'));
    }
    t.end();
  });

  t.test('every default passes its own check', (t) => {
    for (const leaf of CONFIG_LEAVES) {
      if (leaf.flag === null || leaf.key === 'manifest') continue;
      const text = String(leaf.schema.default);
      const config = load('', { flags: { [leaf.flag]: text } });
      t.equal(config.sources.get(leaf.key), 'flag', leaf.key);
    }
    t.end();
  });

  t.test('a flag wins over a variable, a variable over the file', (t) => {
    const yaml = 'data_plane: { workers: 1, listen: "127.0.0.1:1" }\nlog: { level: debug }';
    const env = { POINTSMAN_DATA_PLANE_WORKERS: '2', POINTSMAN_LOG_LEVEL: '' };
    const config = load(yaml, { env });
    t.equal(config.data_plane.workers, 2);
    t.equal(config.log.level, 'debug', 'an empty variable counts as unset');
    t.equal(load(yaml, { env, flags: { 'data-plane-workers': '3' } }).data_plane.workers, 3);
    t.equal(load(yaml).data_plane.workers, 1);
    t.end();
  });

  t.test('listen takes one address or several, from each source', (t) => {
    const several = [
      { host: '127.0.0.1', port: 0 },
      { host: '::1', port: 9000 },
    ];
    t.strictSame(
      load('data_plane: { listen: ["127.0.0.1:0", "[::1]:9000"] }').data_plane.listen,
      several,
    );
    const flags = { 'data-plane-listen': '127.0.0.1:0, [::1]:9000' };
    t.strictSame(load('', { flags }).data_plane.listen, several);
    t.strictSame(load('admin: { listen: "localhost:1" }').admin.listen, [
      { host: 'localhost', port: 1 },
    ]);
    for (const text of [
      '8080',
      ':8080',
      '127.0.0.1',
      '127.0.0.1:65536',
      '::1:80',
      '1.2.3:80',
      'a b:1',
    ]) {
      t.match(
        failure(`data_plane: { listen: "${text}" }`),
        /^data_plane\.listen: must be host:port/,
        text,
      );
    }
    t.match(failure('admin: { listen: ["127.0.0.1:1", "x"] }'), /^admin\.listen\[1\]: /);
    t.match(failure('admin: { listen: "127.0.0.1:8080" }'), /127\.0\.0\.1:8080 is used twice/);
    t.end();
  });

  t.test('an unknown key is an error that names it and the nearest one', (t) => {
    t.equal(
      failure('data_plane: { worker: 1 }'),
      'data_plane.worker: unknown key; did you mean workers?',
    );
    t.equal(failure('data_plan: {}'), 'data_plan: unknown key; did you mean data_plane?');
    t.equal(
      failure('allow_plaintext: true'),
      'allow_plaintext: unknown key; did you mean admin.allow_plaintext?',
    );
    t.equal(failure('log: { colour: 1 }'), 'log.colour: unknown key; known here: level');
    t.match(failure('constructor: 1'), /^constructor: unknown key/);
    t.end();
  });

  t.test('a wrong value is an error with key, range and value', (t) => {
    const faults: readonly (readonly [string, string])[] = [
      [
        'data_plane: { workers: 257 }',
        'data_plane.workers: must be an integer from 0 to 256, not 257',
      ],
      [
        'data_plane: { workers: 1.5 }',
        'data_plane.workers: must be an integer from 0 to 256, not 1.5',
      ],
      [
        'data_plane: { fast_path: "yes" }',
        'data_plane.fast_path: must be true or false, not "yes"',
      ],
      ['auth: { mode: off }', 'auth.mode: must be required or disabled, not "off"'],
      ['workspace_id: 1', 'workspace_id: must be a text of 1 to 20 digits (in quotes), not 1'],
      ['data_plane: 3', 'data_plane: must be a mapping, not 3'],
      ['auth: { issuers: [{}] }', 'auth.issuers[0].issuer: missing'],
      ['auth: { issuers: {} }', 'auth.issuers: must be a list of at most 16 issuers, not {}'],
      [
        'data_plane: { public_url: "http://a/b" }',
        'data_plane.public_url: must be empty or http(s)://host[:port] without a path, ' +
          'not "http://a/b"',
      ],
    ];
    for (const [yaml, expected] of faults) t.equal(failure(yaml), expected);
    t.equal(
      failure('', { env: { POINTSMAN_DATA_PLANE_WORKERS: 'many' } }),
      'data_plane.workers (POINTSMAN_DATA_PLANE_WORKERS): must be an integer from 0 to 256, ' +
        'not "many"',
    );
    t.match(
      failure('', { flags: { 'data-plane-fast-path': '1' } }),
      /\(--data-plane-fast-path\): must be true/,
    );
    t.end();
  });

  t.test('integers are refused just outside their range and taken at its ends', (t) => {
    for (const { key, flag, kind, schema } of CONFIG_LEAVES) {
      if (kind !== 'integer' || flag === null) continue;
      const { minimum = 0, maximum = 0 } = schema;
      for (const value of [minimum, maximum]) load('', { flags: { [flag]: String(value) } });
      for (const value of [minimum - 1, maximum + 1]) {
        t.match(
          failure('', { flags: { [flag]: String(value) } }),
          new RegExp(`^${key.replace('.', '\\.')} `),
        );
      }
    }
    t.end();
  });

  t.test('the file is refused with its name when it cannot be read', (t) => {
    t.match(failure('a: [1'), /pointsman\.yaml: The text is not YAML.* line 1, column/);
    t.match(failure('[1]'), /must be a mapping of settings/);
    t.throws(() => loadConfig({ file: join(folder, 'none.yaml'), flags: {}, env: {} }), {
      code: 'INVALID_PARAMETER_VALUE',
      message: /^--config: cannot read .*none\.yaml/,
    });
    t.end();
  });

  t.test('paths are relative to the file, those of flags to the working directory', (t) => {
    const config = load('state_dir: state\nmanifest: ../manifest.yaml');
    t.equal(config.state_dir, join(folder, 'sub', 'state'));
    t.equal(config.manifest, join(folder, 'manifest.yaml'));
    t.equal(load('', { flags: { 'state-dir': 'x' } }).state_dir, resolve('x'));
    t.equal(load('state_dir: /var/lib/p').state_dir, '/var/lib/p');
    t.match(load('manifest: none.yaml').manifest, /none\.yaml$/, 'read by who needs it');
    t.equal(load('manifest: ""').manifest, '');
    mkdirSync(join(folder, 'beside'));
    writeFileSync(join(folder, 'beside', 'manifest.yaml'), '');
    writeFileSync(join(folder, 'beside', 'p.yaml'), '');
    const found = loadConfig({ file: join(folder, 'beside', 'p.yaml'), flags: {}, env: {} });
    t.equal(found.manifest, join(folder, 'beside', 'manifest.yaml'), 'the default one is found');
    t.end();
  });

  t.test('open ports need the key that allows them', (t) => {
    const open = 'data_plane: { listen: "0.0.0.0:1", guard: "off" }';
    t.equal(failure(open), 'accepted', 'with credentials required');
    t.match(
      failure(`${open}\nauth: { mode: disabled }`),
      /^data_plane\.listen: 0\.0\.0\.0:1 can be reached by others while auth\.mode is disabled/,
    );
    const allowed = 'data_plane: { listen: "[::]:1", guard: "off", allow_unauthenticated: true }';
    t.equal(failure(`${allowed}\nauth: { mode: disabled }`), 'accepted');
    t.equal(failure('auth: { mode: disabled }'), 'accepted', 'loopback needs nothing');
    t.match(
      failure('admin: { listen: "10.0.0.1:1" }'),
      /^admin\.listen: .* admin\.allow_plaintext: true$/,
    );
    t.equal(failure('admin: { listen: "10.0.0.1:1", allow_plaintext: true }'), 'accepted');
    t.equal(failure('admin: { listen: ["127.0.0.2:1", "[::1]:1", "localhost:1"] }'), 'accepted');
    t.end();
  });

  t.test('the names of the admin port are made comparable', (t) => {
    const hosts = (yaml: string): readonly string[] => load(yaml).admin.allowed_hosts;
    t.strictSame(hosts('admin: { allowed_hosts: [Admin.Example, "[::2]"] }'), [
      'admin.example',
      '::2',
    ]);
    t.strictSame(hosts('admin: { public_url: "https://P.example:1" }'), ['p.example']);
    const open = 'listen: "10.0.0.1:1", allow_plaintext: true, public_url: "https://p.example"';
    t.strictSame(hosts(`admin: { ${open} }`), [], 'an open port stays reachable by its address');
    t.strictSame(hosts(`admin: { ${open}, allowed_hosts: [a] }`), ['a', 'p.example']);
    t.match(
      failure('admin: { allowed_hosts: ["http://x"] }'),
      /^admin\.allowed_hosts: must be a list/,
    );
    t.end();
  });

  t.test('what has no effect yet says so', (t) => {
    t.match(load('data_plane: { listen: "0.0.0.0:1", guard: "off" }').warnings, [
      /^data_plane\.guard: without the guard/,
    ]);
    t.same(load('data_plane: { listen: "0.0.0.0:1" }').warnings, []);
    t.same(load('auth: { token_ttl_s: 60 }').warnings, []);
    t.match(load('', { env: { POINTSMAN_DATA_PLANE_WORKER: '1', POINTSMAN_HOST: 'x' } }).warnings, [
      /^POINTSMAN_DATA_PLANE_WORKER: no such variable; did you mean \w+_PLANE_WORKERS\?$/,
    ]);
    t.end();
  });
  t.end();
});

t.test('every setting says in words what it takes', (t) => {
  for (const leaf of CONFIG_LEAVES) {
    t.ok(leaf.schema.description.length > 10, leaf.key);
    t.not(rangeOf(leaf), leaf.schema.pattern === undefined ? '' : 'a text', leaf.key);
  }
  t.equal(
    new Set(CONFIG_LEAVES.map((leaf) => leaf.flag)).size,
    CONFIG_LEAVES.length - 1,
    'flags differ',
  );
  t.end();
});
