/**
 * The way to a route-optimized endpoint that the documents of Databricks show for curl, in their own words but for the
 * names of hosts (and the backslash that they lack): a token with the endpoint's authorization, then a query.
 */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import {
  deploymentsOf,
  endpointOf,
  startDaemon,
  startNamedReplica,
  temporaryDirectory,
} from './harness.js';

const FETCH = String.raw`
curl --request POST \
--url "$TOKEN_ENDPOINT" \
--user "$CLIENT_ID:$CLIENT_SECRET" \
--data 'grant_type=client_credentials&scope=all-apis' \
--data-urlencode 'authorization_details=[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"'"/serving-endpoints/$ENDPOINT_ID"'","actions": ["'"$ACTION"'"]}]'
`;
const QUERY = String.raw`
curl -X POST -H 'Content-Type: application/json' -H "Authorization: Bearer $OAUTH_TOKEN" -d@data.json $url
`;

const execute = promisify(execFile);

t.test('token and query by curl', async (t) => {
  const daemon = await startDaemon(t, { flags: { 'data-plane-workers': '1' } });
  const replica = await startNamedReplica(t, 'a');
  await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
    deployments: deploymentsOf({ a: replica.url }),
    endpoints: [Object.assign({ route_optimized: true }, endpointOf('fast', { a: 100 }))],
  });
  const { id, endpoint_url: url } = (await daemon.settled('fast')) as Record<string, string>;
  const scim = '/api/2.0/preview/scim/v2/ServicePrincipals';
  const made = (await daemon.admin('POST', scim, { displayName: 'ci' })).body as {
    id: string;
    applicationId: string;
  };
  const secrets = `/api/2.0/accounts/servicePrincipals/${made.id}/credentials/secrets`;
  const { secret } = (await daemon.admin('POST', secrets)).body as { secret: string };
  const grant = (level: string) =>
    daemon.admin('PATCH', `/api/2.0/permissions/serving-endpoints/${id ?? ''}`, {
      access_control_list: [
        { service_principal_name: made.applicationId, permission_level: level },
      ],
    });
  await grant('CAN_QUERY');

  const folder = temporaryDirectory(t);
  writeFileSync(path.join(folder, 'data.json'), '{"inputs": [1]}');
  const shell = async (script: string, variables: Record<string, string>): Promise<unknown> => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, ...variables };
    const { stdout } = await execute('/bin/sh', ['-c', script], { cwd: folder, env });
    return JSON.parse(stdout);
  };
  const ask = (port: string, action: string, endpointId = id ?? ''): Promise<unknown> =>
    shell(FETCH, {
      TOKEN_ENDPOINT: `${port}/oidc/v1/token`,
      CLIENT_ID: made.applicationId,
      CLIENT_SECRET: secret,
      ENDPOINT_ID: endpointId,
      ACTION: action,
    });
  for (const port of [daemon.adminUrl, daemon.dataUrl]) {
    const answer = (await ask(port, 'query_inference_endpoint')) as Record<string, unknown>;
    t.match(answer, { token_type: 'Bearer', expires_in: 3600, scope: 'all-apis' });
    const token = String(answer['access_token']);
    const served = await shell(QUERY, { OAUTH_TOKEN: token, url: url ?? '' });
    t.strictSame(served, { served: 'a' });
    const refused = { error: 'invalid_authorization_details' };
    t.match(await ask(port, 'manage_inference_endpoint'), refused);
    t.match(await ask(port, 'query_inference_endpoint', '0'.repeat(32)), refused);
  }
  await grant('CAN_MANAGE');
  const managing = (await ask(daemon.dataUrl, 'manage_inference_endpoint')) as {
    access_token: string;
  };
  const served = await shell(QUERY, { OAUTH_TOKEN: managing.access_token, url: url ?? '' });
  t.strictSame(served, { served: 'a' }, 'who may manage may query');
  const admin = await daemon.admin('GET', '/api/2.0/serving-endpoints/fast', undefined, {
    authorization: `Bearer ${managing.access_token}`,
  });
  t.equal(admin.status, 403, 'a limited token opens no admin call');
});
