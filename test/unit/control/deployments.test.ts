/** Deployments: what is refused, defaults, what makes a revision, and the guard of those in use. */
import t from 'tap';
import type { Json, JsonObject } from '../../../src/control/control-plane.js';
import {
  deployment,
  expectRefusal,
  fingerprint,
  MIA,
  startControl,
  startReplica,
  until,
} from './harness.js';

const ONE = {
  serves: [{ entity_name: 'c.s.m', entity_version: 1 }],
  replicas: [{ url: 'http://127.0.0.1:9' }],
};

t.test('defaults are filled in and shown', async (t) => {
  const { control } = await startControl(t);
  const { value, etag } = await control.putDeployment('m', ONE, MIA);
  t.strictSame(value.spec, {
    name: 'm',
    serves: [{ entity_name: 'c.s.m', entity_version: '1', kind: 'model' }],
    protocol: 'mlflow',
    replicas: [{ url: 'http://127.0.0.1:9', weight: 1 }],
    headers: {},
    health: {
      type: 'http',
      path: '/ping',
      interval_ms: 2_000,
      timeout_ms: 1_000,
      healthy_after: 1,
      unhealthy_after: 3,
    },
    timeouts: {
      connect_ms: 1_000,
      response_header_ms: 297_000,
      body_idle_ms: 60_000,
      total_ms: 0,
      keepalive_idle_ms: 4_000,
    },
    limits: { max_in_flight: 0, from_workload: false, queue: 0, queue_ms: 0 },
    replay_safe: false,
  });
  t.match(value, { state: 'NOT_READY', used_by: [] });
  t.equal((await control.putDeployment('m', value.spec, MIA)).etag, etag, 'feeding it back');
  const raw = await control.putDeployment(
    'r',
    { ...ONE, serves: [{ entity_name: 'f' }], protocol: 'raw' },
    MIA,
  );
  t.match(raw.value.spec['health'], { type: 'tcp' });
  t.match(raw.value.spec['serves'], [{ kind: 'feature_spec' }]);
});

t.test('refusals name the field', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  await control.putDeployment('taken', ONE, MIA);
  const before = fingerprint(harness);
  const serves = [{ entity_name: 'c.s.other', entity_version: '1' }];
  const url = (text: string) => ({ replicas: [{ url: text }] });
  const refused: (readonly [JsonObject, RegExp])[] = [
    [{ wieght: 1 }, /^wieght: unknown key$/],
    [
      { replicas: [{ url: 'http://a:1' }, { url: 'http://b:1', wieght: 1 }] },
      /^replicas\[1\]\.wieght: unknown key; did you mean weight\?$/,
    ],
    [{ replicas: [] }, /^replicas: needs at least 1/],
    [{ replicas: [{ weight: 1 }] }, /^replicas\[0\]\.url: missing/],
    [
      { replicas: [{ url: 'http://a:1', weight: 1.5 }] },
      /^replicas\[0\]\.weight: must be an integer/,
    ],
    [
      { replicas: [{ url: 'http://a:1', weight: 1_001 }] },
      /^replicas\[0\]\.weight: must be from 0 to 1000/,
    ],
    [
      { replicas: [{ url: 'http://a:1' }, { url: 'http://a:1' }] },
      /^replicas\[1\]\.url: duplicate/,
    ],
    [url('https://a:1'), /^replicas\[0\]\.url: https replicas are not supported yet/],
    [url('ftp://a:1'), /^replicas\[0\]\.url: must be http/],
    [url('http:a'), /^replicas\[0\]\.url: must be http/],
    [url('a:1'), /^replicas\[0\]\.url: must be http/],
    [url('http://u:p@a:1'), /^replicas\[0\]\.url: .*user/],
    [url('http://@a:1'), /^replicas\[0\]\.url: .*user/],
    [url('http://a:1/?x=1'), /^replicas\[0\]\.url: .*query/],
    [url('http://a:1/#x'), /^replicas\[0\]\.url: .*fragment/],
    [url('http://a:0'), /^replicas\[0\]\.url: port/],
    [url('http://2852039166/latest'), /^replicas\[0\]\.url: 169\.254\.169\.254 is a link-local/],
    [url('http://[fe80::1]:80'), /^replicas\[0\]\.url: fe80::1 is a link-local/],
    [url('http://0.0.0.0:80'), /^replicas\[0\]\.url: 0\.0\.0\.0 is a/],
    [url('http://a:99999'), /^replicas\[0\]\.url: must be http/],
    [url('http://a b/'), /^replicas\[0\]\.url: must hold visible ASCII/],
    [url('unix:relative.sock'), /^replicas\[0\]\.url: unix: needs the absolute path/],
    [url(`unix:/${'x'.repeat(107)}`), /^replicas\[0\]\.url: .*107 bytes/],
    [{ serves: [] }, /^serves: needs at least 1/],
    [
      { serves: [{ entity_name: 'a', entity_version: 1.5 }] },
      /^serves\[0\]\.entity_version: must be a string or an integer/,
    ],
    [{ serves: [{ entity_name: 'a', kind: 'model' }] }, /^serves\[0\]\.entity_version: missing/],
    [
      { serves: [{ entity_name: 'a', entity_version: '1', kind: 'feature_spec' }] },
      /^serves\[0\]\.entity_version: a feature spec has none/,
    ],
    [
      { serves: [{ entity_name: 'a', kind: 'robot' }] },
      /^serves\[0\]\.kind: must be one of model, feature_spec, foundation/,
    ],
    [{ serves: [...serves, ...serves] }, /^serves\[1\]: duplicate entry of c\.s\.other version 1/],
    [
      { serves: [{ entity_name: 'c.s.m', entity_version: '1' }] },
      /^serves\[0\]: c\.s\.m version 1 belongs to one deployment, but taken and d both/,
    ],
    [{ protocol: 'openai' }, /^protocol: openai is not supported yet/],
    [{ protocol: 'oip' }, /^protocol: oip is not supported yet/],
    [{ protocol: 'grpc' }, /^protocol: must be one of/],
    [{ headers: { 'X Y': 'z' } }, /^headers\["X Y"\]: is no field name/],
    [{ headers: { 'X-Y': 'a\r\nb' } }, /^headers\.X-Y: must be visible ASCII/],
    [{ headers: { 'X-Y': 'a', 'x-y': 'b' } }, /^headers\.x-y: duplicate/],
    [{ headers: { 'Content-Length': '1' } }, /^headers\.Content-Length: is set by pointsman/],
    [{ headers: { HOST: 'a' } }, /^headers\.HOST: is set by pointsman/],
    [
      { headers: { Authorization: 'Bearer {{secrets/a/b}}' } },
      /^headers\.Authorization: .*not supported yet/,
    ],
    [{ headers: { A: 1 } }, /^headers\.A: must be a string/],
    [{ health: { type: 'grpc' } }, /^health\.type: must be one of http, tcp/],
    [{ health: { type: 'tcp', path: '/x' } }, /^health\.path: only with type http/],
    [{ health: { path: 'ping' } }, /^health\.path: must begin with/],
    [{ health: { interval_ms: 0 } }, /^health\.interval_ms: must be from 50 to 3600000/],
    [{ timeouts: { connect: 1 } }, /^timeouts\.connect: unknown key/],
    [{ limits: { max_in_flight: -1 } }, /^limits\.max_in_flight: must be from 0 to 1000000/],
    [{ limits: { from_workload: 1 } }, /^limits\.from_workload: must be true or false/],
    [{ limits: { queue: 5, queue_ms: 5 } }, /^limits\.queue: needs max_in_flight or from_workload/],
    [{ limits: { max_in_flight: 5, queue: 5 } }, /^limits\.queue_ms: must be greater than 0 with/],
    [{ limits: { max_in_flight: 5, queue: 10_001 } }, /^limits\.queue: must be from 0 to 10000/],
    [{ limits: { queue_ms: 600_001 } }, /^limits\.queue_ms: must be from 0 to 600000/],
    [{ limits: { max_inflight: 5 } }, /^limits\.max_inflight: unknown key/],
    [{ name: 'other' }, /^name: differs from the path's d/],
  ];
  for (const [part, message] of refused) {
    const put = control.putDeployment('d', { ...ONE, serves, ...part }, MIA);
    await expectRefusal(t, put, 400, 'INVALID_PARAMETER_VALUE', message);
  }
  const bad = control.putDeployment('a b', ONE, MIA);
  await expectRefusal(t, bad, 400, 'INVALID_PARAMETER_VALUE', /^name: must be 1 to 63/);
  for (const body of ['x', [], null] as Json[]) {
    await expectRefusal(
      t,
      control.putDeployment('d', body, MIA),
      400,
      'INVALID_PARAMETER_VALUE',
      /^body: must be an object/,
    );
  }
  t.equal(fingerprint(harness), before);
});

t.test('only what routing can see makes a revision; one in use cannot be taken away', async (t) => {
  const harness = await startControl(t);
  const { control, dataPlane } = harness;
  const [a, b] = [await startReplica(t), await startReplica(t)];
  const first = control.revision;
  const body = deployment('m', [['c.s.m', '1']], [a.url]);
  await control.putDeployment('m', body, MIA);
  t.equal(control.revision, first, 'nobody uses it');
  const entities = [{ name: 'x', entity_name: 'c.s.m', entity_version: '1' }];
  await control.createEndpoint({ name: 'e', config: { served_entities: entities } }, MIA);
  t.equal(await control.waitSettled(5_000), true);
  t.equal(control.revision, first + 1);
  const health = { ...(body['health'] as JsonObject), interval_ms: 60 };
  await control.putDeployment('m', { ...body, health }, MIA);
  t.equal(control.revision, first + 1, 'health is not routing');
  await control.putDeployment('m', { ...body, headers: { 'X-Team': 'risk' } }, MIA);
  t.equal(control.revision, first + 2);
  t.match(dataPlane.last.deployments, [{ headers: [{ name: 'X-Team', value: 'risk' }] }]);
  const two = { ...body, replicas: [{ url: a.url, weight: 3 }, { url: b.url }] };
  await control.putDeployment('m', two, MIA);
  t.equal(control.revision, first + 3);
  t.equal(dataPlane.last.addresses[0]?.addresses.length, 2);
  await until(
    () => dataPlane.updates.at(-1)?.addresses.every(({ ready }) => ready) === true,
    'both addresses ready',
  );
  await control.putDeployment('spare', deployment('spare', [['c.s.m', '2']], [b.url]), MIA);
  t.equal(control.revision, first + 3, 'another deployment leaves routes as they are');

  const before = fingerprint(harness);
  const conflict = /is used by the active config of endpoint e \(served entity x\)/;
  await expectRefusal(t, control.deleteDeployment('m', MIA), 409, 'RESOURCE_CONFLICT', conflict);
  const moved = { ...body, serves: [{ entity_name: 'c.s.m', entity_version: '7' }] };
  await expectRefusal(
    t,
    control.putDeployment('m', moved, MIA),
    409,
    'RESOURCE_CONFLICT',
    conflict,
  );
  await expectRefusal(
    t,
    control.deleteDeployment('none', MIA),
    404,
    'RESOURCE_DOES_NOT_EXIST',
    /none/,
  );
  t.equal(fingerprint(harness), before);
  await control.deleteEndpoint('e', MIA);
  await control.deleteDeployment('m', MIA);
  t.same(
    control.listDeployments().map(({ name }) => name),
    ['spare'],
  );
});

t.test('the kind that a deployment gives counts in the rules for endpoints', async (t) => {
  const { control } = await startControl(t);
  const serves = [{ entity_name: 'system.ai.llama', entity_version: '1', kind: 'foundation' }];
  await control.putDeployment('f', { ...ONE, serves }, MIA);
  const config = { served_entities: [{ entity_name: 'system.ai.llama', entity_version: '1' }] };
  const body = { name: 'e', route_optimized: true, config };
  await expectRefusal(
    t,
    control.createEndpoint(body, MIA),
    400,
    'INVALID_PARAMETER_VALUE',
    /a foundation model/,
  );
});
