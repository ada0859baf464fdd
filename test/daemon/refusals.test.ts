/** Every refused change says which field is wrong, and changes nothing: no manifest, no revision, no answer. */
import t, { type Test } from 'tap';
import { configOf, deploymentsOf, endpointOf, startDaemon, startNamedReplica } from './harness.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const MANIFEST = '/api/2.0/pointsman/manifest';

interface Case {
  readonly title: string;
  readonly body: unknown;
  readonly code?: string;
  readonly message: RegExp;
}

function entity(name: string, more: object = {}): object {
  return { name, entity_name: `lab.ml.${name}`, entity_version: '1', ...more };
}

function route(name: string, percentage: unknown): object {
  return { served_model_name: name, traffic_percentage: percentage };
}

function config(entities: readonly object[], routes?: readonly unknown[]): object {
  return {
    served_entities: entities,
    ...(routes === undefined ? {} : { traffic_config: { routes } }),
  };
}

const EXTERNAL = {
  name: 'x',
  external_model: {
    name: 'gpt-4',
    provider: 'openai',
    task: 'llm/v1/chat',
    openai_config: { openai_api_key: '{{secrets/s/k}}' },
  },
};

const AB = [entity('a'), entity('b')];

/** Configs that are wrong on creation and on update alike. */
const CONFIGS: readonly Case[] = [
  {
    title: 'a route to an entity that is not there',
    body: config(AB, [route('a', 90), route('c', 10)]),
    message: /traffic_config\.routes\[1\]\.served_model_name: .*"?c"?/,
  },
  {
    title: 'a sum of 99',
    body: config(AB, [route('a', 90), route('b', 9)]),
    message: /traffic_config\.routes: .*99/,
  },
  {
    title: 'a sum of 101',
    body: config(AB, [route('a', '91'), route('b', '10')]),
    message: /traffic_config\.routes: .*101/,
  },
  ...[-1, 101, 10.5, '10.5', '', 'ten', null, true, 1e400, '1e1', '0x10', ' 90'].map(
    (percentage) => ({
      title: `a percentage of ${JSON.stringify(percentage)}`,
      body: config(AB, [route('a', 90), route('b', percentage)]),
      message: /traffic_config\.routes\[1\]\.traffic_percentage: /,
    }),
  ),
  {
    title: 'the same served name twice',
    body: config([entity('a'), entity('a', { entity_version: '2' })], [route('a', 100)]),
    message: /served_entities\[1\]\.name: .*a/,
  },
  {
    title: 'two routes to one entity',
    body: config(AB, [route('a', 50), route('a', 50)]),
    message: /traffic_config\.routes\[1\]/,
  },
  {
    title: 'an illegal served name',
    body: config([entity('a b')]),
    message: /served_entities\[0\]\.name: /,
  },
  {
    title: 'several entities without a split',
    body: config(AB),
    message: /traffic_config/,
  },
  {
    title: 'a model beside an external model',
    body: config([entity('a'), EXTERNAL], [route('a', 50), route('x', 50)]),
    message: /served_entities/,
  },
  {
    title: 'external models of different tasks',
    body: config(
      [
        EXTERNAL,
        {
          ...EXTERNAL,
          name: 'y',
          external_model: { ...EXTERNAL.external_model, task: 'llm/v1/embeddings' },
        },
      ],
      [route('x', 50), route('y', 50)],
    ),
    message: /served_entities\[1\]\.external_model\.task: /,
  },
  {
    title: 'both spellings of a route target, differing',
    body: config(AB, [
      { served_model_name: 'a', served_entity_name: 'b', traffic_percentage: 50 },
      route('b', 50),
    ]),
    message: /traffic_config\.routes\[0\]/,
  },
  {
    title: 'both spellings of the list',
    body: { served_entities: [entity('a')], served_models: [entity('b')] },
    message: /served_models|served_entities/,
  },
  {
    title: 'entities that are no list',
    body: { served_entities: { name: 'a' } },
    message: /served_entities: /,
  },
  {
    title: 'more entities than an endpoint may have',
    body: config(
      Array.from({ length: 16 }, (_, index) => entity(`m${String(index)}`)),
      [route('m0', 100)],
    ),
    message: /served_entities: /,
  },
];

t.test('refused changes change nothing', async (t) => {
  const daemon = await startDaemon(t);
  const replicas = { a: await startNamedReplica(t, 'a'), b: await startNamedReplica(t, 'b') };
  await daemon.admin('PATCH', MANIFEST, {
    deployments: deploymentsOf({ a: replicas.a.url, b: replicas.b.url }),
    endpoints: [endpointOf('used', { a: 90, b: 10 })],
  });
  await daemon.settled('used');

  async function state(): Promise<unknown> {
    const manifest = await daemon.admin('GET', MANIFEST);
    const endpoint = await daemon.admin('GET', `${ENDPOINTS}/used`);
    const status = await daemon.admin('GET', '/api/2.0/pointsman/status');
    const answer = await daemon.invoke('/serving-endpoints/used/invocations', {});
    return {
      manifest: manifest.text,
      etag: manifest.headers.get('etag'),
      endpoint: endpoint.text,
      revision: (status.body as { revision: number }).revision,
      served: answer.headers.get('x-pointsman-revision'),
    };
  }
  const before = await state();

  async function refuse(t: Test, method: string, path: string, refused: Case): Promise<void> {
    const { status, body, headers } = await daemon.admin(method, path, refused.body);
    const code = refused.code ?? 'INVALID_PARAMETER_VALUE';
    t.equal(status, 400);
    t.match(body, { error_code: code, message: refused.message });
    t.strictSame(Object.keys(body as object), ['error_code', 'message']);
    t.equal(headers.get('x-pointsman-error'), code);
    t.strictSame(await state(), before);
  }

  for (const refused of CONFIGS) {
    await t.test(`creation: ${refused.title}`, (t) =>
      refuse(t, 'POST', ENDPOINTS, { ...refused, body: { name: 'fresh', config: refused.body } }),
    );
    await t.test(`update: ${refused.title}`, (t) =>
      refuse(t, 'PUT', `${ENDPOINTS}/used/config`, refused),
    );
    await t.test(`manifest: ${refused.title}`, (t) =>
      refuse(t, 'PATCH', MANIFEST, {
        ...refused,
        body: {
          deployments: [{ ...(deploymentsOf({ c: 'http://127.0.0.1:9' })[0] as object) }],
          endpoints: [{ name: 'fresh', config: refused.body }],
        },
      }),
    );
  }

  const good = configOf({ a: 100 });
  const names = ['', 'a b', 'é', 'a/b', 'a'.repeat(200), 'databricks-x', 7, null];
  for (const name of names) {
    await t.test(`name ${JSON.stringify(name).slice(0, 20)}`, (t) =>
      refuse(t, 'POST', ENDPOINTS, { title: '', body: { name, config: good }, message: /^name: / }),
    );
  }
  await t.test('no name', (t) =>
    refuse(t, 'POST', ENDPOINTS, { title: '', body: { config: good }, message: /^name: / }),
  );
  await t.test('a name that is used', (t) =>
    refuse(t, 'POST', ENDPOINTS, {
      title: '',
      body: endpointOf('used', { a: 100 }),
      code: 'RESOURCE_ALREADY_EXISTS',
      message: /used.*already exists/,
    }),
  );

  const malformed: [title: string, text: string, where: RegExp][] = [
    ['nothing', '', /line 1, column 1/],
    ['text', 'hello', /line 1, column 1/],
    ['a missing comma', '{\n  "name": "x"\n  "config": {}\n}', /line 3, column 3/],
    ['a trailing comma', '{"name": "x",}', /line 1, column 14/],
    ['two values', '{} {}', /line 1, column 4/],
    ['an open string', '{"name": "x', /line 1, column \d+/],
    ['a number too deep in letters', '{"a": 01}', /line 1, column \d+/],
    ['NaN', '{"a": NaN}', /line 1, column 7/],
    ['100,000 brackets', '['.repeat(100_000), /line 1, column \d+/],
    ['the same key twice', '{"name": "x", "name": "y"}', /line 1, column 15/],
  ];
  for (const [title, text, message] of malformed) {
    for (const [method, path] of [
      ['POST', ENDPOINTS],
      ['PUT', `${ENDPOINTS}/used/config`],
      ['PATCH', MANIFEST],
    ] as const) {
      await t.test(`not JSON (${title}): ${method} ${path}`, (t) =>
        refuse(t, method, path, { title, body: text, code: 'MALFORMED_REQUEST', message }),
      );
    }
  }

  await t.test('a body that is no object', async (t) => {
    for (const text of ['[]', 'null', '"x"', '1']) {
      const { status, body } = await daemon.admin('POST', ENDPOINTS, text);
      t.equal(status, 400, text);
      t.equal((body as { error_code: string }).error_code, 'INVALID_PARAMETER_VALUE');
    }
    t.strictSame(await state(), before);
  });

  await t.test('an endpoint that is not there', async (t) => {
    for (const [method, path, body] of [
      ['GET', `${ENDPOINTS}/nobody`, undefined],
      ['PUT', `${ENDPOINTS}/nobody/config`, good],
      ['DELETE', `${ENDPOINTS}/nobody`, undefined],
    ] as const) {
      const answer = await daemon.admin(method, path, body);
      t.match(answer, { status: 404, body: { error_code: 'RESOURCE_DOES_NOT_EXIST' } }, method);
    }
    t.strictSame(await state(), before);
  });

  await t.test('no credential, and the query token', async (t) => {
    const headers = { authorization: '' };
    const none = await daemon.admin('POST', ENDPOINTS, endpointOf('fresh', { a: 100 }), headers);
    t.match(none, { status: 401, body: { error_code: 'UNAUTHENTICATED' } });
    const query = { authorization: `Bearer ${daemon.queryToken}` };
    const wrong = await daemon.admin('DELETE', `${ENDPOINTS}/used`, undefined, query);
    t.match(wrong, { status: 403, body: { error_code: 'PERMISSION_DENIED' } });
    t.strictSame(await state(), before);
  });
});
