/**
 * An application that knows the data port alone: the published npm client with a client id and secret, and what the
 * data port relays to the supervisor.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Config, WorkspaceClient } from '@databricks/sdk-experimental';
import t from 'tap';
import {
  call,
  deploymentsOf,
  endpointOf,
  startDaemon,
  startNamedReplica,
  temporaryDirectory,
} from './harness.js';
import { WireClient } from './wire.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const SCIM = '/api/2.0/preview/scim/v2';

const home = path.join(temporaryDirectory(t), 'home');
mkdirSync(home);
process.env['HOME'] = home;

for (const [mode, flags] of Object.entries({
  native: {},
  js: { 'data-plane-guard': 'off' },
} as Readonly<Record<string, Record<string, string>>>)) {
  await t.test(mode, async (t) => {
    const daemon = await startDaemon(t, {
      flags: { ...flags, 'data-plane-workers': '1', 'data-plane-serving-domain': 'serving.test' },
    });
    const replica = await startNamedReplica(t, 'a');
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: replica.url }),
      endpoints: [
        endpointOf('mine', { a: 100 }),
        endpointOf('theirs', { a: 100 }),
        Object.assign({ route_optimized: true }, endpointOf('fast', { a: 100 })),
      ],
    });
    for (const name of ['mine', 'theirs', 'fast']) await daemon.settled(name);
    const machine = await daemon.admin('POST', `${SCIM}/ServicePrincipals`, { displayName: 'm' });
    const { id, applicationId } = machine.body as { id: string; applicationId: string };
    const made = await daemon.admin(
      'POST',
      `/api/2.0/accounts/servicePrincipals/${id}/credentials/secrets`,
    );
    const { secret } = made.body as { secret: string };
    for (const name of ['mine', 'fast']) {
      const { body } = await daemon.admin('GET', `${ENDPOINTS}/${name}`);
      const endpointId = (body as { id: string }).id;
      await daemon.admin('PUT', `/api/2.0/permissions/serving-endpoints/${endpointId}`, {
        access_control_list: [
          { service_principal_name: applicationId, permission_level: 'CAN_QUERY' },
        ],
      });
    }

    await t.test('the npm client by client id and secret', async (t) => {
      const client = new WorkspaceClient(
        new Config({
          host: daemon.dataUrl,
          clientId: applicationId,
          clientSecret: secret,
          authType: 'oauth-m2m',
        }),
      );
      const answer = await client.servingEndpoints.query({ name: 'mine', inputs: [1] });
      t.ok(answer);
      t.match(await client.servingEndpoints.get({ name: 'mine' }), { name: 'mine' });
      const names: (string | undefined)[] = [];
      for await (const endpoint of client.servingEndpoints.list()) names.push(endpoint.name);
      t.strictSame(names.sort(), ['fast', 'mine'], 'what it may view');
      t.match(await client.currentUser.me(), { displayName: 'm' });
      const refused = client.servingEndpoints.query({ name: 'theirs', inputs: [1] });
      t.match(await refused.catch((error: unknown) => error), { statusCode: 403 });
    });

    await t.test('the documents show the data port, and the issuer is the same', async (t) => {
      const get = async (url: string): Promise<Record<string, unknown>> =>
        (await (await fetch(url)).json()) as Record<string, unknown>;
      t.match(await get(`${daemon.dataUrl}/.well-known/databricks-config`), {
        oidc_endpoint: `${daemon.dataUrl}/oidc`,
      });
      const document = '/oidc/.well-known/oauth-authorization-server';
      const here = await get(daemon.dataUrl + document);
      t.match(here, { token_endpoint: `${daemon.dataUrl}/oidc/v1/token` });
      t.equal(here['issuer'], (await get(daemon.adminUrl + document))['issuer']);
      t.match(await get(`${daemon.dataUrl}/oidc/jwks.json`), { keys: [{ alg: 'ES256' }] });
      const token = await fetch(`${daemon.dataUrl}/oidc/v1/token`, { method: 'POST', body: 'x' });
      t.equal(token.status, 400);
      t.equal(token.headers.get('cache-control'), 'no-store');
      t.match(await token.json(), { error: 'invalid_request' });
      const head = await fetch(`${daemon.dataUrl}/oidc/jwks.json`, { method: 'HEAD' });
      t.equal(head.status, 200);
    });

    await t.test('Me says which workspace this is', async (t) => {
      const { adminToken } = daemon;
      for (const url of [daemon.dataUrl, daemon.adminUrl]) {
        const me = await call(`${url}${SCIM}/Me`, 'GET', adminToken, undefined, {});
        t.equal(me.headers.get('x-databricks-org-id'), '1');
      }
    });

    await t.test('paths end with a slash or without, on both ports', async (t) => {
      const { adminToken } = daemon;
      for (const url of [daemon.dataUrl, daemon.adminUrl]) {
        const ask = (route: string, method = 'GET') =>
          call(`${url}${route}`, method, adminToken, undefined, {});
        const list = await ask(`${ENDPOINTS}/`);
        t.strictSame(list.body, (await ask(ENDPOINTS)).body);
        t.equal((list.body as { endpoints: unknown[] }).endpoints.length, 3);
        t.match((await ask(`${ENDPOINTS}/mine/`)).body, { name: 'mine' });
        t.match((await ask(`${ENDPOINTS}/?x=1`)).status, 200);
        t.match((await ask(`${SCIM}/Me/`)).body, { userName: 'admin' });
        t.match((await ask('/oidc/jwks.json/')).status, 200);
        t.match((await ask('/oidc/v1/token/', 'POST')).body, { error: 'invalid_request' });
        for (const none of [`${ENDPOINTS}//`, `${ENDPOINTS}/mine//`]) {
          t.equal((await ask(none)).status, 404, none);
        }
      }
      const none = await call(`${daemon.dataUrl}${ENDPOINTS}/`, 'DELETE', adminToken, '', {});
      t.equal(none.status, 405);
    });

    await t.test('nothing else of the admin port is there', async (t) => {
      const ask = (method: string, route: string) =>
        call(`${daemon.dataUrl}${route}`, method, daemon.adminToken, undefined, {});
      t.match(await ask('DELETE', `${ENDPOINTS}/mine`), { status: 405 });
      t.match(await ask('GET', '/oidc/v1/token'), { status: 405 });
      for (const route of ['/api/2.0/pointsman/status', '/metrics', `${SCIM}/Users`]) {
        t.match(await ask('GET', route), { status: 404 }, route);
      }
      t.match(await ask('GET', `${ENDPOINTS}/../pointsman/status`), { status: 404 });
      const large = await fetch(`${daemon.dataUrl}/oidc/v1/token`, {
        method: 'POST',
        body: 'x'.repeat(70_000),
      });
      t.equal(large.status, 413);
      await large.body?.cancel();
      const none = await fetch(`${daemon.dataUrl}${ENDPOINTS}/mine`);
      t.equal(none.status, 401);
      await none.body?.cancel();
    });

    await t.test('a route-optimized endpoint has a host name of its own', async (t) => {
      const { body } = await daemon.admin('GET', `${ENDPOINTS}/fast`);
      const view = body as {
        id: string;
        endpoint_url: string;
        data_plane_info: { query_info: { authorization_details: string } };
      };
      const url = new URL(view.endpoint_url);
      t.equal(url.hostname, `${view.id}.serving.test`);
      const answer = await fetch(`${daemon.dataUrl}/oidc/v1/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: applicationId,
          client_secret: secret,
          authorization_details: view.data_plane_info.query_info.authorization_details,
        }),
      });
      const { access_token: token } = (await answer.json()) as { access_token: string };
      const client = new WireClient(t, daemon.dataPort);
      const statusOf = async (host: string, credential: string): Promise<number> => {
        client.send(
          `POST /serving-endpoints/fast/invocations HTTP/1.1\r\nHost: ${host}\r\n` +
            `Authorization: Bearer ${credential}\r\nContent-Type: application/json\r\n` +
            'Content-Length: 14\r\n\r\n{"inputs":[1]}',
        );
        return (await client.answer()).status;
      };
      t.equal(await statusOf(url.host, token), 200);
      t.equal(await statusOf(url.host, daemon.queryToken), 403, 'by this URL');
      t.equal(await statusOf('router', daemon.queryToken), 200, 'by the other');
      t.equal(await statusOf('0123456789abcdef.serving.test', token), 404);
    });

    await t.test('without a supervisor invocations go on, the rest waits', async (t) => {
      process.kill(daemon.process.pid ?? 0, 'SIGKILL');
      await new Promise((resolve) => daemon.process.once('exit', resolve));
      const path = '/serving-endpoints/mine/invocations';
      t.match(await daemon.invoke(path, { inputs: [1] }), { status: 200 });
      const away = await fetch(`${daemon.dataUrl}/oidc/jwks.json`);
      t.equal(away.status, 503);
      t.ok(away.headers.get('retry-after'));
      await away.body?.cancel();
    });
  });
}
