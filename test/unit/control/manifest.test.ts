/** Manifests: all or nothing, one revision, and a GET that feeds back without a change. */
import t from 'tap';
import type { Json, JsonObject } from '../../../src/control/control-plane.js';
import {
  deployment,
  expectRefusal,
  fingerprint,
  MIA,
  REPLACE,
  startControl,
  startReplica,
  until,
  UPSERT,
} from './harness.js';

function endpoint(name: string, version: string, extra: JsonObject = {}): JsonObject {
  const entities = [{ entity_name: 'c.s.m', entity_version: version }];
  return { name, config: { served_entities: entities }, ...extra };
}

t.test('apply, read back, feed back, replace', async (t) => {
  const harness = await startControl(t);
  const { control, dataPlane, store } = harness;
  const replica = await startReplica(t);
  const m = deployment(
    'm',
    [
      ['c.s.m', '1'],
      ['c.s.m', '2'],
    ],
    [replica.url],
  );
  const external = {
    name: 'llm',
    config: {
      served_entities: [
        {
          external_model: {
            name: 'gpt-4',
            provider: 'openai',
            task: 'llm/v1/chat',
            openai_config: { openai_api_key: '{{secrets/s/k}}' },
          },
        },
      ],
    },
  };
  const manifest = {
    deployments: [m],
    endpoints: [
      endpoint('a', '1', { tags: [{ key: 'team', value: 'risk' }], description: 'first' }),
      endpoint('b', '2', { route_optimized: true }),
      { name: 'shell' },
      external,
    ],
  };
  const dry = await control.applyManifest(manifest, { ...REPLACE, dryRun: true });
  t.match(dry, { dry_run: true, revision: 1, changes: { length: 5 } });
  t.same(control.listEndpoints(), []);
  const applied = await control.applyManifest(manifest, REPLACE);
  t.strictSame(
    applied.changes,
    [
      ['deployment', 'm'],
      ['endpoint', 'a'],
      ['endpoint', 'b'],
      ['endpoint', 'shell'],
      ['endpoint', 'llm'],
    ].map(([kind, name]) => ({ kind, name, action: 'create', fields: [] })),
  );
  await until(() => dataPlane.last.endpoints.length === 2, 'both custom endpoints active');
  t.equal(control.revision, 2, 'one revision for both');
  t.match(control.getEndpoint('llm').value, { state: { config_update: 'IN_PROGRESS' } });

  const { value, etag } = control.getManifest();
  const records = JSON.stringify(store.records('endpoint'));
  const again = await control.applyManifest(JSON.parse(JSON.stringify(value)), {
    ...REPLACE,
    ifMatch: etag,
  });
  t.ok(
    again.changes.every(({ action }) => action === 'unchanged'),
    JSON.stringify(again.changes),
  );
  t.equal(again.changes.length, 5);
  t.equal(store.revision, 2);
  t.equal(JSON.stringify(store.records('endpoint')), records);
  t.equal(control.getManifest().etag, etag);

  const changed = {
    deployments: [m],
    endpoints: [endpoint('a', '2', { tags: [{ key: 'team', value: 'risk' }] })],
  };
  const replaced = await control.applyManifest(changed, REPLACE);
  t.strictSame(replaced.changes, [
    { kind: 'deployment', name: 'm', action: 'unchanged', fields: [] },
    {
      kind: 'endpoint',
      name: 'a',
      action: 'update',
      fields: [
        'config.served_entities[0].name',
        'config.served_entities[0].entity_version',
        'config.traffic_config.routes[0].served_entity_name',
        'description',
      ],
    },
    { kind: 'endpoint', name: 'b', action: 'delete', fields: [] },
    { kind: 'endpoint', name: 'llm', action: 'delete', fields: [] },
    { kind: 'endpoint', name: 'shell', action: 'delete', fields: [] },
  ]);
  t.equal(replaced.revision, 3, 'change and deletes in one revision');
  t.match(dataPlane.last.endpoints, [{ name: 'a', configVersion: 2 }]);
});

t.test('upsert leaves the rest alone', async (t) => {
  const { control } = await startControl(t);
  await control.createEndpoint({ name: 'kept' }, MIA);
  await control.applyManifest({ endpoints: [{ name: 'new' }] }, UPSERT);
  t.same(
    control.listEndpoints().map(({ name }) => name),
    ['kept', 'new'],
  );
  await control.applyManifest({}, UPSERT);
  t.equal(control.listEndpoints().length, 2);
  await control.applyManifest({}, REPLACE);
  t.equal(control.listEndpoints().length, 0);
});

t.test('faults name their place, and nothing of the manifest is done', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  await control.createEndpoint({ name: 'old' }, MIA);
  const before = fingerprint(harness);
  const d = (name: string, version = '1') =>
    deployment(name, [['c.s.m', version]], ['http://127.0.0.1:9']);
  const good = [d('a')];
  const broken = {
    ...d('b', '2'),
    replicas: [{ url: 'http://x:1' }, { url: 'http://y:1', wieght: 2 }],
  };
  const route = [{ served_entity_name: 'm-1', traffic_percentage: 90 }];
  const refused: (readonly [Json, RegExp])[] = [
    [{ deployment: [] }, /^deployment: unknown key; did you mean deployments\?$/],
    [
      { deployments: [...good, broken] },
      /^deployments\[1\]\.replicas\[1\]\.wieght: unknown key; did you mean weight\?$/,
    ],
    [{ deployments: [...good, d('a', '2')] }, /^deployments\[1\]\.name: duplicate name "a"/],
    [
      { deployments: [...good, d('b')] },
      /^deployments\[1\]\.serves\[0\]: c\.s\.m version 1 belongs to one deployment, but a and b both/,
    ],
    [
      { deployments: [{ ...d('a'), limits: { queue: 3 } }] },
      /^deployments\[0\]\.limits\.queue: needs max_in_flight or from_workload/,
    ],
    [
      { deployments: good, endpoints: [endpoint('x', '1'), endpoint('x', '1')] },
      /^endpoints\[1\]\.name: duplicate/,
    ],
    [{ endpoints: [{ name: 'databricks-x' }] }, /^endpoints\[0\]\.name: /],
    [
      { endpoints: [endpoint('x', '1', { policy: { retries: 1 } })] },
      /^endpoints\[0\]\.policy: .*not supported yet/,
    ],
    [
      { endpoints: [endpoint('x', '1', { access_control_list: [{}] })] },
      /^endpoints\[0\]\.access_control_list\[0\]: must name one principal/,
    ],
    [
      { endpoints: [endpoint('x', '1', { tags: [{ key: 'a' }, { key: 'a' }] })] },
      /^endpoints\[0\]\.tags\[1\]\.key: duplicate/,
    ],
    [
      {
        endpoints: [
          {
            name: 'x',
            config: { served_entities: [{ entity_name: 'm', entity_version: '1', sise: 'Small' }] },
          },
        ],
      },
      /^endpoints\[0\]\.config\.served_entities\[0\]\.sise: unknown key/,
    ],
    [
      {
        endpoints: [
          {
            name: 'x',
            config: {
              served_entities: [{ entity_name: 'm', entity_version: '1' }],
              traffic_config: { routes: route },
            },
          },
        ],
      },
      /^endpoints\[0\]\.config\.traffic_config\.routes: .*90/,
    ],
    [
      { endpoints: [{ name: 'old', route_optimized: true }] },
      /^endpoints\[0\]\.route_optimized: cannot change/,
    ],
    [[], /^body: must be an object/],
    [null, /^body: must be an object/],
  ];
  for (const [manifest, message] of refused) {
    for (const dryRun of [true, false]) {
      const applied = control.applyManifest(manifest, { ...REPLACE, dryRun });
      await expectRefusal(t, applied, 400, 'INVALID_PARAMETER_VALUE', message);
    }
  }
  const stale = control.applyManifest({}, { ...REPLACE, ifMatch: '"stale"' });
  await expectRefusal(t, stale, 409, 'RESOURCE_CONFLICT', /If-Match/);
  t.equal(fingerprint(harness), before);
});

t.test('a manifest cannot take the deployment of a config that goes on serving', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  const replica = await startReplica(t);
  const one = deployment('m', [['c.s.m', '1']], [replica.url]);
  await control.applyManifest({ deployments: [one], endpoints: [endpoint('e', '1')] }, REPLACE);
  await until(() => control.getEndpoint('e').value['config'] !== undefined, 'active');
  const before = fingerprint(harness);
  const two = deployment('m2', [['c.s.m', '2']], [replica.url]);
  const swap = { deployments: [two], endpoints: [endpoint('e', '2')] };
  const code = 'RESOURCE_CONFLICT';
  const message = /Deployment m is used by the active config of endpoint e/;
  await expectRefusal(t, control.applyManifest(swap, REPLACE), 409, code, message);
  t.equal(fingerprint(harness), before);
  await control.putDeployment('m2', two, MIA);
  await until(() => control.getDeployment('m2').value.state === 'READY', 'm2 ready');
  const result = await control.applyManifest(swap, REPLACE);
  t.match(control.getEndpoint('e').value, {
    config: { config_version: 2 },
    state: { config_update: 'NOT_UPDATING' },
  });
  t.equal(result.revision, control.revision);
  t.same(
    control.listDeployments().map(({ name }) => name),
    ['m2'],
  );
});
