/**
 * A host name that one change took from a deployment and gave to another one was forgotten in between, with its last
 * good addresses: the other one had none until the name was answered again.
 */
import t from 'tap';
import { Store } from '../../src/store/store.js';
import { deployment, MIA, startControl, tempDir, until } from '../unit/control/harness.js';

const UPSERT = { ...MIA, mode: 'upsert', dryRun: false } as const;
const [H1, H2, H3] = ['h1.example', 'h2.example', 'h3.example'] as const;

t.test('a name that moves keeps its addresses', async (t) => {
  let isSilent = false;
  const dir = tempDir(t);
  const harness = await startControl(t, {
    dir,
    resolve: () => (isSilent ? new Promise(() => undefined) : Promise.resolve(['127.0.0.1'])),
  });
  const { control } = harness;
  const manifestOf = (hosts: Readonly<Record<string, string>>) => ({
    deployments: Object.entries(hosts).map(([name, host]) => ({
      ...deployment(name, [[`c.s.${name}`, '1']], [`http://${host}:9`]),
      name,
    })),
  });
  const addressOf = (name: string) =>
    control.listDeployments().find((view) => view.name === name)?.addresses[0]?.address;
  await control.applyManifest(manifestOf({ a: H1, b: H3, c: H2 }), UPSERT);
  await until(() => ['a', 'b', 'c'].every((name) => addressOf(name) !== undefined), 'resolved');
  isSilent = true;
  await control.applyManifest(manifestOf({ a: H2, b: H1 }), UPSERT);
  for (const name of ['a', 'b', 'c']) t.equal(addressOf(name), '127.0.0.1:9', name);
  await harness.stop();
  const store = Store.open(dir);
  t.same([...store.hosts.all().keys()].sort(), [H1, H2], 'nobody uses the third any more');
  store.close();
});
