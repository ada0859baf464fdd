/**
 * The HTTP side of the admin port: bodies, paths, credentials, error form, fields on every answer.
 */
import { request } from 'node:http';
import t from 'tap';
import { invalidField } from '../../../src/core/errors.js';
import { UNBUILT_CALLS } from '../../../src/admin/routes/unbuilt.js';
import { ADMIN, ADMIN_TOKEN, QUERY, call, sendRaw, startAdmin } from './harness.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const MANIFEST = '/api/2.0/pointsman/manifest';
const JSON_TYPE = { 'content-type': 'application/json' };

t.test(
  'endpoints: create, list, get, update, delete, with and without trailing slash',
  async (t) => {
    const admin = await startAdmin(t);
    for (const [name, slash] of [
      ['a', ''],
      ['b', '/'],
    ] as const) {
      const body = JSON.stringify({ name });
      const made = await call(admin, 'POST', ENDPOINTS + slash, { body, headers: JSON_TYPE });
      t.equal(made.status, 200);
      t.equal(made.headers.get('etag'), admin.control.records.get(name)?.etag);
      t.equal(made.headers.get('x-pointsman-revision'), String(admin.control.revision));
      const got = await call(admin, 'GET', `${ENDPOINTS}/${name}${slash}`);
      t.strictSame(got.json, { name });
      t.strictSame((await call(admin, 'GET', ENDPOINTS + slash)).status, 200);
    }
    t.strictSame((await call(admin, 'GET', ENDPOINTS)).json, {
      endpoints: [{ name: 'a' }, { name: 'b' }],
    });
    const etag = admin.control.records.get('a')?.etag ?? '';
    const put = { body: '{"x":1}', headers: { ...JSON_TYPE, 'if-match': etag } };
    t.strictSame((await call(admin, 'PUT', `${ENDPOINTS}/a/config`, put)).json, {
      name: 'a',
      config: { x: 1 },
    });
    const again = await call(admin, 'PUT', `${ENDPOINTS}/a/config`, put);
    t.equal(again.status, 409);
    t.equal(again.json['error_code'], 'RESOURCE_CONFLICT');
    const weak = { ...put, headers: { ...JSON_TYPE, 'if-match': 'x, y' } };
    t.match((await call(admin, 'PUT', `${ENDPOINTS}/a/config`, weak)).json, {
      message: /^If-Match: /,
    });

    const gone = await call(admin, 'DELETE', `${ENDPOINTS}/a`, { headers: JSON_TYPE });
    t.equal(gone.status, 200);
    t.equal(gone.text, '{}');
    const missing = await call(admin, 'GET', `${ENDPOINTS}/a`);
    t.equal(missing.status, 404);
    t.equal(missing.headers.get('x-pointsman-error'), 'RESOURCE_DOES_NOT_EXIST');
    t.ok(admin.control.changes.every(({ principal }) => principal === 'admin'));
  },
);

t.test('rollback, cancel and history; preempt is a field', async (t) => {
  const admin = await startAdmin(t);
  const { changes } = admin.control;
  await call(admin, 'POST', ENDPOINTS, { body: '{"name":"a"}', headers: JSON_TYPE });
  const own = '/api/2.0/pointsman/endpoints/a';
  const body = '{"config_version":1}';
  const back = await call(admin, 'POST', `${own}/rollback`, {
    body,
    headers: { ...JSON_TYPE, 'x-pointsman-preempt': 'true', 'if-match': '"2"' },
  });
  t.match(back.json, { name: 'a', rolled_back: { config_version: 1 } });
  t.equal(back.headers.get('etag'), '"3"');
  t.match(changes.at(-1), { principal: 'admin', preempt: true, ifMatch: '"2"' });
  t.match((await call(admin, 'POST', `${own}/cancel-update`)).json, { canceled: true });
  t.strictSame((await call(admin, 'GET', `${own}/history`)).json, { configs: [] });
  t.equal((await call(admin, 'POST', `${own}/rollback`, { headers: JSON_TYPE })).status, 400);
  t.equal((await call(admin, 'GET', `${own}/rollback`)).status, 405);
  t.equal((await call(admin, 'POST', `${own}/cancel-update`, { headers: QUERY })).status, 403);

  for (const [path, method] of [
    [`${ENDPOINTS}/a/config`, 'PUT'],
    [MANIFEST, 'PATCH'],
  ] as const) {
    const send = (preempt: string) =>
      call(admin, method, path, {
        body: '{}',
        headers: { ...JSON_TYPE, 'x-pointsman-preempt': preempt },
      });
    t.equal((await send('true')).status, 200);
    const mistyped = await send('yes');
    t.equal(mistyped.status, 400);
    t.match(mistyped.json, { message: 'X-Pointsman-Preempt: must be true or false' });
  }
  t.match(changes.at(-1), { preempt: true });
  t.match(admin.control.applied, [{ options: { preempt: true } }]);
});

t.test('the paths of other calls are not endpoint names', async (t) => {
  const admin = await startAdmin(t);
  for (const name of ['pt', 'get-model-optimization-info']) {
    const refused = await call(admin, 'POST', ENDPOINTS, {
      body: JSON.stringify({ name }),
      headers: JSON_TYPE,
    });
    t.match(refused.json, {
      error_code: 'INVALID_PARAMETER_VALUE',
      message: `name: ${name} is a reserved name`,
    });
  }
  t.equal(admin.control.records.size, 0);
});

t.test('a body that is not JSON is refused with line and column', async (t) => {
  const admin = await startAdmin(t);
  const bodies: readonly (readonly [string, RegExp])[] = [
    ['{"name":"multi-model"\n "config":{}}', /at line 2, column 2$/],
    ['{"name":', /at line 1, column 9$/],
    ['{"a":1,"a":2}', /appears twice at line 1, column 8$/],
    ['{"__proto__":{}}', /not allowed at line 1, column 2$/],
    ['', /^The body is empty at line 1, column 1$/],
    ['nonsense', /at line 1, column 1$/],
  ];
  for (const [body, message] of bodies) {
    const answer = await call(admin, 'POST', ENDPOINTS, { body, headers: JSON_TYPE });
    t.equal(answer.status, 400, body);
    t.match(answer.json, { error_code: 'MALFORMED_REQUEST', message });
  }
  t.strictSame(admin.control.changes, []);
});

t.test('content types: none is JSON, a form is refused, YAML is the manifest only', async (t) => {
  const admin = await startAdmin(t);
  const bytes = Buffer.from('{"name":"a"}');
  const untyped = await fetch(admin.url + ENDPOINTS, {
    method: 'POST',
    headers: ADMIN,
    body: bytes,
  });
  t.equal(untyped.status, 200);
  for (const type of ['application/x-www-form-urlencoded', 'text/yaml', 'text/plain']) {
    const headers = { 'content-type': type };
    const answer = await call(admin, 'POST', ENDPOINTS, { body: '{"name":"b"}', headers });
    t.equal(answer.status, 415, type);
    t.match(answer.json, {
      error_code: 'INVALID_PARAMETER_VALUE',
      message: /send application\/json$/,
    });
  }
  const coded = await call(admin, 'POST', ENDPOINTS, {
    body: '{"name":"b"}',
    headers: { 'content-encoding': 'gzip' },
  });
  t.match(coded, { status: 415, json: { message: /^Content-Encoding: "gzip" is not taken/ } });
  for (const type of ['Application/JSON; charset=utf-8', 'application/merge-patch+json']) {
    const headers = { 'content-type': type };
    t.equal(
      (await call(admin, 'POST', ENDPOINTS, { body: '{"name":"c"}', headers })).status,
      200,
      type,
    );
  }
});

t.test('a body over the limit is refused with 413, one at the limit is read', async (t) => {
  const admin = await startAdmin(t);
  const limit = 16 * 1024 * 1024;
  const fill = (bytes: number): string => `{"name":"${'x'.repeat(bytes - 11)}"}`;
  t.equal(
    (await call(admin, 'POST', ENDPOINTS, { body: fill(limit), headers: JSON_TYPE })).status,
    200,
  );
  const fields = `host: localhost\r\nauthorization: Bearer ${ADMIN_TOKEN}\r\n`;
  const head = `POST ${ENDPOINTS} HTTP/1.1\r\n${fields}`;
  const answer = await sendRaw(admin.url, `${head}content-length: ${String(limit + 1)}\r\n\r\n`);
  t.match(answer, /^HTTP\/1\.1 413 /);
  t.match(answer, /"INVALID_PARAMETER_VALUE"/);
});

t.test('the manifest: JSON and YAML, both methods, strict query', async (t) => {
  const admin = await startAdmin(t);
  const { applied, waits } = admin.control;
  await call(admin, 'PUT', MANIFEST, { body: '{"endpoints":[]}', headers: JSON_TYPE });
  const yaml = { 'content-type': 'application/x-yaml' };
  await call(admin, 'PATCH', `${MANIFEST}?dry_run=true&wait=all`, {
    body: 'endpoints: []',
    headers: yaml,
  });
  t.match(applied, [
    {
      manifest: { endpoints: [] },
      options: { mode: 'replace', dryRun: false, principal: 'admin' },
    },
    { manifest: { endpoints: [] }, options: { mode: 'upsert', dryRun: true } },
  ]);
  t.strictSame(waits, [], 'a dry run has nothing to wait for');
  const waited = await call(admin, 'PUT', `${MANIFEST}?wait=all`, {
    body: '{}',
    headers: JSON_TYPE,
  });
  t.equal(waited.json['settled'], true);
  t.strictSame(waits, [6000]);

  const bad = await call(admin, 'PUT', MANIFEST, { body: 'a: [1\nb: 2', headers: yaml });
  t.match(bad.json, {
    error_code: 'MALFORMED_REQUEST',
    message: /^The text is not YAML.* line 2, column 1$/,
  });
  for (const [query, message] of [
    ['dryrun=true', 'dryrun: unknown query parameter; did you mean dry_run?'],
    ['dry_run=1', 'dry_run: must be true or false'],
    ['wait=some', 'wait: must be all'],
  ]) {
    const answer = await call(admin, 'PUT', `${MANIFEST}?${String(query)}`, {
      body: '{}',
      headers: JSON_TYPE,
    });
    t.equal(answer.status, 400);
    t.equal(answer.json['message'], message);
  }
  t.equal(applied.length, 3);

  const json = await call(admin, 'GET', MANIFEST);
  t.strictSame(json.json, { deployments: [], endpoints: [] });
  t.equal(json.headers.get('etag'), '"m"');
  const text = await call(admin, 'GET', MANIFEST, { headers: { accept: 'application/yaml' } });
  t.match(text.headers.get('content-type'), /^application\/yaml/);
  t.equal(text.text, 'deployments: []\nendpoints: []\n');
});

t.test('deployments and status', async (t) => {
  const admin = await startAdmin(t);
  const path = '/api/2.0/pointsman/deployments';
  const put = await call(admin, 'PUT', `${path}/m`, {
    body: '{"protocol":"raw"}',
    headers: JSON_TYPE,
  });
  t.equal(put.status, 200);
  t.equal(put.headers.get('etag'), '"d"');
  t.match((await call(admin, 'GET', path)).json, {
    deployments: [{ name: 'm', state: 'NOT_READY' }],
  });
  t.match((await call(admin, 'GET', `${path}/m/`)).json, { name: 'm', spec: { protocol: 'raw' } });
  t.equal((await call(admin, 'DELETE', `${path}/m`)).text, '{}');
  const status = await call(admin, 'GET', '/api/2.0/pointsman/status');
  t.match(status.json, {
    version: '9.9.9',
    revision: 1,
    workers: [{ slot: 0 }],
    endpoints: [],
    deployments: [{}],
  });
  t.type(status.json['uptime_s'], 'number');
});

t.test('every route asks for a credential except the health checks', async (t) => {
  const admin = await startAdmin(t);
  const routes: readonly (readonly [string, string])[] = [
    ['GET', ENDPOINTS],
    ['POST', ENDPOINTS],
    ['GET', `${ENDPOINTS}/a`],
    ['PUT', `${ENDPOINTS}/a/config`],
    ['DELETE', `${ENDPOINTS}/a`],
    ['GET', '/api/2.0/pointsman/deployments'],
    ['PUT', '/api/2.0/pointsman/deployments/a'],
    ['PUT', MANIFEST],
    ['GET', '/api/2.0/pointsman/status'],
    ['GET', '/nowhere'],
    ...UNBUILT_CALLS.map(([, method, path]) => [String(method), path.replaceAll(':', '')] as const),
  ];
  const credentials = [{}, { authorization: 'Bearer wrong' }, { authorization: 'Basic eDp5' }];
  for (const [method, path] of routes) {
    for (const headers of credentials) {
      const response = await fetch(admin.url + path, { method, headers });
      t.equal(response.status, 401, `${method} ${path}`);
      t.match(response.headers.get('www-authenticate'), /^Bearer/);
      t.match(await response.json(), { error_code: 'UNAUTHENTICATED', message: /credential/ });
    }
    const query = await fetch(admin.url + path, { method, headers: QUERY });
    t.equal(query.status, 403, `${method} ${path} with the query token`);
    t.match(await query.json(), { error_code: 'PERMISSION_DENIED' });
  }
  const basic = `Basic ${Buffer.from(`token:${ADMIN_TOKEN}`).toString('base64')}`;
  t.equal((await fetch(admin.url + ENDPOINTS, { headers: { authorization: basic } })).status, 200);
  t.equal((await fetch(`${admin.url}/healthz`)).status, 200);
  t.notMatch(admin.logLines.join(''), /-token-of-the-test/, 'no credential in the log');
});

t.test('calls that are known but not built say so by name', async (t) => {
  const admin = await startAdmin(t);
  for (const [number, method, path] of UNBUILT_CALLS) {
    const answer = await call(admin, String(method), path.replaceAll(':', ''), {
      headers: JSON_TYPE,
    });
    t.equal(answer.status, 501, number);
    t.match(answer.json, {
      error_code: 'NOT_IMPLEMENTED',
      message: / is not served by this version$/,
    });
  }
  const tags = await call(admin, 'PATCH', `${ENDPOINTS}/a/tags`, { headers: JSON_TYPE });
  t.equal(tags.json['message'], `PATCH ${ENDPOINTS}/{name}/tags is not served by this version`);
});

t.test('wrong paths and wrong methods', async (t) => {
  const admin = await startAdmin(t);
  for (const path of [
    '/',
    '/api/2.0/serving-endpoint',
    `${ENDPOINTS}/a/b/c/d`,
    `/${'x'.repeat(5000)}`,
  ]) {
    const answer = await call(admin, 'GET', path);
    t.equal(answer.status, 404, path.slice(0, 40));
    t.equal(answer.json['error_code'], 'ENDPOINT_NOT_FOUND');
  }
  const patch = await call(admin, 'PATCH', ENDPOINTS, { headers: JSON_TYPE });
  t.equal(patch.status, 405);
  t.equal(patch.headers.get('allow'), 'GET, HEAD, POST');
  t.equal(patch.json['error_code'], 'NOT_IMPLEMENTED');
  t.equal((await call(admin, 'GET', `${ENDPOINTS}/a/config/`)).headers.get('allow'), 'PUT');
  t.equal(
    (await call(admin, 'GET', '/serving-endpoints/a/invocations')).headers.get('allow'),
    'POST',
  );
  const broken = await call(admin, 'GET', `${ENDPOINTS}/%zz`);
  t.equal(broken.status, 400);
  t.equal(broken.json['error_code'], 'MALFORMED_REQUEST');
  const discovery = await fetch(`${admin.url}/.well-known/databricks-config`);
  t.equal(discovery.status, 404, 'asked for without a credential by every SDK');
});

t.test('fields on every answer', async (t) => {
  const admin = await startAdmin(t);
  for (const path of [ENDPOINTS, '/nowhere', '/healthz']) {
    const { headers } = await call(admin, 'GET', path, { headers: { 'x-request-id': 'mine-1' } });
    t.equal(headers.get('x-request-id'), 'mine-1');
    t.match(headers.get('x-databricks-request-id'), /^[0-9a-f-]{36}$/);
    t.equal(headers.get('x-content-type-options'), 'nosniff');
    t.equal(headers.get('cache-control'), 'no-store');
    t.match(headers.get('content-type'), /^application\/json/);
  }
  const long = await call(admin, 'GET', ENDPOINTS, {
    headers: { 'x-request-id': 'x'.repeat(129) },
  });
  t.equal(long.headers.get('x-request-id'), long.headers.get('x-databricks-request-id'));
});

t.test('an unexpected failure is logged and not shown', async (t) => {
  const admin = await startAdmin(t);
  const post = { body: '{"name":"a"}', headers: JSON_TYPE };
  admin.control.failure = new Error('/secret/path exploded');
  const answer = await call(admin, 'POST', ENDPOINTS, post);
  t.equal(answer.status, 500);
  t.equal(answer.json['error_code'], 'INTERNAL_ERROR');
  t.notMatch(answer.text, /secret/);
  const id = answer.headers.get('x-databricks-request-id') ?? '';
  t.match(answer.text, id);
  t.ok(admin.logLines.some((line) => line.includes('exploded') && line.includes(id)));
  admin.control.failure = Object.assign(new Error('inner text'), { statusCode: 418 });
  t.notMatch(
    (await call(admin, 'POST', ENDPOINTS, post)).text,
    /inner text/,
    'only fastify errors speak',
  );
  admin.control.failure = invalidField('config.x', 'is wrong');
  t.strictSame((await call(admin, 'POST', ENDPOINTS, post)).json, {
    error_code: 'INVALID_PARAMETER_VALUE',
    message: 'config.x: is wrong',
  });
});

t.test('bytes that are no HTTP request get a JSON error and a closed connection', async (t) => {
  const admin = await startAdmin(t);
  const broken = await sendRaw(admin.url, 'nonsense\r\n\r\n');
  t.match(broken, /^HTTP\/1\.1 400 Bad Request\r\n/);
  t.match(broken, /x-pointsman-error: MALFORMED_REQUEST\r\n/);
  const [, body = ''] = broken.split('\r\n\r\n');
  t.match(JSON.parse(body), { error_code: 'MALFORMED_REQUEST', message: /HTTP/ });
  const large = `GET /healthz HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`;
  t.match(await sendRaw(admin.url, large), /^HTTP\/1\.1 431 /);
});

/** fetch sets Host itself. */
function getWithHost(url: string, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { ...ADMIN, host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject).end();
  });
}

t.test('a page that rebinds a name to the loopback address is refused', async (t) => {
  const url = (await startAdmin(t)).url + ENDPOINTS;
  for (const host of ['localhost:1', '127.0.0.1', '[::1]:8081', 'LOCALHOST', '127.9.9.9:1']) {
    t.equal(await getWithHost(url, host), 200, host);
  }
  for (const host of ['evil.example', 'evil.example:8081', '10.0.0.1', 'localhost.evil.example']) {
    t.equal(await getWithHost(url, host), 403, host);
  }
  const named = (await startAdmin(t, { allowedHosts: ['admin.example'] })).url + ENDPOINTS;
  t.equal(await getWithHost(named, 'Admin.Example:8081'), 200);
  t.equal(await getWithHost(named, 'evil.example'), 403);
  const open = (await startAdmin(t, { loopbackOnly: false })).url + ENDPOINTS;
  t.equal(
    await getWithHost(open, 'any.example'),
    200,
    'a port for others takes any name by default',
  );
});

t.test('health and metrics', async (t) => {
  const admin = await startAdmin(t);
  t.equal((await fetch(`${admin.url}/readyz`)).status, 200);
  admin.setReady({ ready: false, reason: 'No worker serves yet.' });
  const unready = await fetch(`${admin.url}/readyz`);
  t.equal(unready.status, 503);
  t.equal(unready.headers.get('retry-after'), '1');
  t.strictSame(await unready.json(), {
    error_code: 'TEMPORARILY_UNAVAILABLE',
    message: 'No worker serves yet.',
  });
  t.equal((await fetch(`${admin.url}/healthz`)).status, 200);
  const metrics = await fetch(`${admin.url}/metrics`);
  t.equal(metrics.status, 200, 'no credential on a loopback port');
  t.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4');
  const open = await startAdmin(t, { loopbackOnly: false });
  t.equal((await fetch(`${open.url}/metrics`)).status, 401);
  t.equal((await fetch(`${open.url}/metrics`, { headers: QUERY })).status, 403);
  t.equal((await fetch(`${open.url}/metrics`, { headers: ADMIN })).status, 200);
});
