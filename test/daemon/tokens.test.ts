/**
 * Who may query, on the data port of a whole daemon: access tokens and OAuth tokens, their permissions, and how
 * soon a change is in force in every worker, on connections that are open already.
 */
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startNamedReplica,
  type Answer,
} from './harness.js';
import { WireClient } from './wire.js';

const ENDPOINTS = '/api/2.0/serving-endpoints';
const PERMISSIONS = '/api/2.0/permissions/serving-endpoints';
const SCIM = '/api/2.0/preview/scim/v2';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const MODES: Readonly<Record<string, Record<string, string>>> = {
  native: {},
  guarded: { 'data-plane-fast-path': 'false' },
  js: { 'data-plane-guard': 'off' },
};

function request(path: string, token: string): string {
  const body = '{"inputs":[1]}';
  return [
    `POST ${path} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    `Content-Length: ${String(body.length)}`,
    '',
    body,
  ].join('\r\n');
}

for (const [mode, flags] of Object.entries(MODES)) {
  await t.test(`tokens and permissions, ${mode}`, async (t) => {
    const daemon = await startDaemon(t, { flags: { ...flags, 'data-plane-workers': '2' } });
    const replica = await startNamedReplica(t, 'a');
    await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
      deployments: deploymentsOf({ a: replica.url }),
      endpoints: [
        endpointOf('open', { a: 100 }),
        endpointOf('other', { a: 100 }),
        Object.assign({ route_optimized: true }, endpointOf('fast', { a: 100 })),
      ],
    });
    for (const name of ['open', 'other', 'fast']) await daemon.settled(name);

    const idOf = async (name: string): Promise<string> => {
      const { body } = await daemon.admin('GET', `${ENDPOINTS}/${name}`);
      return (body as { id: string }).id;
    };
    const machine = await daemon.admin('POST', `${SCIM}/ServicePrincipals`, { displayName: 'm' });
    const { id, applicationId } = machine.body as { id: string; applicationId: string };
    const secrets = `/api/2.0/accounts/servicePrincipals/${id}/credentials/secrets`;
    const newSecret = async (): Promise<{ id: string; secret: string }> =>
      (await daemon.admin('POST', secrets)).body as { id: string; secret: string };
    const grant = async (endpoint: string, level: string | null): Promise<Answer> =>
      daemon.admin('PUT', `${PERMISSIONS}/${await idOf(endpoint)}`, {
        access_control_list:
          level === null
            ? []
            : [{ service_principal_name: applicationId, permission_level: level }],
      });
    const tokenOf = async (
      secret: string,
      fields: Readonly<Record<string, string>> = {},
    ): Promise<string> => {
      const answer = await fetch(`${daemon.adminUrl}/oidc/v1/token`, {
        method: 'POST',
        headers: FORM,
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          scope: 'all-apis',
          client_id: applicationId,
          client_secret: secret,
          ...fields,
        }),
      });
      const body = (await answer.json()) as { access_token?: string };
      if (body.access_token === undefined) throw new Error(JSON.stringify(body));
      return body.access_token;
    };
    const query = (path: string, token: string): Promise<Answer> =>
      daemon.invoke(path, { inputs: [1] }, { authorization: `Bearer ${token}` });
    const OPEN = '/serving-endpoints/open/invocations';

    await t.test('a permission is asked for, and says how to get in', async (t) => {
      const { secret } = await newSecret();
      const token = await tokenOf(secret);
      const refused = await query(OPEN, token);
      t.match(refused, { status: 403, body: { error_code: 'PERMISSION_DENIED' } });
      t.match(refused.headers.get('www-authenticate'), /error="insufficient_scope"/);
      t.match(await grant('open', 'CAN_VIEW'), { status: 200 });
      t.match(await query(OPEN, token), { status: 403 }, 'to view is not to query');
      t.match(await grant('open', 'CAN_QUERY'), { status: 200 });
      t.match(await query(OPEN, token), { status: 200 });
      t.match(await query('/serving-endpoints/other/invocations', token), { status: 403 });
      const bad = await query(OPEN, `${token}x`);
      t.match(bad, { status: 401, body: { error_code: 'UNAUTHENTICATED' } });
      t.match(bad.headers.get('www-authenticate'), /error="invalid_token"/);
      const none = await fetch(daemon.dataUrl + OPEN, { method: 'POST', body: '{}' });
      t.equal(none.status, 401);
      t.notMatch(none.headers.get('www-authenticate'), /error/, 'the bare challenge');
      await none.body?.cancel();
    });

    await t.test('what is taken away is refused at once, on an open connection too', async (t) => {
      const first = await newSecret();
      const second = await newSecret();
      const token = await tokenOf(first.secret);
      const kept = await tokenOf(second.secret);
      const pat = await daemon.admin('POST', '/api/2.0/token-management/on-behalf-of/tokens', {
        application_id: applicationId,
      });
      const { token_value: patText, token_info: info } = pat.body as {
        token_value: string;
        token_info: { token_id: string };
      };
      const status = async (client: WireClient, text: string): Promise<number> => {
        client.send(request(OPEN, text));
        return (await client.answer()).status;
      };
      // Enough of them that every worker has one.
      const clients = Array.from({ length: 8 }, () => new WireClient(t, daemon.dataPort));
      const all = async (text: string): Promise<number[]> => {
        const found = await Promise.all(clients.map((client) => status(client, text)));
        return [...new Set(found)];
      };
      for (const text of [token, kept, patText]) t.strictSame(await all(text), [200]);
      await daemon.admin('DELETE', `${secrets}/${first.id}`);
      t.strictSame(await all(token), [401], 'its secret is gone');
      t.strictSame(await all(kept), [200]);
      await daemon.admin('DELETE', `/api/2.0/token-management/tokens/${info.token_id}`);
      t.strictSame(await all(patText), [401], 'the access token is gone');
      await grant('open', null);
      t.strictSame(await all(kept), [403], 'the permission is gone');
      const group = { displayName: `team-${mode}`, members: [{ value: id }] };
      const made = await daemon.admin('POST', `${SCIM}/Groups`, group);
      await daemon.admin('PUT', `${PERMISSIONS}/${await idOf('open')}`, {
        access_control_list: [{ group_name: group.displayName, permission_level: 'CAN_QUERY' }],
      });
      t.strictSame(await all(kept), [200], 'by its group');
      const { id: groupId } = made.body as { id: string };
      await daemon.admin('DELETE', `${SCIM}/Groups/${groupId}`);
      t.strictSame(await all(kept), [403], 'the group is gone');
      await grant('open', 'CAN_QUERY');
      await daemon.admin('PATCH', `${SCIM}/ServicePrincipals/${id}`, {
        schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
        Operations: [{ op: 'replace', path: 'active', value: false }],
      });
      t.strictSame(await all(kept), [401], 'not active');
      await daemon.admin('PATCH', `${SCIM}/ServicePrincipals/${id}`, {
        schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
        Operations: [{ op: 'replace', path: 'active', value: true }],
      });
      t.strictSame(await all(kept), [200]);
      await daemon.admin('POST', '/api/2.0/pointsman/signing-keys/rotate', { revoke: true });
      t.strictSame(await all(kept), [401], 'its key is gone');
    });

    await t.test('a route-optimized endpoint takes tokens that name it', async (t) => {
      const { secret } = await newSecret();
      await grant('fast', 'CAN_QUERY');
      await grant('open', 'CAN_QUERY');
      const view = (await daemon.admin('GET', `${ENDPOINTS}/fast`)).body as {
        endpoint_url: string;
        data_plane_info: { query_info: { endpoint_url: string; authorization_details: string } };
      };
      const { authorization_details: details } = view.data_plane_info.query_info;
      const path = new URL(view.endpoint_url).pathname;
      const plain = await tokenOf(secret);
      const refused = await query(path, plain);
      t.match(refused, { status: 403, body: { message: /authorization_details/ } });
      const limited = await tokenOf(secret, { authorization_details: details });
      t.match(await query(path, limited), { status: 200 });
      t.match(await query(OPEN, limited), { status: 403 }, 'it opens nothing else');
      const exchanged = await fetch(`${daemon.adminUrl}/oidc/v1/token`, {
        method: 'POST',
        headers: FORM,
        body: new URLSearchParams({
          grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
          assertion: plain,
          authorization_details: details,
        }),
      });
      const { access_token: text } = (await exchanged.json()) as { access_token: string };
      t.match(await query(path, text), { status: 200 });
      const admin = await fetch(`${daemon.adminUrl}${ENDPOINTS}`, {
        headers: { authorization: `Bearer ${text}` },
      });
      t.equal(admin.status, 403, 'the admin port takes no limited token');
      await admin.body?.cancel();
    });

    t.notMatch(daemon.output.join('\n'), /dose[0-9a-f]{64}|dapi[0-9a-f]{64}|eyJ[\w-]+\.eyJ/);
  });
}
