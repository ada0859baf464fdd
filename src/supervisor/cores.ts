/**
 * How many workers `data_plane.workers: 0` means: the cores that this process may really use. A container's
 * processor quota counts, because more workers than the quota feeds only throttle each other.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

/** Same as kWorkersMax in native/core/shared_block.h. */
export const WORKERS_MAX = 256;

export interface CgroupFiles {
  /** Text of /proc/self/cgroup. */
  readonly membership: string;
  /** Where the hierarchies are mounted. */
  readonly root: string;
}

/** Workers for a setting: itself, or one per available core. */
export function workerCount(setting: number): number {
  if (setting > 0) return Math.min(setting, WORKERS_MAX);
  const quota = cpuQuota({ membership: readText('/proc/self/cgroup'), root: '/sys/fs/cgroup' });
  return coresToUse(availableParallelism(), quota);
}

/** `affinity`: processors that the scheduler may use; a part of a core above a whole one is not worth a worker. */
export function coresToUse(affinity: number, quota: number): number {
  return Math.max(1, Math.min(affinity, Math.floor(quota), WORKERS_MAX));
}

/** Processors that the tightest cgroup on the way to the root grants; infinite without a limit. */
export function cpuQuota({ membership, root }: CgroupFiles): number {
  let quota = Number.POSITIVE_INFINITY;
  for (const line of membership.split('\n')) {
    const [id, controllers = '', group = '/'] = line.split(':');
    const unified = id === '0' && controllers === '';
    const names = controllers.split(',');
    if (!unified && !names.includes('cpu')) continue;
    const mounts = unified ? [root, path.join(root, 'unified')] : [controllers, 'cpu'];
    for (const mount of mounts) {
      const base = unified ? mount : path.join(root, mount);
      // In a container the own path may not exist below the mount; its root is then the own group.
      for (const folder of ancestors(group)) {
        const at = path.join(base, folder);
        quota = Math.min(quota, unified ? quotaV2(at) : quotaV1(at));
      }
    }
  }
  return quota;
}

function ancestors(group: string): string[] {
  const folders = ['/'];
  for (const part of group.split('/').filter((name) => name !== '' && name !== '..')) {
    folders.push(path.join(folders[folders.length - 1] ?? '/', part));
  }
  return folders;
}

/** `cpu.max`: "150000 100000", or "max 100000". */
function quotaV2(folder: string): number {
  const [quota = '', period = ''] = readText(path.join(folder, 'cpu.max')).trim().split(' ');
  return ratio(quota, period);
}

/** A quota of -1 is none. */
function quotaV1(folder: string): number {
  return ratio(
    readText(path.join(folder, 'cpu.cfs_quota_us')).trim(),
    readText(path.join(folder, 'cpu.cfs_period_us')).trim(),
  );
}

function ratio(quota: string, period: string): number {
  const cores = Number(quota) / Number(period);
  return quota !== '' && Number.isFinite(cores) && cores > 0 ? cores : Number.POSITIVE_INFINITY;
}

/** Empty when the file is not there. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
