/** One daemon per state directory. */
import path from 'node:path';
import { invalidField } from '../core/errors.js';
import type { Addon } from '../native/contract.js';

/**
 * Takes the state directory for this process; the lock ends with it.
 * @throws PointsmanError when another daemon has it.
 */
export function lockStateDir(addon: Pick<Addon, 'lockFile'>, stateDir: string): number {
  const descriptor = addon.lockFile(path.join(stateDir, 'lock'));
  if (descriptor >= 0) return descriptor;
  throw invalidField(
    'state_dir',
    `${stateDir} is in use by another pointsman; stop it or choose another`,
  );
}
