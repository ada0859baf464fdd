/**
 * The worked exchange of reference/databricks-serving-api.md, section 16, and the seeds' bodies.
 */
import t from 'tap';
import type { JsonObject } from '../../../src/control/control-plane.js';
import { deployment, MIA, ManualClock, startControl, startReplica, until } from './harness.js';

const CREATE = {
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
};

const NOW = new ManualClock().nowMs();

function expectedEntities(state: JsonObject): JsonObject {
  const sizes = { workload_size: 'Small', workload_type: 'CPU', scale_to_zero_enabled: true };
  const names = [
    ['blue', '4'],
    ['green', '5'],
  ] as const;
  return {
    served_entities: names.map(([name, version]) => ({
      name,
      entity_name: 'lab.ml.churn',
      entity_version: version,
      ...sizes,
      creator: 'mia@example.org',
      creation_timestamp: NOW,
      state,
    })),
    served_models: names.map(([name, version]) => ({
      name,
      model_name: 'lab.ml.churn',
      model_version: version,
      ...sizes,
      state,
    })),
    traffic_config: {
      routes: [
        { served_model_name: 'blue', served_entity_name: 'blue', traffic_percentage: 90 },
        { served_model_name: 'green', served_entity_name: 'green', traffic_percentage: 10 },
      ],
    },
  };
}

function expected(id: string, part: JsonObject): JsonObject {
  return {
    name: 'ab-demo',
    id,
    creator: 'mia@example.org',
    creation_timestamp: NOW,
    last_updated_timestamp: NOW,
    permission_level: 'CAN_MANAGE',
    route_optimized: false,
    description: '',
    tags: [{ key: 'team', value: 'risk' }],
    ...part,
  };
}

t.test('create and read-back have exactly the keys and values of section 16', async (t) => {
  const { control, dataPlane } = await startControl(t, { clock: new ManualClock() });
  const created = (await control.createEndpoint(CREATE, MIA)).value;
  const id = created['id'] as string;
  t.match(id, /^[0-9a-f]{32}$/);
  const creating = { deployment: 'DEPLOYMENT_CREATING', deployment_state_message: 'Creating' };
  t.strictSame(
    created,
    expected(id, {
      state: { ready: 'NOT_READY', config_update: 'IN_PROGRESS' },
      pending_config: { config_version: 1, start_time: NOW, ...expectedEntities(creating) },
    }),
  );
  t.same(dataPlane.last.endpoints, [], 'a pending config takes no traffic');

  const replica = await startReplica(t);
  const serves = [
    ['lab.ml.churn', '4'],
    ['lab.ml.churn', '5'],
  ] as const;
  await control.putDeployment('churn', deployment('churn', serves, [replica.url]), MIA);
  t.equal(await control.waitSettled(5_000), true);
  const ready = { deployment: 'DEPLOYMENT_READY', deployment_state_message: '' };
  t.strictSame(
    control.getEndpoint('ab-demo').value,
    expected(id, {
      state: { ready: 'READY', config_update: 'NOT_UPDATING' },
      config: { config_version: 1, ...expectedEntities(ready) },
    }),
  );
  t.match(dataPlane.last.endpoints, [
    {
      name: 'ab-demo',
      id,
      configVersion: 1,
      entities: [
        { name: 'blue', sharePpm: 900_000, deployment: 'churn' },
        { name: 'green', sharePpm: 100_000, deployment: 'churn' },
      ],
    },
  ]);
  t.strictSame(control.listEndpoints(), [
    {
      name: 'ab-demo',
      id,
      creator: 'mia@example.org',
      creation_timestamp: NOW,
      last_updated_timestamp: NOW,
      state: { ready: 'READY', config_update: 'NOT_UPDATING' },
      config: {
        served_entities: [
          { name: 'blue', entity_name: 'lab.ml.churn', entity_version: '4' },
          { name: 'green', entity_name: 'lab.ml.churn', entity_version: '5' },
        ],
        served_models: [
          { name: 'blue', model_name: 'lab.ml.churn', model_version: '4' },
          { name: 'green', model_name: 'lab.ml.churn', model_version: '5' },
        ],
      },
      description: '',
      tags: [{ key: 'team', value: 'risk' }],
    },
  ]);
});

t.test(
  'a create whose entities are all up answers IN_PROGRESS; the next call sees READY',
  async (t) => {
    const { control } = await startControl(t);
    const replica = await startReplica(t);
    const serves = [
      ['lab.ml.churn', '4'],
      ['lab.ml.churn', '5'],
    ] as const;
    await control.putDeployment('churn', deployment('churn', serves, [replica.url]), MIA);
    await until(() => control.getDeployment('churn').value.state === 'READY', 'deployment ready');
    const { value } = await control.createEndpoint(CREATE, MIA);
    t.match(value, { state: { ready: 'NOT_READY', config_update: 'IN_PROGRESS' } });
    t.match(value['pending_config'], { config_version: 1 });
    t.notOk('config' in value);
    const read = control.getEndpoint('ab-demo').value;
    t.strictSame(read['state'], { ready: 'READY', config_update: 'NOT_UPDATING' });
    t.notOk('pending_config' in read);
  },
);

t.test('a second PUT during an update answers 409 in the words of section 16', async (t) => {
  const { control } = await startControl(t);
  await control.createEndpoint(CREATE, MIA);
  await t.rejects(control.updateConfig('ab-demo', CREATE.config, MIA), {
    code: 'RESOURCE_CONFLICT',
    status: 409,
    message: 'Endpoint ab-demo is being updated; retry when the update has finished.',
  });
});

t.test('a route-optimised endpoint shows its URL and the details as text', async (t) => {
  const { control } = await startControl(t);
  const { value } = await control.createEndpoint(
    {
      name: 'fast',
      config: {
        served_entities: [
          { entity_name: 'c.s.feature_spec', workload_type: 'CPU', workload_size: 'Small' },
        ],
      },
      route_optimized: true,
    },
    MIA,
  );
  const url = 'http://127.0.0.1:8080/900800700600/serving-endpoints/fast/invocations';
  t.equal(value['endpoint_url'], url);
  t.strictSame(value['data_plane_info'], {
    query_info: {
      endpoint_url: url,
      authorization_details: `[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/${value['id'] as string}","actions":["query_inference_endpoint"]}]`,
    },
  });
  const pending = value['pending_config'] as {
    served_entities: JsonObject[];
    served_models: JsonObject[];
  };
  t.strictSame(Object.keys(pending.served_entities[0] ?? {}).sort(), [
    'creation_timestamp',
    'creator',
    'entity_name',
    'name',
    'scale_to_zero_enabled',
    'state',
    'workload_size',
    'workload_type',
  ]);
  t.equal(pending.served_entities[0]?.['name'], 'feature_spec');
  t.notOk('model_version' in (pending.served_models[0] ?? {}));
});

t.test("the seeds' bodies are accepted verbatim", async (t) => {
  const { control } = await startControl(t);
  const seeds = [SEED_CUSTOM, SEED_THROUGHPUT, SEED_EXTERNAL, SEED_OPTIMIZED];
  for (const seed of seeds) {
    const { value } = await control.createEndpoint(seed, MIA);
    t.match(value, { state: { config_update: 'IN_PROGRESS' } }, seed.name);
  }
  const custom = control.getEndpoint('multi-model').value['pending_config'];
  t.match(custom, {
    traffic_config: {
      routes: [
        { served_entity_name: 'current', traffic_percentage: 90 },
        { served_model_name: 'challenger', traffic_percentage: 10 },
      ],
    },
  });
  t.match(control.getEndpoint('multi-pt-model').value['pending_config'], {
    served_entities: [{ min_provisioned_throughput: 0, max_provisioned_throughput: 1940 }, {}],
  });
  t.match(control.getEndpoint('mix-chat-endpoint').value, {
    task: 'llm/v1/chat',
    pending_config: {
      served_entities: [
        {
          external_model: { provider: 'openai' },
          state: { deployment_state_message: /external models are not served/ },
        },
        {},
      ],
    },
  });
  t.match(control.getEndpoint('my-endpoint').value['pending_config'], {
    served_entities: [{ name: 'ads1-1' }],
    traffic_config: { routes: [{ served_entity_name: 'ads1-1', traffic_percentage: 100 }] },
  });
});

function route(name: string, percentage: string | number) {
  return { served_model_name: name, traffic_percentage: percentage };
}

const SEED_CUSTOM = {
  name: 'multi-model',
  config: {
    served_entities: ['current', 'challenger'].map((name, index) => ({
      name,
      entity_name: `catalog.schema.model-${index === 0 ? 'A' : 'B'}`,
      entity_version: '1',
      workload_size: 'Small',
      scale_to_zero_enabled: true,
    })),
    traffic_config: { routes: [route('current', '90'), route('challenger', '10')] },
  },
};

const SEED_THROUGHPUT = {
  name: 'multi-pt-model',
  config: {
    served_entities: [
      {
        name: 'mistral_7b_instruct_v0_1-2',
        entity_name: 'system.ai.mistral_7b_instruct_v0_1',
        entity_version: '2',
        min_provisioned_throughput: 0,
        max_provisioned_throughput: 1940,
      },
      {
        name: 'mixtral_8x7b_instruct_v0_1-3',
        entity_name: 'system.ai.mixtral_8x7b_instruct_v0_1',
        entity_version: '3',
        min_provisioned_throughput: 0,
        max_provisioned_throughput: 1240,
      },
    ],
    traffic_config: {
      routes: [
        route('mistral_7b_instruct_v0_1-2', '60'),
        route('mixtral_8x7b_instruct_v0_1-3', '40'),
      ],
    },
  },
};

const SEED_EXTERNAL = {
  name: 'mix-chat-endpoint',
  config: {
    served_entities: [
      {
        name: 'served_model_name_1',
        external_model: {
          name: 'gpt-4',
          provider: 'openai',
          task: 'llm/v1/chat',
          openai_config: { openai_api_key: '{{secrets/my_openai_secret_scope/openai_api_key}}' },
        },
      },
      {
        name: 'served_model_name_2',
        external_model: {
          name: 'claude-3-opus-20240229',
          provider: 'anthropic',
          task: 'llm/v1/chat',
          anthropic_config: {
            anthropic_api_key: '{{secrets/my_anthropic_secret_scope/anthropic_api_key}}',
          },
        },
      },
    ],
    traffic_config: {
      routes: [route('served_model_name_1', 50), route('served_model_name_2', 50)],
    },
  },
};

const SEED_OPTIMIZED = {
  name: 'my-endpoint',
  config: {
    served_entities: [
      {
        entity_name: 'ads1',
        entity_version: '1',
        workload_type: 'CPU',
        workload_size: 'Small',
        scale_to_zero_enabled: true,
      },
    ],
  },
  route_optimized: true,
};
