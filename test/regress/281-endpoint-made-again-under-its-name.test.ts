/**
 * A token of an external issuer names its endpoints; workers kept the ids that the names had when the token was judged.
 * After the endpoint was deleted and made again, or was made at all only then, the token did not open it until something
 * else emptied the caches. A token of our own is for the endpoint that it was issued for, whatever others are called.
 */
import t from 'tap';
import { ExternalIssuer } from '../daemon/external-issuer.js';
import { flagsOf } from '../daemon/data-modes.js';
import { deploymentsOf, endpointOf, startDaemon, startNamedReplica } from '../daemon/harness.js';

const MANIFEST = '/api/2.0/pointsman/manifest';
const ENDPOINTS = '/api/2.0/serving-endpoints';
const USERS = { access_control_list: [{ group_name: 'users', permission_level: 'CAN_QUERY' }] };

for (const mode of ['native', 'guarded'] as const) {
  await t.test(`names are looked up when a request is dispatched, ${mode}`, async (t) => {
    const issuer = new ExternalIssuer(t, { auto_create: true });
    const flags = { ...issuer.flags, ...flagsOf(mode), 'data-plane-workers': '1' };
    const daemon = await startDaemon(t, { flags });
    const replica = await startNamedReplica(t, 'a');
    await daemon.admin('PATCH', MANIFEST, { deployments: deploymentsOf({ a: replica.url }) });
    /** Its id. */
    const make = async (name: string): Promise<string> => {
      const { status } = await daemon.admin('PATCH', MANIFEST, {
        endpoints: [endpointOf(name, { a: 100 })],
      });
      t.equal(status, 200);
      await daemon.settled(name);
      await daemon.admin('PATCH', `/api/2.0/permissions/serving-endpoints/${name}`, USERS);
      const { body } = await daemon.admin('GET', `${ENDPOINTS}/${name}`);
      return (body as { id: string }).id;
    };
    const detailsOf = (name: string): object[] => [
      {
        type: 'workspace_permission',
        object_type: 'serving-endpoints',
        object_path: `/serving-endpoints/${name}`,
        actions: ['query_inference_endpoint'],
      },
    ];
    const statusOf = async (name: string, token: string): Promise<number> => {
      const path = `/serving-endpoints/${name}/invocations`;
      const headers = { authorization: `Bearer ${token}` };
      return (await daemon.invoke(path, { inputs: [1] }, headers)).status;
    };

    const named = issuer.token('mia', { authorization_details: detailsOf('live') });
    t.equal(await statusOf('live', named), 404, 'not made yet');
    const id = await make('live');
    t.equal(await statusOf('live', named), 200);
    const byId = issuer.token('mia', { authorization_details: detailsOf(id) });
    t.equal(await statusOf('live', byId), 200, 'by its id');

    const assertion = issuer.token('mia');
    const answer = await fetch(`${daemon.dataUrl}/oidc/v1/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion,
        authorization_details: JSON.stringify(detailsOf('live')),
      }),
    });
    const { access_token: own } = (await answer.json()) as { access_token: string };
    t.equal(await statusOf('live', own), 200, 'a token of our own');

    await daemon.admin('DELETE', `${ENDPOINTS}/live`);
    t.equal(await statusOf('live', named), 404);
    t.not(await make('live'), id);
    t.equal(await statusOf('live', named), 200, 'the name is that of the new one');
    t.equal(await statusOf('live', byId), 403, 'the id is that of the old one');
    t.equal(await statusOf('live', own), 403, 'issued for the old one');
    // Ids are names that anybody may choose.
    await make(id);
    t.equal(
      await statusOf(id, own),
      403,
      'issued for the old one, not for one that is called as its id',
    );
  });
}
