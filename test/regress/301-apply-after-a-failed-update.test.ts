/**
 * An update that failed stays visible until the next one is accepted. `pointsman apply` took it for
 * a failure of its own, so that applying the manifest in force ended in 1 for ever.
 */
import t from 'tap';
import { MIA, until } from '../unit/control/harness.js';
import { irisManifest, run, startDaemon, type Daemon } from '../unit/cli/harness.js';

const NEVER_READY = {
  served_entities: [{ name: 'next', entity_name: 'demo.models.iris', entity_version: '9' }],
};

function apply(daemon: Daemon, manifest: object): ReturnType<typeof run> {
  const input = JSON.stringify(manifest);
  return run(['apply', '-f', '-', '--state-dir', daemon.dir], { input });
}

function updateOf(daemon: Daemon): unknown {
  return daemon.control.status().endpoints[0]?.config_update;
}

t.test('a failure from before is told, and is none of this command', async (t) => {
  const daemon = await startDaemon(t, { updateDeadlineMs: 1_000 });
  const manifest = irisManifest(daemon.replica.url);
  const made = await apply(daemon, manifest);
  t.equal(made.code, 0, made.err);
  await daemon.control.updateConfig('iris', NEVER_READY, MIA);
  await until(() => updateOf(daemon) === 'UPDATE_FAILED', 'the update fails');

  const again = await apply(daemon, manifest);
  t.equal(again.code, 0, again.err);
  t.match(
    again.out,
    /\niris serves what the manifest says; UPDATE_FAILED is of an earlier update: /,
  );
  t.equal(updateOf(daemon), 'UPDATE_FAILED', 'only the next update that succeeds takes it away');

  const [endpoint] = (manifest as { endpoints: object[] }).endpoints;
  const described = { ...manifest, endpoints: [{ ...endpoint, description: 'flowers' }] };
  const other = await apply(daemon, described);
  t.equal(other.code, 0, 'a change that starts no update has none that could fail');

  const failing = await apply(daemon, { endpoints: [{ name: 'iris', config: NEVER_READY }] });
  t.equal(failing.code, 1);
  t.match(failing.err, /^pointsman: iris failed: /);
});
