/**
 * Numbers of addresses that updates gave up were free only after the next revision. Updates make none, so that host names which
 * move often used all of them up; from then on every change was refused as naming too many addresses, one of shares included.
 */
import t from 'tap';
import { RESOLVE_INTERVAL_MS } from '../../src/core/limits.js';
import {
  deployment,
  idle,
  ManualClock,
  MemoryDataPlane,
  MIA,
  split,
  startControl,
  TWO_VERSIONS,
  until,
} from '../unit/control/harness.js';

async function startMoving(t: Parameters<typeof startControl>[0]) {
  const dataPlane = new MemoryDataPlane();
  dataPlane.counters.addressSlotsMax = 5;
  const clock = new ManualClock();
  let net = 0;
  const { control } = await startControl(t, {
    dataPlane,
    clock,
    resolve: () => Promise.resolve([1, 2].map((host) => `10.0.${String(net)}.${String(host)}`)),
    probe: () => Promise.resolve(null),
  });
  await control.putDeployment('m', deployment('m', TWO_VERSIONS, ['http://replica:80']), MIA);
  await until(() => control.listDeployments()[0]?.state === 'READY', 'ready');
  await control.createEndpoint({ name: 'e', config: split(90) }, MIA);
  await idle(control);
  const hosts = () => {
    const sent = [...dataPlane.updates].pop() ?? dataPlane.last.addresses[0];
    return (sent?.addresses ?? []).map(({ host }) => host);
  };
  const move = async () => {
    net += 1;
    clock.advance(RESOLVE_INTERVAL_MS);
    const known = () => control.listDeployments()[0]?.addresses[0]?.address ?? '';
    await until(() => known().startsWith(`10.0.${String(net)}.`), 'resolved');
    await idle(control);
  };
  return { control, dataPlane, clock, hosts, move, present: () => `10.0.${String(net)}.1` };
}

t.test('names may move as often as they like', async (t) => {
  const { control, dataPlane, hosts, move, present } = await startMoving(t);
  dataPlane.counters.oldestRevision = () => dataPlane.last.revision;
  const before = control.revision;
  for (let moves = 0; moves < 12; moves += 1) {
    await move();
    await until(() => hosts()[0] === present(), 'the workers have it');
  }
  t.ok(control.revision > before, 'by revisions of the daemon');
  t.ok(control.revision <= before + 12, 'and not many');
  await control.updateConfig('e', split(50), MIA);
});

t.test('a change is possible while requests hold every number', async (t) => {
  const { control, dataPlane, clock, hosts, move, present } = await startMoving(t);
  const held = control.revision;
  dataPlane.counters.oldestRevision = () => held;
  for (let moves = 0; moves < 4; moves += 1) await move();
  t.not(hosts()[0], present(), 'there is no number for it');
  const { revision } = control;
  clock.advance(3_000);
  await idle(control);
  t.equal(control.revision, revision, 'no revision where that does not help');
  await control.updateConfig('e', split(50), MIA);
  t.match(dataPlane.last.endpoints[0]?.entities, [{ sharePpm: 500_000 }, {}]);
  dataPlane.counters.oldestRevision = () => dataPlane.last.revision;
  await until(() => {
    clock.advance(1_000);
    return hosts()[0] === present();
  }, 'sent when they have ended');
});
