/** Every refusal names its field, and nothing changes in any of them. */
import t from 'tap';
import type { Json, JsonObject } from '../../../src/control/control-plane.js';
import { WORKLOAD_TYPES } from '../../../src/control/entity-input.js';
import { expectRefusal, fingerprint, MIA, startControl } from './harness.js';

const A = { name: 'a', entity_name: 'c.s.m', entity_version: '1' };
const B = { name: 'b', entity_name: 'c.s.m', entity_version: '2' };
const SPLIT = [
  { served_model_name: 'a', traffic_percentage: 60 },
  { served_entity_name: 'b', traffic_percentage: '40' },
];
const OPENAI = {
  name: 'gpt-4',
  provider: 'openai',
  task: 'llm/v1/chat',
  openai_config: { openai_api_key: '{{secrets/s/k}}' },
};

function config(entities: Json[], routes?: Json[]): JsonObject {
  const base = { served_entities: entities };
  return routes === undefined ? base : { ...base, traffic_config: { routes } };
}

function routes(...shares: (readonly [string, Json])[]): Json[] {
  return shares.map(([name, share]) => ({ served_entity_name: name, traffic_percentage: share }));
}

/** Paths as in a create; an update's lack the leading `config.`. */
const REFUSED: readonly (readonly [what: string, config: Json, message: RegExp])[] = [
  ['no object', [], /^config: must be an object$/],
  [
    'unknown route target',
    config([A, B], routes(['a', 50], ['x', 50])),
    /^config\.traffic_config\.routes\[1\]\.served_entity_name: .*"x"/,
  ],
  [
    'sum 99',
    config([A, B], routes(['a', 50], ['b', 49])),
    /^config\.traffic_config\.routes: .*sum to 99/,
  ],
  [
    'sum 101',
    config([A, B], routes(['a', '51'], ['b', 50])),
    /^config\.traffic_config\.routes: .*101/,
  ],
  [
    'a float share',
    config([A, B], routes(['a', 50.5], ['b', 49.5])),
    /^config\.traffic_config\.routes\[0\]\.traffic_percentage: must be an integer from 0 to 100$/,
  ],
  [
    'a float share as text',
    config([A, B], routes(['a', '50.0'], ['b', 50])),
    /routes\[0\]\.traffic_percentage: must be an integer from 0 to 100$/,
  ],
  [
    'a negative share',
    config([A, B], routes(['a', 110], ['b', -10])),
    /routes\[0\]\.traffic_percentage: must be an integer from 0 to 100$/,
  ],
  [
    'an empty share',
    config([A, B], routes(['a', ''], ['b', 100])),
    /routes\[0\]\.traffic_percentage: must be an integer/,
  ],
  [
    'a missing share',
    config([A], [{ served_model_name: 'a' }]),
    /routes\[0\]\.traffic_percentage: missing/,
  ],
  [
    'a route without target',
    config([A], [{ traffic_percentage: 100 }]),
    /routes\[0\]\.served_model_name: missing/,
  ],
  [
    'two targets',
    config([A, B], [{ served_model_name: 'a', served_entity_name: 'b', traffic_percentage: 100 }]),
    /routes\[0\]\.served_entity_name: differs/,
  ],
  [
    'two routes for one entity',
    config([A, B], routes(['a', 50], ['a', 50])),
    /routes\[1\]\.served_entity_name: a second route/,
  ],
  ['a missing split', config([A, B]), /^config\.traffic_config: missing; 2 served entities/],
  ['an empty split', config([A, B], []), /^config\.traffic_config\.routes: missing/],
  ['no entities', config([]), /^config\.served_entities: must name at least one/],
  [
    '16 entities',
    config(Array.from({ length: 16 }, (_, i) => ({ ...A, name: `n${String(i)}` }))),
    /^config\.served_entities: takes at most 15/,
  ],
  [
    'duplicate names',
    config([A, { ...B, name: 'a' }], routes(['a', 100])),
    /^config\.served_entities\[1\]\.name: duplicate name "a"/,
  ],
  [
    'an illegal name',
    config([{ ...A, name: 'a b' }]),
    /^config\.served_entities\[0\]\.name: must be 1 to 63/,
  ],
  ['an empty name', config([{ ...A, name: '' }]), /served_entities\[0\]\.name: must be 1 to 63/],
  [
    'a long name',
    config([{ ...A, name: 'x'.repeat(64) }]),
    /served_entities\[0\]\.name: must be 1 to 63/,
  ],
  [
    'an illegal default name',
    config([{ entity_name: 'my model', entity_version: '1' }]),
    /served_entities\[0\]\.name: missing, and the default "my model-1"/,
  ],
  ['no entity name', config([{ name: 'a' }]), /served_entities\[0\]\.entity_name: missing/],
  [
    'a float version',
    config([{ ...A, entity_version: 1.5 }]),
    /served_entities\[0\]\.entity_version: must be a string or an integer/,
  ],
  [
    'both lists',
    { ...config([A]), served_models: [] },
    /^config\.served_models: excludes served_entities/,
  ],
  [
    'a model and a feature spec',
    config([A, { name: 'b', entity_name: 'c.s.f' }], SPLIT),
    /^config\.served_entities\[1\]: entities of different kinds/,
  ],
  [
    'a custom and a foundation model',
    config([A, { ...B, min_provisioned_throughput: 0 }], SPLIT),
    /served_entities\[1\]: entities of different kinds/,
  ],
  [
    'a custom and an external model',
    config([A, { name: 'b', external_model: OPENAI }], SPLIT),
    /served_entities\[1\]: entities of different kinds/,
  ],
  [
    'external tasks that differ',
    config(
      [
        { name: 'a', external_model: OPENAI },
        { name: 'b', external_model: { ...OPENAI, task: 'llm/v1/embeddings' } },
      ],
      SPLIT,
    ),
    /served_entities\[1\]\.external_model\.task: must be the task/,
  ],
  [
    'an unknown task',
    config([{ external_model: { ...OPENAI, task: 'chat' } }]),
    /external_model\.task: must be one of/,
  ],
  [
    'an unknown provider',
    config([{ external_model: { ...OPENAI, provider: 'acme' } }]),
    /external_model\.provider: must be one of/,
  ],
  [
    'no provider config',
    config([{ external_model: { ...OPENAI, provider: 'cohere', openai_config: null } }]),
    /external_model\.cohere_config: missing/,
  ],
  [
    'a config of another provider',
    config([{ external_model: { ...OPENAI, palm_config: {} } }]),
    /external_model\.palm_config: does not belong/,
  ],
  [
    'no secret',
    config([{ external_model: { ...OPENAI, openai_config: {} } }]),
    /openai_config\.openai_api_key: missing/,
  ],
  [
    'a plaintext secret',
    config([{ external_model: { ...OPENAI, openai_config: { openai_api_key_plaintext: 'x' } } }]),
    /openai_config\.openai_api_key_plaintext: .*secret reference/,
  ],
  [
    'both secret twins',
    config([
      {
        external_model: {
          ...OPENAI,
          openai_config: { openai_api_key: '{{secrets/s/k}}', openai_api_key_plaintext: 'x' },
        },
      },
    ]),
    /openai_api_key_plaintext: excludes openai_api_key/,
  ],
  [
    'a secret that is no reference',
    config([{ external_model: { ...OPENAI, openai_config: { openai_api_key: 'sk-123' } } }]),
    /openai_api_key: must be a secret reference/,
  ],
  [
    'throughput on an external model',
    config([{ external_model: OPENAI, max_provisioned_throughput: 5 }]),
    /max_provisioned_throughput: provisioned throughput is not supported for external models/,
  ],
  [
    'an entity name on an external model',
    config([{ external_model: OPENAI, entity_name: 'x' }]),
    /entity_name: excludes external_model/,
  ],
  [
    'size with concurrency',
    config([{ ...A, workload_size: 'Small', max_provisioned_concurrency: 8 }]),
    /max_provisioned_concurrency: excludes workload_size/,
  ],
  [
    'an unknown size',
    config([{ ...A, workload_size: 'small' }]),
    /workload_size: must be one of Small, Medium, Large/,
  ],
  [
    'an unknown type',
    config([{ ...A, workload_type: 'TPU' }]),
    /workload_type: must be one of CPU,/,
  ],
  [
    'concurrency off the step',
    config([{ ...A, max_provisioned_concurrency: 6 }]),
    /max_provisioned_concurrency: must be a multiple of 4/,
  ],
  [
    'concurrency upside down',
    config([{ ...A, min_provisioned_concurrency: 8, max_provisioned_concurrency: 4 }]),
    /min_provisioned_concurrency: must not be greater/,
  ],
  [
    'throughput upside down',
    config([{ ...A, min_provisioned_throughput: 8, max_provisioned_throughput: 4 }]),
    /min_provisioned_throughput: must not be greater/,
  ],
  [
    'a float throughput',
    config([{ ...A, max_provisioned_throughput: 4.5 }]),
    /max_provisioned_throughput: must be an integer/,
  ],
  [
    'model units with throughput',
    config([{ ...A, max_provisioned_throughput: 4, provisioned_model_units: 1 }]),
    /max_provisioned_throughput: excludes provisioned_model_units/,
  ],
  [
    'a GPU without size',
    config([{ ...A, workload_type: 'GPU_SMALL' }]),
    /workload_size: missing; .*workload size/,
  ],
  [
    '31 variables',
    config([
      {
        ...A,
        environment_vars: Object.fromEntries(
          Array.from({ length: 31 }, (_, i) => [`V${String(i)}`, '']),
        ),
      },
    ]),
    /environment_vars: takes at most 30/,
  ],
  [
    'a variable that is no text',
    config([{ ...A, environment_vars: { V: 1 } }]),
    /environment_vars\.V: must be a string/,
  ],
  [
    'a switch that is no boolean',
    config([{ ...A, scale_to_zero_enabled: 'yes' }]),
    /scale_to_zero_enabled: must be true or false/,
  ],
  [
    'a legacy entity without version',
    { served_models: [{ model_name: 'm' }] },
    /^config\.served_models\[0\]\.model_version: missing/,
  ],
];

t.test('refused configs, at creation and as an update', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  await control.createEndpoint({ name: 'shell' }, MIA);
  const before = fingerprint(harness);
  for (const [what, value, message] of REFUSED) {
    await t.test(what, async (t) => {
      const code = 'INVALID_PARAMETER_VALUE';
      await expectRefusal(
        t,
        control.createEndpoint({ name: 'e', config: value }, MIA),
        400,
        code,
        message,
      );
      const updated = new RegExp(
        message.source.replace('^config\\.', '^').replace('^config:', '^body:'),
      );
      await expectRefusal(t, control.updateConfig('shell', value, MIA), 400, code, updated);
      t.equal(fingerprint(harness), before, 'nothing changed');
    });
  }
});

t.test('refused creates beside the config', async (t) => {
  const harness = await startControl(t);
  const { control } = harness;
  await control.createEndpoint({ name: 'used' }, MIA);
  const before = fingerprint(harness);
  const refused: (readonly [Json, RegExp, string?])[] = [
    [{}, /^name: missing/],
    [{ name: 7 }, /^name: must be a string/],
    [{ name: 'a b' }, /^name: must be 1 to 63/],
    [{ name: 'a/b' }, /^name: /],
    [{ name: 'x'.repeat(64) }, /^name: /],
    [{ name: 'databricks-x' }, /^name: .*reserved/],
    [{ name: 'pt' }, /^name: .*reserved/],
    [{ name: 'used' }, /already exists/, 'RESOURCE_ALREADY_EXISTS'],
    [{ name: 'e', tags: [{ key: 'a' }, { key: 'a', value: 'b' }] }, /^tags\[1\]\.key: duplicate/],
    [{ name: 'e', tags: [{ value: 'a' }] }, /^tags\[0\]\.key: missing/],
    [{ name: 'e', description: 1 }, /^description: /],
    [{ name: 'e', route_optimized: 'true' }, /^route_optimized: /],
    [
      { name: 'e', rate_limits: [{ calls: 1.5, renewal_period: 'minute' }] },
      /^rate_limits\[0\]\.calls: /,
    ],
    [
      { name: 'e', email_notifications: { on_update_success: [1] } },
      /^email_notifications\.on_update_success\[0\]: /,
    ],
    [
      { name: 'e', route_optimized: true, config: config([{ external_model: OPENAI }]) },
      /^config\.served_entities\[0\]: route_optimized/,
    ],
    [
      { name: 'e', route_optimized: true, config: config([{ ...A, provisioned_model_units: 1 }]) },
      /^config\.served_entities\[0\]: route_optimized/,
    ],
    ['text', /^body: must be an object/],
  ];
  for (const [body, message, code = 'INVALID_PARAMETER_VALUE'] of refused) {
    await expectRefusal(t, control.createEndpoint(body, MIA), 400, code, message);
  }
  const no = 'RESOURCE_DOES_NOT_EXIST';
  await expectRefusal(t, control.updateConfig('none', config([A]), MIA), 404, no, /none/);
  await expectRefusal(t, control.deleteEndpoint('none', MIA), 404, no, /none/);
  await expectRefusal(
    t,
    control.updateConfig('used', {}, MIA),
    400,
    'INVALID_PARAMETER_VALUE',
    /^served_entities: missing/,
  );
  await expectRefusal(
    t,
    control.updateConfig('used', { traffic_config: { routes: [] } }, MIA),
    400,
    'INVALID_PARAMETER_VALUE',
    /^served_entities: missing/,
  );
  t.equal(fingerprint(harness), before);
});

t.test('what clients really send is taken, and comes back in one form', async (t) => {
  const { control } = await startControl(t);
  const entityOf = async (name: string, entity: JsonObject, body: JsonObject = {}) => {
    await control.createEndpoint(
      { name, ...body, config: { name: 'ignored', ...config([entity]) }, unknown_field: 1 },
      MIA,
    );
    const pending = control.getEndpoint(name).value['pending_config'] as JsonObject;
    return (pending['served_entities'] as JsonObject[])[0] ?? {};
  };
  t.match(await entityOf('n1', { entity_name: 'cat.sch.fraud', entity_version: 3 }), {
    name: 'fraud-3',
    entity_version: '3',
    workload_size: 'Small',
    workload_type: 'CPU',
    scale_to_zero_enabled: false,
  });
  const numbers = await entityOf('n2', {
    ...A,
    min_provisioned_throughput: '0',
    max_provisioned_throughput: '970',
    burst_scaling_enabled: true,
  });
  t.match(numbers, { min_provisioned_throughput: 0, max_provisioned_throughput: 970 });
  t.notOk('workload_size' in numbers);
  t.notOk('burst_scaling_enabled' in numbers);
  const concurrent = await entityOf('n3', { ...A, max_provisioned_concurrency: '8' });
  t.equal(concurrent['max_provisioned_concurrency'], 8);
  t.notOk('workload_size' in concurrent);
  t.match(await entityOf('n4', { external_model: { ...OPENAI, name: 'gpt-3.5:turbo' } }), {
    name: 'gpt-3-5-turbo',
  });
  for (const type of WORKLOAD_TYPES) {
    const sized = { ...A, workload_type: type, workload_size: 'Large' };
    t.match(await entityOf(`t-${type}`, sized), { workload_type: type, workload_size: 'Large' });
  }
  await control.createEndpoint(
    {
      name: 'legacy',
      config: {
        served_models: [
          { name: 'a', model_name: 'm', model_version: '1', scale_to_zero_enabled: true },
          { name: 'z', model_name: 'm', model_version: '2', scale_to_zero_enabled: true },
        ],
        traffic_config: { routes: routes(['a', '100']) },
      },
      rate_limits: [{ calls: '0', renewal_period: 'minute' }],
      ai_gateway: { usage_tracking_config: { enabled: true } },
      tags: [{ key: 'k' }],
    },
    MIA,
  );
  const legacy = control.getEndpoint('legacy').value;
  t.match(legacy, {
    ai_gateway: { usage_tracking_config: { enabled: true } },
    pending_config: { served_entities: [{ entity_name: 'm', entity_version: '1' }, { name: 'z' }] },
  });
  t.strictSame(legacy['tags'], [{ key: 'k' }]);
  t.notOk('rate_limits' in legacy);
});

t.test('a create without config makes a shell that waiters see as finished', async (t) => {
  const { control } = await startControl(t);
  const created = await control.createEndpoint({ name: 'shell', config: { name: 'shell' } }, MIA);
  t.strictSame(created.value['state'], { ready: 'NOT_READY', config_update: 'NOT_UPDATING' });
  t.notOk('config' in created.value || 'pending_config' in created.value);
});
