import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { coresToUse, cpuQuota, WORKERS_MAX, workerCount } from '../../../src/supervisor/cores.js';

/** A tree as below /sys/fs/cgroup. */
function hierarchy(t: Test, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(path.join(tmpdir(), 'pm-cgroup-'));
  t.teardown(() => {
    rmSync(root, { recursive: true, force: true });
  });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.join(root, path.dirname(name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  return root;
}

t.test('cgroup v2: the tightest limit on the way to the root', (t) => {
  const root = hierarchy(t, {
    'cpu.max': 'max 100000\n',
    'system.slice/cpu.max': '300000 100000\n',
    'system.slice/pointsman.service/cpu.max': '50000 20000\n',
  });
  const quota = (group: string): number => cpuQuota({ membership: `0::${group}\n`, root });
  t.equal(quota('/'), Number.POSITIVE_INFINITY);
  t.equal(quota('/system.slice'), 3);
  t.equal(quota('/system.slice/pointsman.service'), 2.5);
  t.equal(
    quota('/system.slice/another.service'),
    3,
    'a group without the file has its parent’s limit',
  );
  t.end();
});

t.test('cgroup v1: quota over period, -1 is none', (t) => {
  const membership = '5:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n';
  const limited = {
    'cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
    'cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    'cpu,cpuacct/docker/abc/cpu.cfs_quota_us': '400000\n',
    'cpu,cpuacct/docker/abc/cpu.cfs_period_us': '100000\n',
  };
  t.equal(cpuQuota({ membership, root: hierarchy(t, limited) }), 4);
  // Inside a container the own group is the root of the mount.
  const inside = { 'cpu/cpu.cfs_quota_us': '150000\n', 'cpu/cpu.cfs_period_us': '100000\n' };
  t.equal(cpuQuota({ membership, root: hierarchy(t, inside) }), 1.5);
  t.end();
});

t.test('no cgroup files: no limit', (t) => {
  t.equal(cpuQuota({ membership: '', root: hierarchy(t, {}) }), Number.POSITIVE_INFINITY);
  t.end();
});

t.test('whole cores, at least one, at most the limit of the shared memory', (t) => {
  t.equal(coresToUse(8, Number.POSITIVE_INFINITY), 8);
  t.equal(coresToUse(8, 2.9), 2);
  t.equal(coresToUse(8, 0.3), 1);
  t.equal(coresToUse(2, 4), 2);
  t.equal(coresToUse(1_000, Number.POSITIVE_INFINITY), WORKERS_MAX);
  t.equal(workerCount(3), 3, 'a setting is taken as it is');
  t.ok(workerCount(0) >= 1);
  t.end();
});
