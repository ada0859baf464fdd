/** What was acknowledged is there after a restart: after a clean one and after SIGKILL. */
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  configOf,
  startDaemon,
  startNamedReplica,
  temporaryDirectory,
  type TestDaemon,
} from './harness.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';

interface View {
  readonly config?: { config_version: number };
  readonly pending_config?: Record<string, unknown>;
}

async function everything(daemon: TestDaemon): Promise<Record<string, unknown>> {
  const [manifest, one, waiting, fresh, status] = await Promise.all([
    daemon.admin('GET', '/api/2.0/pointsman/manifest'),
    daemon.admin('GET', `${ENDPOINTS}/one`),
    daemon.admin('GET', `${ENDPOINTS}/waiting`),
    daemon.admin('GET', `${ENDPOINTS}/fresh`),
    daemon.admin('GET', '/api/2.0/pointsman/status'),
  ]);
  return {
    manifest: manifest.body,
    etag: manifest.headers.get('etag'),
    one: one.body,
    waiting: withoutProbes(waiting.body as View),
    fresh: withoutProbes(fresh.body as View),
    revision: (status.body as { revision: number }).revision,
    tokens: [daemon.adminToken, daemon.queryToken],
  };
}

/** What probes say of a pending config depends on the moment; all the rest may not. */
function withoutProbes(view: View): unknown {
  return JSON.parse(
    JSON.stringify(view, (key, value: unknown) =>
      key === 'deployment_state_message' ? '' : value,
    ),
  );
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`restart after ${signal}`, async (t) => {
    const stateDir = temporaryDirectory(t);
    const first = await startDaemon(t, { stateDir });
    const a = await startNamedReplica(t, 'a');
    const b = await startNamedReplica(t, 'b');
    await first.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: a.url, b: b.url }),
      endpoints: [endpointOf('one', { a: 90, b: 10 }), endpointOf('waiting', { a: 100 })],
    });
    await first.settled('one');
    await first.settled('waiting');
    await first.admin('PUT', `${ENDPOINTS}/one/config`, configOf({ a: 30, b: 70 }));
    await first.settled('one');
    // One change that waits on an endpoint that serves, one on an endpoint that never did.
    const update = await first.admin(
      'PUT',
      `${ENDPOINTS}/waiting/config`,
      configOf({ a: 1, late: 99 }),
    );
    t.equal(update.status, 200, update.text);
    const created = await first.admin('POST', ENDPOINTS, endpointOf('fresh', { late: 100 }));
    t.equal(created.status, 200, created.text);
    const before = await everything(first);
    t.match(before, {
      one: { config: { config_version: 2 } },
      waiting: { config: { config_version: 1 }, pending_config: { config_version: 2 } },
      fresh: { pending_config: { config_version: 1 } },
    });
    t.equal(await first.stop(signal), signal === 'SIGKILL' ? null : 0);

    const second = await startDaemon(t, { stateDir });
    const answer = await second.invoke('/serving-endpoints/one/invocations', {});
    t.equal(answer.status, 200, 'it serves at once');
    t.strictSame(await everything(second), before);

    const late = await startNamedReplica(t, 'late');
    await second.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ late: late.url }),
    });
    t.equal(((await second.settled('waiting')) as View).config?.config_version, 2);
    t.equal(((await second.settled('fresh')) as View).config?.config_version, 1);
    const { body } = await second.admin('GET', `${ENDPOINTS}/waiting`);
    t.match(body, {
      config: {
        traffic_config: {
          routes: [
            { served_model_name: 'a', traffic_percentage: 1 },
            { served_model_name: 'late', traffic_percentage: 99 },
          ],
        },
      },
    });
    t.notOk('pending_config' in (body as View), 'what was pending has become active');
    t.match(await second.invoke('/serving-endpoints/fresh/invocations', {}), {
      status: 200,
      body: { served: 'late' },
    });
  });
}

t.test(
  'changes under way when the process is killed are wholly there or wholly absent',
  async (t) => {
    const stateDir = temporaryDirectory(t);
    const first = await startDaemon(t, { stateDir });
    const a = await startNamedReplica(t, 'a');
    const b = await startNamedReplica(t, 'b');
    await first.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: a.url, b: b.url }),
      endpoints: [endpointOf('one', { a: 0, b: 100 })],
    });
    await first.settled('one');
    let acknowledged = 0;
    const pushing = (async () => {
      for (let share = 1; share <= 100; share += 1) {
        const config = configOf({ a: share, b: 100 - share });
        const { status } = await first.admin('PUT', `${ENDPOINTS}/one/config`, config);
        if (status === 200) acknowledged = share;
        if (share === 40) void first.stop('SIGKILL');
      }
    })();
    await t.rejects(pushing, 'the daemon is killed among the changes');
    await first.stop('SIGKILL');
    t.ok(acknowledged >= 40, `${String(acknowledged)} changes were acknowledged`);
    const second = await startDaemon(t, { stateDir });
    const view = (await second.settled('one')) as {
      config: {
        config_version: number;
        traffic_config: { routes: { traffic_percentage: number }[] };
      };
    };
    const [share = -1, rest = -1] = view.config.traffic_config.routes.map(
      (r) => r.traffic_percentage,
    );
    t.equal(share + rest, 100);
    t.ok(share === acknowledged || share === acknowledged + 1, `found ${String(share)}`);
    t.equal(view.config.config_version, share + 1);
  },
);
