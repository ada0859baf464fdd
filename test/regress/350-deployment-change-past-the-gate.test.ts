/**
 * A change of a deployment in use was published before any of its new addresses had answered a probe: with a replica that
 * was still booting, or mistyped, every request failed although the call was answered 200. The same when a manifest let another
 * deployment serve what an endpoint uses. An edit of `headers` or `health` forgot what was known, so that an address known to be down
 * got traffic again.
 */
import t from 'tap';
import type { JsonObject } from '../../src/control/control-plane.js';
import {
  deployment,
  MemoryDataPlane,
  MIA,
  REPLACE,
  reservePort,
  split,
  startControl,
  startReady,
  startReplica,
  tempDir,
  TWO_VERSIONS,
  until,
  UPSERT,
} from '../unit/control/harness.js';

function m(urls: readonly string[], extra: JsonObject = {}): JsonObject {
  return { ...deployment('m', TWO_VERSIONS, urls), ...extra };
}

/** Where requests for `e` go: the deployment, its headers, and the ports in the choice. */
function serving(dataPlane: MemoryDataPlane) {
  const { endpoints, deployments, addresses } = dataPlane.last;
  const name = endpoints[0]?.entities[0]?.deployment ?? '';
  const sent = dataPlane.updates.findLast((list) => list.deployment === name);
  const list = sent ?? addresses.find((one) => one.deployment === name);
  const inChoice = (list?.addresses ?? []).filter(({ ready, weight }) => ready && weight > 0);
  return {
    deployment: name,
    headers: deployments.find((one) => one.name === name)?.headers ?? [],
    ports: inChoice.map(({ port }) => port),
  };
}

async function urlOf(port: Promise<number>): Promise<string> {
  return `http://127.0.0.1:${String(await port)}`;
}

t.test('replicas that are not ready yet take nothing over', async (t) => {
  const dir = tempDir(t);
  const first = await startReady(t, { dir });
  const { control, dataPlane, replica } = first;
  const port = await reservePort(t);
  const url = `http://127.0.0.1:${String(port)}`;
  const before = serving(dataPlane);
  t.same(before, { deployment: 'm', headers: [], ports: [replica.port] });
  const headers = { authorization: 'Bearer of-the-next-one' };
  const put = await control.putDeployment('m', m([url], { headers }), MIA);
  t.match(put.value, { state: 'READY', pending: true, spec: { replicas: [{ url }] } });
  t.match(put.value.message, /changed, but serves as before until/);
  t.same(serving(dataPlane), before, 'nor do addresses of before get their headers');
  const shown = () => control.getDeployment('m').value;
  await until(() => /refuses connections/.test(shown().message), 'the probe is shown');
  t.match(shown().addresses, [{ state: 'READY' }, { state: 'DOWN', replica_url: url }]);
  t.match(control.getManifest().value, { deployments: [{ replicas: [{ url }] }] });
  t.equal(control.getDeployment('m').etag, put.etag);

  // A restart goes on with what served.
  await first.stop();
  const again = await startControl(t, { dir });
  t.same(serving(again.dataPlane), before);
  const next = await startReplica(t, port);
  await until(() => !again.control.getDeployment('m').value.pending, 'taken over');
  t.same(serving(again.dataPlane), {
    deployment: 'm',
    headers: [{ name: 'authorization', value: 'Bearer of-the-next-one' }],
    ports: [next.port],
  });
  t.match(again.control.getDeployment('m'), {
    etag: put.etag,
    value: { message: '', addresses: [{ replica_url: url, state: 'READY' }] },
  });
});

t.test('nor do replicas whose name does not resolve', async (t) => {
  const { control, dataPlane, replica } = await startReady(t, {
    resolve: () => Promise.reject(new Error('no such name')),
  });
  await control.putDeployment('m', m(['http://gpu-2:8000']), MIA);
  t.same(serving(dataPlane).ports, [replica.port]);
  t.match(control.getDeployment('m').value.message, /replica http:.*gpu-2.* does not resolve/);
});

t.test('a change that waits can be taken back, or replaced', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const before = serving(dataPlane);
  const wrong = await urlOf(reservePort(t));
  await control.putDeployment('m', m([wrong]), MIA);
  await control.putDeployment('m', m([replica.url]), MIA);
  t.match(control.getDeployment('m').value, { pending: false });
  t.equal(control.getDeployment('m').value.addresses.length, 1);
  t.same(serving(dataPlane), before);
  await control.putDeployment('m', m([wrong]), MIA);
  const other = await startReplica(t);
  await control.putDeployment('m', m([other.url, wrong]), MIA);
  await until(() => !control.getDeployment('m').value.pending, 'taken over');
  t.same(serving(dataPlane).ports, [other.port]);
});

t.test('what loses nothing is in force at once', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const other = await startReplica(t);
  await control.putDeployment('m', m([replica.url, other.url]), MIA);
  t.equal(control.getDeployment('m').value.pending, false, 'one more');
  await until(() => serving(dataPlane).ports.length === 2, 'both serve');
  await control.putDeployment('m', m([other.url]), MIA);
  t.same(serving(dataPlane).ports, [other.port], 'one less');
  other.status = 503;
  await until(() => serving(dataPlane).ports.length === 0, 'down');
  await control.putDeployment('m', m([other.url], { replay_safe: true }), MIA);
  t.equal(control.getDeployment('m').value.pending, false, 'the same ones');
  const drained = { replicas: [{ url: other.url, weight: 0 }] };
  await control.putDeployment('m', m([], drained), MIA);
  t.equal(control.getDeployment('m').value.pending, false, 'none on purpose');
});

t.test('another deployment takes over what is used when it is ready', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const before = serving(dataPlane);
  const port = await reservePort(t);
  const n = { ...m([`http://127.0.0.1:${String(port)}`]), name: 'n' };
  const manifest = { deployments: [n], endpoints: [{ name: 'e', config: split(90) }] };
  const { changes } = await control.applyManifest(manifest, REPLACE);
  t.match(changes, [{ name: 'n', action: 'create' }, { name: 'm', action: 'delete' }, {}]);
  t.same(serving(dataPlane), before);
  t.match(control.getDeployment('m').value, { pending: true, state: 'READY', used_by: ['e'] });
  t.match(control.getDeployment('m').value.message, /^deleted, but/);
  const names = control.getManifest().value['deployments'] as { name: string }[];
  t.same(
    names.map(({ name }) => name),
    ['n'],
  );
  const again = await control.applyManifest(manifest, { ...REPLACE, dryRun: true });
  t.same(
    again.changes.map(({ action }) => action),
    ['unchanged', 'unchanged'],
  );
  await control.updateConfig('e', split(50), MIA);
  t.equal(serving(dataPlane).deployment, 'm', 'a split is no matter of it');
  await control.deleteDeployment('m', MIA);
  t.equal(serving(dataPlane).deployment, 'm', 'nor is it gone when deleted again');

  await startReplica(t, port);
  await until(() => control.listDeployments().length === 1, 'taken over');
  t.same(serving(dataPlane), { deployment: 'n', headers: [], ports: [port] });
  await replica.close();
});

t.test('what serves on goes when nothing uses it any more', async (t) => {
  const { control } = await startReady(t);
  const n = { ...m([await urlOf(reservePort(t))]), name: 'n' };
  await control.applyManifest({ deployments: [n] }, { ...REPLACE, dryRun: true });
  await control.applyManifest(
    { deployments: [n], endpoints: [{ name: 'e', config: split(90) }] },
    REPLACE,
  );
  t.equal(control.listDeployments().length, 2);
  await control.deleteEndpoint('e', MIA);
  await until(() => control.listDeployments().length === 1, 'gone');
});

t.test('an entity of a change that waits is not ready before it', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const port = await reservePort(t);
  const three = [...TWO_VERSIONS, ['c.s.m', '3']] as const;
  const next = deployment('m', three, [`http://127.0.0.1:${String(port)}`]);
  const config = { served_entities: [{ entity_name: 'c.s.m', entity_version: '3' }] };
  await control.applyManifest({ deployments: [next], endpoints: [{ name: 'f', config }] }, UPSERT);
  t.match(control.getEndpoint('f').value, { state: { config_update: 'IN_PROGRESS' } });
  t.match(control.status().endpoints[1]?.message, /deployment m: its last change waits/);
  t.same(serving(dataPlane).ports, [replica.port]);
  await startReplica(t, port);
  await until(() => dataPlane.last.endpoints.length === 2, 'active');
  t.same(serving(dataPlane).ports, [port]);
});

t.test('an edit of headers or health keeps what is known', async (t) => {
  const { control, dataPlane, replica } = await startReady(t);
  const down = await urlOf(reservePort(t));
  await control.putDeployment('m', m([replica.url, down]), MIA);
  await until(() => control.getDeployment('m').value.addresses[1]?.state === 'DOWN', 'one is down');
  const slow = { health: { interval_ms: 600_000, unhealthy_after: 3 } };
  const seen = replica.headers.length;
  await control.putDeployment(
    'm',
    m([replica.url, down], { ...slow, headers: { 'x-key': 'new' } }),
    MIA,
  );
  t.same(serving(dataPlane).ports, [replica.port]);
  t.match(control.getDeployment('m').value.addresses, [{ state: 'READY' }, { state: 'DOWN' }]);
  const asked = () => replica.headers.slice(seen).some((fields) => fields['x-key'] === 'new');
  await until(asked, 'it is probed anew at once');
});

t.test('a hand-over that the workers refuse is not tried again and again', async (t) => {
  const dir = tempDir(t);
  const { control, dataPlane, replica } = await startReady(t, { dir });
  const other = await startReplica(t);
  const { RevisionRefused } = await import('../../src/control/data-plane.js');
  await control.putDeployment('m', m([await urlOf(reservePort(t))]), MIA);
  let tries = 0;
  dataPlane.duringPublish = () => {
    tries += 1;
    return Promise.resolve();
  };
  dataPlane.failPublish = new RevisionRefused('no');
  await control.putDeployment('m', m([other.url]), MIA).catch(() => undefined);
  await until(() => tries > 0 || !control.getDeployment('m').value.pending, 'tried');
  const { revision } = control;
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.equal(control.revision, revision);
  t.ok(tries <= 2, `${String(tries)} tries`);
  t.same(serving(dataPlane).ports, [replica.port]);
});
