/**
 * A request that waited for a place under a limit was judged when it came, and not when it got its place: a token that
 * was revoked meanwhile, or lost its permission, was served all the same, up to `limits.queue_ms` later.
 */
import type { ServerResponse } from 'node:http';
import t from 'tap';
import { flagsOf } from '../daemon/data-modes.js';
import { deploymentsOf, endpointOf, startDaemon, startReplica } from '../daemon/harness.js';
import { until } from '../daemon/live.js';
import { WireClient } from '../daemon/wire.js';

const PATH = '/serving-endpoints/live/invocations';
const DEPLOYMENT = '/api/2.0/pointsman/deployments/a';
const PERMISSIONS = '/api/2.0/permissions/serving-endpoints';
const SCIM = '/api/2.0/preview/scim/v2';
const MANAGED_TOKENS = '/api/2.0/token-management';

interface PersonalToken {
  readonly id: string;
  readonly secret: string;
}

function post(token: string, kind: 'held' | 'answered'): string {
  return [
    `POST ${PATH} HTTP/1.1`,
    'Host: router',
    `Authorization: Bearer ${token}`,
    `X-Kind: ${kind}`,
    'Content-Length: 2',
    '',
    '{}',
  ].join('\r\n');
}

for (const mode of ['native', 'guarded', 'js'] as const) {
  await t.test(`who waits is judged when it may go, ${mode}`, async (t) => {
    const daemon = await startDaemon(t, { flags: { ...flagsOf(mode), 'data-plane-workers': '1' } });
    const held: ServerResponse[] = [];
    let answered = 0;
    const replica = await startReplica(t, (request, response) => {
      request.resume();
      if (request.headers['x-kind'] === 'held') {
        held.push(response);
      } else {
        answered += 1;
        response.end('{}');
      }
    });
    const [deployment] = deploymentsOf({ a: replica.url });
    await daemon.admin('PUT', DEPLOYMENT, {
      ...(deployment as object),
      limits: { max_in_flight: 1, queue: 9, queue_ms: 60_000 },
    });
    const makeEndpoint = async (): Promise<string> => {
      await daemon.admin('PATCH', '/api/2.0/pointsman/manifest', {
        endpoints: [endpointOf('live', { a: 100 })],
      });
      await daemon.settled('live');
      const { body } = await daemon.admin('GET', '/api/2.0/serving-endpoints/live');
      return (body as { id: string }).id;
    };
    const machine = await daemon.admin('POST', `${SCIM}/ServicePrincipals`, { displayName: 'm' });
    const { applicationId } = machine.body as { applicationId: string };
    const makeToken = async (): Promise<PersonalToken> => {
      const { body } = await daemon.admin('POST', `${MANAGED_TOKENS}/on-behalf-of/tokens`, {
        application_id: applicationId,
      });
      const made = body as { token_value: string; token_info: { token_id: string } };
      return { id: made.token_info.token_id, secret: made.token_value };
    };
    const revoke = async ({ id }: PersonalToken): Promise<void> => {
      const { status } = await daemon.admin('DELETE', `${MANAGED_TOKENS}/tokens/${id}`);
      t.equal(status, 200);
    };
    const permit = async (id: string, isAllowed: boolean): Promise<void> => {
      const { status } = await daemon.admin('PUT', `${PERMISSIONS}/${id}`, {
        access_control_list: isAllowed
          ? [{ service_principal_name: applicationId, permission_level: 'CAN_QUERY' }]
          : [],
      });
      t.equal(status, 200);
    };
    const waiting = async (): Promise<number> => {
      const { body } = await daemon.admin('GET', DEPLOYMENT);
      return (body as { load: { waiting: number } }).load.waiting;
    };
    /** Status of the token's request that waits while `change` happens. */
    const statusAfter = async (token: string, change: () => Promise<void>): Promise<number> => {
      const holder = new WireClient(t, daemon.dataPort).send(post(daemon.queryToken, 'held'));
      await until(() => held.length === 1);
      const waiter = new WireClient(t, daemon.dataPort).send(post(token, 'answered'));
      await until(async () => (await waiting()) === 1);
      await change();
      const before = answered;
      held.pop()?.end('{}');
      t.equal((await holder.answer()).status, 200);
      const { status } = await waiter.answer();
      t.equal(answered - before, status === 200 ? 1 : 0, 'no replica sees what is refused');
      // The place was given back.
      if (status === 404) await makeEndpoint();
      waiter.send(post(daemon.queryToken, 'answered'));
      t.equal((await waiter.answer()).status, 200);
      return status;
    };

    let id = await makeEndpoint();
    await permit(id, true);
    const { secret } = await makeToken();
    t.equal(await statusAfter(secret, () => Promise.resolve()), 200, 'nothing has changed');
    const other = await makeToken();
    t.equal(await statusAfter(secret, () => revoke(other)), 200, 'another one is revoked');
    const revoked = await makeToken();
    t.equal(await statusAfter(revoked.secret, () => revoke(revoked)), 401, 'it is revoked');
    t.equal(await statusAfter(secret, () => permit(id, false)), 403, 'its permission is gone');
    await permit(id, true);
    const deleted = async (): Promise<void> => {
      await daemon.admin('DELETE', '/api/2.0/serving-endpoints/live');
    };
    t.equal(await statusAfter(secret, deleted), 404, 'the endpoint is gone');
    id = await makeEndpoint();
    await permit(id, true);
    const replaced = async (): Promise<void> => {
      await deleted();
      await permit(await makeEndpoint(), true);
    };
    t.equal(await statusAfter(secret, replaced), 404, 'there is another one of its name');
  });
}
