/** `auth.issuers`: what is refused and by which name, what is filled in, and that its documentation is true. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { completeIssuers, ISSUER_SCHEMA, ISSUERS_MAX } from '../../../src/config/issuers.js';
import { projectFile } from '../project-file.js';

const ENTRY = { issuer: 'https://a', jwks_uri: 'https://a/keys', audiences: ['x'] };

t.test('an entry is completed, its file looked for beside the configuration', (t) => {
  const [issuer] = completeIssuers(
    [{ issuer: 'https://a', jwks_file: 'keys.json', audiences: ['x'] }],
    '/etc/pointsman',
  );
  t.strictSame(issuer, {
    issuer: 'https://a',
    jwks_file: '/etc/pointsman/keys.json',
    audiences: ['x'],
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    token_types: ['at+jwt'],
    principal_claim: 'sub',
    groups_claim: '',
    admin_groups: [],
    auto_create: false,
  });
  t.end();
});

t.test('a fault names its key', (t) => {
  const faults: [unknown, string | RegExp][] = [
    [[{ ...ENTRY, issuer: '' }], 'auth.issuers[0].issuer: must not be empty'],
    [[{ ...ENTRY, audience: 'x' }], 'auth.issuers[0].audience: unknown key'],
    [[{ ...ENTRY, audiences: [] }], 'auth.issuers[0].audiences: needs at least 1 item(s)'],
    [[{ ...ENTRY, audiences: 'x' }], 'auth.issuers[0].audiences: must be a list'],
    [[{ ...ENTRY, algorithms: ['HS256'] }], /auth\.issuers\[0\]\.algorithms\[0\]: must be one of/],
    [[{ ...ENTRY, algorithms: ['none'] }], /auth\.issuers\[0\]\.algorithms\[0\]: must be one of/],
    [[{ ...ENTRY, auto_create: 1 }], 'auth.issuers[0].auto_create: must be true or false'],
    [
      [{ ...ENTRY, admin_groups: ['ops'] }],
      'auth.issuers[0].admin_groups: needs groups_claim, which says where groups stand',
    ],
    [[ENTRY, ENTRY], 'auth.issuers[1].issuer: appears twice'],
    [
      [{ ...ENTRY, jwks_file: 'f' }],
      'auth.issuers[0]: needs exactly one of jwks_uri and jwks_file',
    ],
    [
      [{ issuer: 'i', audiences: ['x'] }],
      'auth.issuers[0]: needs exactly one of jwks_uri and jwks_file',
    ],
  ];
  for (const [value, message] of faults) {
    t.throws(() => completeIssuers(value, '/'), { code: 'INVALID_PARAMETER_VALUE', message });
  }
  t.end();
});

t.test(
  'a key set lies at https or on this machine, and nowhere that hands out credentials',
  (t) => {
    const faultOf = (uri: string): string | null => {
      try {
        completeIssuers([{ ...ENTRY, jwks_uri: uri }], '/');
        return null;
      } catch (error) {
        return (error as Error).message;
      }
    };
    for (const uri of [
      'https://idp.example.org/keys?tenant=1',
      'https://10.0.0.7:8443/keys',
      'http://127.0.0.1:8080/keys',
      'http://localhost/keys',
      'http://[::1]/keys',
    ]) {
      t.equal(faultOf(uri), null, uri);
    }
    for (const uri of [
      'http://idp.example.org/keys',
      'http://10.0.0.7/keys',
      'ftp://127.0.0.1/keys',
      'file:///etc/passwd',
      'https://user:pass@idp.example.org/keys',
      'https://idp.example.org/keys#a',
      'https://169.254.169.254/latest',
      'https://2852039166/latest',
      'https://0xa9.0xfe.0xa9.0xfe/',
      'https://[fe80::1]/',
      'https://[::ffff:169.254.169.254]/',
      'https://[fd00:ec2::254]/',
      'https://100.100.100.200/',
      'https://168.63.129.16/',
      'https:// idp.example.org/',
      'keys.json',
      'https://',
    ]) {
      t.match(faultOf(uri), /auth\.issuers\[0\]\.jwks_uri: /, uri);
    }
    t.end();
  },
);

t.test('docs/configuration.md lists exactly the keys of an entry', (t) => {
  const text = readFileSync(projectFile('docs/configuration.md'), 'utf8');
  const section = text.slice(
    text.indexOf('## External issuers'),
    text.indexOf('## Safe by default'),
  );
  const documented = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const real = Object.entries(ISSUER_SCHEMA.properties).map(([key, schema]) => {
    const { default: value, description } = schema as { default?: unknown; description?: string };
    return [`\`${key}\``, value === undefined ? '' : `\`${JSON.stringify(value)}\``, description];
  });
  t.strictSame(documented, real);
  t.match(text, `at most ${String(ISSUERS_MAX)} issuers`);
  t.end();
});
