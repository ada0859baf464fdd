/**
 * The manifest that a configuration names: applied to an empty store, later only compared, because then the
 * API is where changes come from and a restart must not undo them.
 */
import type { Logger } from 'pino';
import { ADMIN_PRINCIPAL } from '../auth/local-tokens.js';
import type { ControlPlane } from '../control/control-plane.js';
import { messageOf } from '../core/errors.js';
import { readManifestFile } from './read-manifest.js';

/**
 * @param file empty: there is none.
 * @throws PointsmanError when an empty store gets a manifest that cannot be applied.
 */
export async function applyFirstManifest(
  control: ControlPlane,
  file: string,
  firstStart: boolean,
  logger: Logger,
): Promise<void> {
  if (file === '') return;
  const manifest = readManifestFile(file);
  const options = { principal: ADMIN_PRINCIPAL, mode: 'replace' } as const;
  if (firstStart) {
    const { changes } = await control.applyManifest(manifest, { ...options, dryRun: false });
    logger.info({ changes: changes.length }, `manifest ${file} applied`);
    return;
  }
  try {
    // An update in progress is no reason not to compare: nothing takes its place.
    const compared = { ...options, dryRun: true, preempt: true };
    const { changes } = await control.applyManifest(manifest, compared);
    const differing = changes.filter((change) => change.action !== 'unchanged');
    if (differing.length === 0) return;
    const names = differing.map((change) => `${change.kind} ${change.name}`).join(', ');
    logger.warn(`manifest ${file} differs from the active configuration: ${names}`);
  } catch (error) {
    logger.warn(`manifest ${file} is not usable: ${messageOf(error)}`);
  }
}
