/** docs/admin-api.md and docs/errors.md say what the code does, both ways. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { pino } from 'pino';
import { createAdminApp } from '../../../src/admin/app.js';
import { RouteTable } from '../../../src/admin/route-table.js';
import * as manifest from '../../../src/config/manifest.js';
import * as input from '../../../src/control/input.js';
import { ERROR_CATALOGUE } from '../../../src/core/errors.js';
import * as limits from '../../../src/core/limits.js';
import * as store from '../../../src/store/store.js';
import { projectFile } from '../project-file.js';
import { MemoryControl, startIdentities } from './harness.js';

/** Cells of every table row that begins with a code span. */
function rowsOf(file: string): string[][] {
  return readFileSync(projectFile(file), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replace(/^`|`$/g, '')),
    );
}

t.test('docs/admin-api.md lists exactly the routes', async (t) => {
  const routes = new RouteTable();
  const control = new MemoryControl();
  const app = createAdminApp(
    {
      control,
      authenticate: () => Promise.resolve(null),
      identities: startIdentities(t, control),
      workspaceId: '1',
      supervisor: {
        workers: () => [],
        refusals: () => [],
        ready: () => ({ ready: true, reason: '' }),
        dataPlaneUrl: () => '',
      },
      metrics: { contentType: 'text/plain', render: () => Promise.resolve('') },
      logger: pino({ level: 'silent' }),
      version: '0',
      loopbackOnly: true,
      allowedHosts: [],
      updateDeadlineMs: 1,
      oidc: {
        issuer: '',
        baseUrl: () => '',
        workspaceId: '1',
        tokens: { answer: () => Promise.reject(new Error('nobody asks')) },
        keys: { publicKeys: () => [], rotate: () => Promise.resolve('') },
      },
    },
    routes,
  );
  await app.ready();
  t.teardown(() => app.close());
  const documented = rowsOf('docs/admin-api.md').map(([call]) => String(call));
  t.strictSame([...documented].sort(), [...new Set(routes.list())].sort());
  t.ok(documented.length > 30);
});

t.test('docs/errors.md lists exactly the catalogue', (t) => {
  const documented = rowsOf('docs/errors.md').filter(([code]) => /^[A-Z_]+$/.test(String(code)));
  const real = Object.entries(ERROR_CATALOGUE).map(([code, entry]) => [
    code,
    String(entry.status),
    entry.when,
  ]);
  t.strictSame(documented, real);
  t.end();
});

t.test('docs/admin-api.md says what is stored at most', (t) => {
  const constants: Record<string, unknown> = { ...manifest, ...input, ...limits, ...store };
  const text = readFileSync(projectFile('docs/admin-api.md'), 'utf8');
  const rows = [...text.matchAll(/\| (\d+) +\| `([A-Z_]+)` +\|/g)];
  t.equal(rows.length, 14);
  for (const [, value, name = ''] of rows) t.equal(String(constants[name]), value, name);
  t.end();
});
