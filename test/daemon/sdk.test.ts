/** The published npm client, unchanged: only its host and token are ours. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { ApiError, Config, WorkspaceClient } from '@databricks/sdk-experimental';
import t, { type Test } from 'tap';
import {
  deploymentsOf,
  startDaemon,
  startNamedReplica,
  temporaryDirectory,
  type TestDaemon,
} from './harness.js';

/** Nothing of the machine's own set-up may reach the client. */
function cleanHome(t: Test): void {
  const home = path.join(temporaryDirectory(t), 'home');
  mkdirSync(home);
  const names = Object.keys(process.env).filter((name) =>
    /^(?:DATABRICKS|ARM|GOOGLE|AZURE)_/.test(name),
  );
  const saved = Object.fromEntries(['HOME', ...names].map((name) => [name, process.env[name]]));
  for (const name of names) Reflect.deleteProperty(process.env, name);
  process.env['HOME'] = home;
  t.teardown(() => Object.assign(process.env, saved));
}

function clientOf(daemon: TestDaemon, token = daemon.adminToken): WorkspaceClient {
  return new WorkspaceClient(new Config({ host: daemon.adminUrl, token, authType: 'pat' }));
}

function entity(name: string): object {
  const target = { entity_name: `lab.ml.${name}`, entity_version: '1' };
  return { name, ...target, workload_size: 'Small', scale_to_zero_enabled: true };
}

function routes(current: number, challenger: number): { routes: object[] } {
  return {
    routes: [
      { served_model_name: 'current', traffic_percentage: current },
      { served_model_name: 'challenger', traffic_percentage: challenger },
    ],
  };
}

async function rejection(call: Promise<unknown>): Promise<ApiError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('the call was to be refused');
}

cleanHome(t);
const daemon = await startDaemon(t);
const current = await startNamedReplica(t, 'current');
const challenger = await startNamedReplica(t, 'challenger');
await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
  deployments: deploymentsOf({ current: current.url, challenger: challenger.url }),
});
const client = clientOf(daemon);
const { servingEndpoints } = client;

await t.test('create, wait, query, update, list, delete', async (t) => {
  const served_entities = [entity('current'), entity('challenger')];
  const waiter = await servingEndpoints.create({
    name: 'multi-model',
    config: { served_entities, traffic_config: routes(90, 10) },
  } as Parameters<typeof servingEndpoints.create>[0]);
  t.equal(waiter.name, 'multi-model');
  const created = await waiter.wait();
  t.match(created.state, { ready: 'READY', config_update: 'NOT_UPDATING' });
  t.equal(created.config?.config_version, 1);
  t.same(
    created.config?.traffic_config?.routes?.map((route) => route.traffic_percentage),
    [90, 10],
  );

  const answer = (await servingEndpoints.query({
    name: 'multi-model',
    dataframe_records: [{ sepal: 4.9 }],
  })) as unknown as Record<string, unknown>;
  t.match(answer['served-model-name'], /^(?:current|challenger)$/);
  t.equal(answer['served'], answer['served-model-name'], 'the header names who answered');

  for (let count = 0; count < 10; count += 1) {
    const one = (await client.apiClient.request({
      path: '/serving-endpoints/multi-model/served-models/challenger/invocations',
      method: 'POST',
      headers: new Headers({ 'content-type': 'application/json' }),
      raw: false,
      payload: { inputs: [1] },
    })) as Record<string, unknown>;
    t.equal(one['served'], 'challenger');
  }

  const update = await servingEndpoints.updateConfig({
    name: 'multi-model',
    served_entities,
    traffic_config: routes(50, 50),
  } as Parameters<typeof servingEndpoints.updateConfig>[0]);
  const updated = await update.wait();
  t.equal(updated.config?.config_version, 2);
  t.same(
    updated.config?.traffic_config?.routes?.map((route) => route.traffic_percentage),
    [50, 50],
  );
  t.equal(updated.pending_config, undefined);
  t.equal(updated.id, created.id);

  const listed: (string | undefined)[] = [];
  for await (const endpoint of servingEndpoints.list()) listed.push(endpoint.name);
  t.same(listed, ['multi-model']);

  await servingEndpoints.delete({ name: 'multi-model' });
  for await (const endpoint of servingEndpoints.list()) t.fail(`${String(endpoint.name)} is left`);
});

await t.test('errors arrive with their codes and messages', async (t) => {
  const missing = await rejection(servingEndpoints.get({ name: 'nobody' }));
  t.match(missing, { statusCode: 404, errorCode: 'RESOURCE_DOES_NOT_EXIST', message: /nobody/ });

  const config = { served_entities: [entity('current')] };
  const body = { name: 'once', config } as Parameters<typeof servingEndpoints.create>[0];
  await (await servingEndpoints.create(body)).wait();
  const again = await rejection(servingEndpoints.create(body));
  t.match(again, {
    statusCode: 400,
    errorCode: 'RESOURCE_ALREADY_EXISTS',
    message: /already exists/,
  });

  const wrong = await rejection(
    servingEndpoints.updateConfig({
      name: 'once',
      ...config,
      traffic_config: routes(50, 49),
    } as Parameters<typeof servingEndpoints.updateConfig>[0]),
  );
  t.match(wrong, {
    statusCode: 400,
    errorCode: 'INVALID_PARAMETER_VALUE',
    message: /traffic_config/,
  });

  const unknown = await rejection(servingEndpoints.query({ name: 'nobody', inputs: [1] }));
  t.match(unknown, { statusCode: 404, errorCode: 'ENDPOINT_NOT_FOUND', message: /nobody/ });

  const stranger = clientOf(daemon, 'not-a-token').servingEndpoints;
  const refused = await rejection(stranger.get({ name: 'once' }));
  t.match(refused, { statusCode: 401, errorCode: 'UNAUTHENTICATED' });
});

await t.test('an update during an update is a conflict', async (t) => {
  const config = { served_entities: [entity('unserved')] };
  await servingEndpoints.create({ name: 'busy', config } as Parameters<
    typeof servingEndpoints.create
  >[0]);
  const conflict = await rejection(
    servingEndpoints.updateConfig({
      name: 'busy',
      ...config,
    }),
  );
  t.match(conflict, { statusCode: 409, errorCode: 'RESOURCE_CONFLICT', message: /being updated/ });
});
