/**
 * The manifest that a configuration names: applied to an empty store, later only compared, because then the
 * API is where changes come from and a restart must not undo them.
 */
import type { Logger } from 'pino';
import { ADMIN_PRINCIPAL } from '../auth/local-tokens.js';
import type { ControlPlane, ManifestOptions, ManifestResult } from '../control/control-plane.js';
import { PointsmanError, messageOf } from '../core/errors.js';
import { CliError } from './io.js';
import { readManifestFile } from './read-manifest.js';

/**
 * @param file empty: there is none.
 * @throws CliError that names the file, when an empty store gets a manifest that cannot be applied.
 */
export async function applyFirstManifest(
  control: ControlPlane,
  file: string,
  firstStart: boolean,
  logger: Logger,
): Promise<void> {
  if (file === '') return;
  const options = { principal: ADMIN_PRINCIPAL, mode: 'replace' } as const;
  if (firstStart) {
    const { changes } = await applyNamed(control, file, { ...options, dryRun: false });
    logger.info({ changes: changes.length }, `manifest ${file} applied`);
    return;
  }
  // What is stored serves, whatever has become of the file: a restart must not hang on it.
  try {
    // An update in progress is no reason not to compare: nothing takes its place.
    const compared = { ...options, dryRun: true, preempt: true };
    const { changes } = await control.applyManifest(readManifestFile(file), compared);
    const differing = changes.filter((change) => change.action !== 'unchanged');
    if (differing.length === 0) return;
    const names = differing.map((change) => `${change.kind} ${change.name}`).join(', ');
    logger.warn(`manifest ${file} differs from the active configuration: ${names}`);
  } catch (error) {
    logger.warn(`manifest ${file} is not usable: ${messageOf(error)}`);
  }
}

async function applyNamed(
  control: ControlPlane,
  file: string,
  options: ManifestOptions,
): Promise<ManifestResult> {
  try {
    return await control.applyManifest(readManifestFile(file), options);
  } catch (error) {
    if (error instanceof PointsmanError) throw new CliError(`Manifest ${file}: ${error.message}`);
    throw error;
  }
}
