/** Host names of replicas: what is known of them, for how long, and who waits for whom. */
import t from 'tap';
import { toDeploymentRecord } from '../../../src/control/deployment-input.js';
import { validateDeployment } from '../../../src/config/manifest.js';
import { Store } from '../../../src/store/store.js';
import { deployment, MIA, startControl, startProber, tempDir, until } from './harness.js';

const NAME = 'replica.example';

function record(...hosts: readonly string[]) {
  const body = {
    name: 'm',
    serves: [{ entity_name: 'e', entity_version: '1' }],
    replicas: hosts.map((host) => ({ url: `http://${host}:9` })),
  };
  return toDeploymentRecord(validateDeployment(body), '');
}

const never = () => new Promise<string[]>(() => undefined);
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('the last good addresses outlive the daemon', async (t) => {
  const store = Store.open(tempDir(t));
  const answers = [['127.0.0.2', '127.0.0.1'], []];
  const first = startProber(t, {
    store,
    resolve: () => Promise.resolve(answers.shift() ?? []),
  });
  first.prober.watch(record(NAME));
  await until(() => first.prober.addressesFor(record(NAME)).length === 2, 'resolved');
  t.same(store.hosts.all(), new Map(), 'not at once: many names may change together');
  first.clock.advance(1_000);
  t.same(store.hosts.all(), new Map([[NAME, ['127.0.0.1', '127.0.0.2']]]));
  await first.prober.stop();
  t.equal(store.hosts.all().size, 1, 'an end is no release');

  const second = startProber(t, { store, resolve: never });
  const ready = second.prober.prepare([record(NAME, 'other.example')]);
  second.clock.advance(1_000);
  await ready;
  const hosts = second.prober.addressesFor(record(NAME, 'other.example')).map(({ host }) => host);
  t.same(hosts, ['127.0.0.1', '127.0.0.2'], 'before the resolver has answered');
  await second.prober.stop();

  const third = startProber(t, { store, resolve: never });
  third.prober.watch(record('other.example'));
  third.prober.forgetUnusedHosts();
  await third.prober.stop();
  t.same(store.hosts.all(), new Map(), 'what nobody uses any more is forgotten');
  t.same([...first.logged, ...second.logged, ...third.logged], []);
});

t.test('a stored address that replicas may not have is not used', (t) => {
  const store = Store.open(tempDir(t));
  store.hosts.write(new Map([[NAME, ['169.254.169.254', '127.0.0.1']]]));
  const { prober } = startProber(t, { store, resolve: never });
  prober.watch(record(NAME));
  t.same(
    prober.addressesFor(record(NAME)).map(({ host }) => host),
    ['127.0.0.1'],
  );
  t.end();
});

t.test('a store that cannot be written costs nothing but a line in the log', async (t) => {
  const store = Store.open(tempDir(t));
  const { prober, clock, logged } = startProber(t, {
    store,
    resolve: () => Promise.resolve(['127.0.0.1']),
  });
  prober.watch(record(NAME));
  await until(() => prober.addressesFor(record(NAME)).length === 1, 'resolved');
  store.close();
  clock.advance(1_000);
  t.match(logged, [/^host names of replicas addresses of host names are not stored: /]);
});

t.test('names of a change that was refused are not looked up any more', async (t) => {
  const asked: string[] = [];
  const hold: (() => void)[] = [];
  const { prober, clock } = startProber(t, {
    resolve: (host) => {
      asked.push(host);
      if (host === NAME) return Promise.resolve(['127.0.0.1']);
      return new Promise((resolve) =>
        hold.push(() => {
          resolve([]);
        }),
      );
    },
  });
  const refused = record(...Array.from({ length: 50 }, (_, n) => `host-${String(n)}.example`));
  const ready = prober.prepare([refused]);
  clock.advance(1_000);
  await ready;
  prober.prune();
  prober.watch(record(NAME));
  for (const release of hold) release();
  await until(() => prober.addressesFor(record(NAME)).length === 1, 'resolved');
  t.same(asked, ['host-0.example', 'host-1.example', NAME]);
});

t.test('an answer between a snapshot and the watch is told', async (t) => {
  let answer: (addresses: string[]) => void = () => undefined;
  const { prober, clock, changes } = startProber(t, {
    resolve: () => {
      return new Promise((resolve) => (answer = resolve));
    },
  });
  const wanted = record(NAME);
  const ready = prober.prepare([wanted]);
  clock.advance(1_000);
  await ready;
  t.same(prober.addressesFor(wanted), [], 'the snapshot has none');
  answer(['127.0.0.1']);
  await turn();
  prober.watch(wanted);
  t.same(changes, ['m']);
  t.equal(prober.addressesFor(wanted).length, 1);
});

t.test('a daemon that starts while the resolver is silent serves by what it knew', async (t) => {
  const dir = tempDir(t);
  const urls = [`http://${NAME}:9`];
  const first = await startControl(t, { dir, resolve: () => Promise.resolve(['127.0.0.1']) });
  await first.control.putDeployment('m', deployment('m', [['c.s.m', '1']], urls), MIA);
  await first.stop();
  const silent = () => new Promise<string[]>((resolve) => setTimeout(resolve, 1_500, []));
  const second = await startControl(t, { dir, resolve: silent });
  t.match(second.control.listDeployments(), [{ addresses: [{ address: '127.0.0.1:9' }] }]);
});
