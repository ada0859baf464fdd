/**
 * The REST examples of the Databricks pages that pointsman was made after, with their missing and trailing
 * commas mended and nothing else, and one exchange compared field by field.
 */
import t from 'tap';
import { deploymentsOf, startDaemon, startNamedReplica, startReplica } from './harness.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';

const MULTI_MODEL = `{
   "name":"multi-model",
   "config":
   {
      "served_entities":
      [
         {
            "name":"current",
            "entity_name":"catalog.schema.model-A",
            "entity_version":"1",
            "workload_size":"Small",
            "scale_to_zero_enabled":true
         },
         {
            "name":"challenger",
            "entity_name":"catalog.schema.model-B",
            "entity_version":"1",
            "workload_size":"Small",
            "scale_to_zero_enabled":true
         }
      ],
      "traffic_config":
      {
         "routes":
         [
            { "served_model_name":"current", "traffic_percentage":"90" },
            { "served_model_name":"challenger", "traffic_percentage":"10" }
         ]
      }
   }
}`;

const MULTI_PT = `{
   "name":"multi-pt-model",
   "config":
   {
      "served_entities":
      [
         {
            "name":"mistral_7b_instruct_v0_1-2",
            "entity_name":"system.ai.mistral_7b_instruct_v0_1",
            "entity_version":"2",
            "min_provisioned_throughput":0,
            "max_provisioned_throughput":1940
         },
         {
            "name":"mixtral_8x7b_instruct_v0_1-3",
            "entity_name":"system.ai.mixtral_8x7b_instruct_v0_1",
            "entity_version":"3",
            "min_provisioned_throughput":0,
            "max_provisioned_throughput":1240
         }
      ],
      "traffic_config":
      {
         "routes":
         [
            { "served_model_name":"mistral_7b_instruct_v0_1-2", "traffic_percentage":"60" },
            { "served_model_name":"mixtral_8x7b_instruct_v0_1-3", "traffic_percentage":"40" }
         ]
      }
   }
}`;

const HALF_AND_HALF = `{
   "served_entities":
   [
      {
         "name":"current",
         "entity_name":"catalog.schema.model-A",
         "entity_version":"1",
         "workload_size":"Small",
         "scale_to_zero_enabled":true
      },
      {
         "name":"challenger",
         "entity_name":"catalog.schema.model-B",
         "entity_version":"1",
         "workload_size":"Small",
         "scale_to_zero_enabled":true
      }
   ],
   "traffic_config":
   {
      "routes":
      [
         { "served_model_name":"current", "traffic_percentage":"50" },
         { "served_model_name":"challenger", "traffic_percentage":"50" }
      ]
   }
}`;

const ROUTE_OPTIMIZED_MODEL = `{
"name": "my-endpoint",
"config":{
"served_entities": [{
"entity_name": "ads1",
"entity_version": "1",
"workload_type": "CPU",
"workload_size": "Small",
"scale_to_zero_enabled": true
}]
},
"route_optimized": true
}`;

const ROUTE_OPTIMIZED_FEATURES = `{
"name": "my-features",
"config": {
"served_entities": [
{
"entity_name": "catalog_name.schema_name.feature_spec_name",
"workload_type": "CPU",
"workload_size": "Small",
"scale_to_zero_enabled": true
}
]
},
"route_optimized": true
}`;

interface View {
  readonly state: unknown;
  readonly config?: ConfigView;
  readonly pending_config?: ConfigView;
  readonly [field: string]: unknown;
}

interface ConfigView {
  readonly config_version: number;
  readonly served_entities: Record<string, unknown>[];
  readonly traffic_config: { routes: unknown[] };
}

function routes(shares: Readonly<Record<string, number>>): unknown[] {
  return Object.entries(shares).map(([name, percentage]) => ({
    served_model_name: name,
    served_entity_name: name,
    traffic_percentage: percentage,
  }));
}

t.test('the REST examples are taken as they stand', async (t) => {
  const daemon = await startDaemon(t);
  const a = await startNamedReplica(t, 'A');
  const b = await startNamedReplica(t, 'B');
  const deployments = ['A', 'B'].map((model) => ({
    name: `model-${model.toLowerCase()}`,
    serves: [{ entity_name: `catalog.schema.model-${model}`, entity_version: '1' }],
    replicas: [{ url: model === 'A' ? a.url : b.url }],
    health: { interval_ms: 100 },
  }));
  const applied = await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', { deployments });
  t.equal(applied.status, 200, applied.text);

  const created = await daemon.admin('POST', ENDPOINTS, MULTI_MODEL);
  t.equal(created.status, 200, created.text);
  const first = (await daemon.settled('multi-model')) as View;
  t.same(first.config?.traffic_config.routes, routes({ current: 90, challenger: 10 }));
  t.same(first.state, { ready: 'READY', config_update: 'NOT_UPDATING' });

  const updated = await daemon.admin('PUT', `${ENDPOINTS}/multi-model/config`, HALF_AND_HALF);
  t.equal(updated.status, 200, updated.text);
  const second = (await daemon.settled('multi-model')) as View;
  t.same(second.config?.traffic_config.routes, routes({ current: 50, challenger: 50 }));
  t.equal(second.config?.config_version, 2);

  const direct = '/serving-endpoints/multi-model/served-models/challenger/invocations';
  const answer = await daemon.invoke(direct, {});
  t.equal(answer.headers.get('served-model-name'), 'challenger');
  t.same(answer.body, { served: 'B' });

  const throughput = await daemon.admin('POST', ENDPOINTS, MULTI_PT);
  t.equal(throughput.status, 200, throughput.text);
  const pending = (throughput.body as View).pending_config;
  t.same(
    pending?.traffic_config.routes,
    routes({ 'mistral_7b_instruct_v0_1-2': 60, 'mixtral_8x7b_instruct_v0_1-3': 40 }),
  );
  t.same(
    pending?.served_entities.map((entity) => [
      entity['min_provisioned_throughput'],
      entity['max_provisioned_throughput'],
    ]),
    [
      [0, 1940],
      [0, 1240],
    ],
  );

  const optimized = await daemon.admin('POST', ENDPOINTS, ROUTE_OPTIMIZED_MODEL);
  t.equal(optimized.status, 200, optimized.text);
  const view = optimized.body as View;
  t.equal(view['route_optimized'], true);
  t.equal(view.pending_config?.served_entities[0]?.['name'], 'ads1-1', 'the default name');
  t.same(
    view.pending_config?.traffic_config.routes,
    routes({ 'ads1-1': 100 }),
    'the default route',
  );
  t.match(view['endpoint_url'], `${daemon.dataUrl}/1/serving-endpoints/my-endpoint/invocations`);

  const features = await daemon.admin('POST', ENDPOINTS, ROUTE_OPTIMIZED_FEATURES);
  t.equal(features.status, 200, features.text);
  t.equal(
    (features.body as View).pending_config?.served_entities[0]?.['name'],
    'feature_spec_name',
    'a feature spec has no version to be named after',
  );
});

t.test(
  'the examples as printed, with their missing and trailing commas, are refused',
  async (t) => {
    const daemon = await startDaemon(t);
    const missing = await daemon.admin(
      'POST',
      ENDPOINTS,
      MULTI_MODEL.replace('-model",', '-model"'),
    );
    t.equal(missing.status, 400);
    t.match(missing.body, { error_code: 'MALFORMED_REQUEST', message: /line 3, column 4/ });
    const trailing = ROUTE_OPTIMIZED_MODEL.replace('_enabled": true', '_enabled": true,');
    const refused = await daemon.admin('POST', ENDPOINTS, trailing);
    t.equal(refused.status, 400);
    t.match(refused.body, { error_code: 'MALFORMED_REQUEST', message: /line 10, column 1/ });
    t.same((await daemon.admin('GET', ENDPOINTS)).body, { endpoints: [] });
  },
);

t.test('a whole exchange, field by field', async (t) => {
  const daemon = await startDaemon(t);
  const created = await daemon.admin('POST', ENDPOINTS, {
    name: 'ab-demo',
    config: {
      served_entities: ['blue', 'green'].map((name, index) => ({
        name,
        entity_name: 'lab.ml.churn',
        entity_version: String(4 + index),
        workload_size: 'Small',
        scale_to_zero_enabled: true,
      })),
      traffic_config: {
        routes: [
          { served_model_name: 'blue', traffic_percentage: '90' },
          { served_entity_name: 'green', traffic_percentage: 10 },
        ],
      },
    },
    tags: [{ key: 'team', value: 'risk' }],
  });
  t.equal(created.status, 200, created.text);
  const view = created.body as View;
  const creator = view['creator'];
  const at = view['creation_timestamp'];
  t.match(creator, /.+/);
  t.type(at, 'number');
  t.match(view['id'], /^[0-9a-f]{32}$/);
  const sizes = { workload_size: 'Small', workload_type: 'CPU', scale_to_zero_enabled: true };
  const configWith = (state: unknown): object => ({
    config_version: 1,
    served_entities: [
      ['blue', '4'],
      ['green', '5'],
    ].map(([name, version]) => ({
      name,
      entity_name: 'lab.ml.churn',
      entity_version: version,
      ...sizes,
      creator,
      creation_timestamp: at,
      state,
    })),
    served_models: [
      ['blue', '4'],
      ['green', '5'],
    ].map(([name, version]) => ({
      name,
      model_name: 'lab.ml.churn',
      model_version: version,
      ...sizes,
      state,
    })),
    traffic_config: { routes: routes({ blue: 90, green: 10 }) },
  });
  const creating = { deployment: 'DEPLOYMENT_CREATING', deployment_state_message: 'Creating' };
  const common = {
    name: 'ab-demo',
    id: view['id'],
    creator,
    creation_timestamp: at,
    permission_level: 'CAN_MANAGE',
    route_optimized: false,
    description: '',
    tags: [{ key: 'team', value: 'risk' }],
  };
  t.strictSame(view, {
    ...common,
    last_updated_timestamp: at,
    state: { ready: 'NOT_READY', config_update: 'IN_PROGRESS' },
    pending_config: { ...configWith(creating), start_time: at },
  });

  const busy = await daemon.admin('PUT', `${ENDPOINTS}/ab-demo/config`, HALF_AND_HALF);
  t.equal(busy.status, 409);
  t.strictSame(busy.body, {
    error_code: 'RESOURCE_CONFLICT',
    message: 'Endpoint ab-demo is being updated; retry when the update has finished.',
  });

  const replica = await startReplica(t, (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.once('end', () => {
      t.equal(body, '{"dataframe_records":[{"tenure":12,"plan":"B"}],"client_request_id":"r-1"}');
      response.setHeader('content-type', 'application/json');
      response.end('{"predictions":[0.27]}');
    });
  });
  const deployment = {
    serves: ['4', '5'].map((version) => ({ entity_name: 'lab.ml.churn', entity_version: version })),
    replicas: [{ url: replica.url }],
    health: { interval_ms: 100 },
  };
  const put = await daemon.admin('PUT', '/api/2.0/pointsman/deployments/churn', deployment);
  t.equal(put.status, 200, put.text);
  const ready = await daemon.settled('ab-demo');
  t.type(ready['last_updated_timestamp'], 'number');
  t.strictSame(ready, {
    ...common,
    last_updated_timestamp: ready['last_updated_timestamp'],
    state: { ready: 'READY', config_update: 'NOT_UPDATING' },
    config: configWith({ deployment: 'DEPLOYMENT_READY', deployment_state_message: '' }),
  });

  const answer = await daemon.invoke('/serving-endpoints/ab-demo/invocations', {
    dataframe_records: [{ tenure: 12, plan: 'B' }],
    client_request_id: 'r-1',
  });
  t.equal(answer.status, 200, answer.text);
  t.match(answer.headers.get('served-model-name'), /^(?:blue|green)$/);
  t.match(answer.headers.get('x-request-id'), /.+/);
  t.strictSame(answer.body, { predictions: [0.27] });

  const deleted = await daemon.admin('DELETE', `${ENDPOINTS}/ab-demo`);
  t.equal(deleted.status, 200);
  t.strictSame(deleted.body, {});
  t.equal((await daemon.admin('GET', `${ENDPOINTS}/ab-demo`)).status, 404);
  const gone = await daemon.invoke('/serving-endpoints/ab-demo/invocations', {});
  t.match(gone, { status: 404, body: { error_code: 'ENDPOINT_NOT_FOUND' } });
});

t.test('the collection answers with and without a trailing slash', async (t) => {
  const daemon = await startDaemon(t);
  const replica = await startNamedReplica(t, 'a');
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ a: replica.url }),
  });
  const body = {
    name: 'one',
    config: {
      served_models: [
        { name: 'a', model_name: 'lab.ml.a', model_version: '1', scale_to_zero_enabled: true },
      ],
    },
  };
  const created = await daemon.admin('POST', `${ENDPOINTS}/`, body);
  t.equal(created.status, 200, created.text);
  await daemon.settled('one');
  for (const path of [ENDPOINTS, `${ENDPOINTS}/`]) {
    const { body: list } = await daemon.admin('GET', path);
    t.match(list, { endpoints: [{ name: 'one', config: { served_entities: [{ name: 'a' }] } }] });
  }
});
