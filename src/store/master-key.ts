/**
 * The master key: POINTSMAN_MASTER_KEY, or the file `master-key` of the state directory (0600, made
 * on first start). The store holds a sealed mark; a key that does not open it is refused, so that a
 * lost key is noticed at the start and never by secrets that silently stopped to work.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { STATE_FILES } from '../config/state-files.js';
import { invalidField } from '../core/errors.js';
import { createSealer, MASTER_KEY_BYTES, type Sealer } from './sealed-box.js';
import type { SealedValues } from './sealed-values.js';

const VARIABLE = 'POINTSMAN_MASTER_KEY';
const MARK = 'master-key-mark';

/**
 * @throws PointsmanError that names the variable or the file, never its content, when there is no
 *   usable key or it is not the one that the store was written with.
 */
export function openSealer(
  stateDir: string,
  env: Readonly<Record<string, string | undefined>>,
  values: SealedValues,
): Sealer {
  const file = path.join(stateDir, STATE_FILES.masterKey);
  const given = env[VARIABLE] ?? '';
  const mark = values.get(MARK);
  const source = given === '' ? file : VARIABLE;
  const key = given === '' ? keyOfFile(file, mark === null) : parseKey(given, VARIABLE);
  const sealer = createSealer(key);
  if (mark === null) {
    values.put(MARK, sealer.seal(MARK, Buffer.from(MARK)));
    return sealer;
  }
  try {
    sealer.open(MARK, mark);
  } catch {
    throw invalidField(
      source,
      'is not the key that the secrets of this state directory were written with; ' +
        'give that key back, or start with an empty state directory',
    );
  }
  return sealer;
}

/** 32 bytes as base64, base64url or hexadecimal digits. */
function parseKey(text: string, source: string): Buffer {
  const trimmed = text.trim();
  const key = /^[0-9A-Fa-f]{64}$/.test(trimmed)
    ? Buffer.from(trimmed, 'hex')
    : /^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)
      ? Buffer.from(trimmed, 'base64')
      : null;
  if (key?.length === MASTER_KEY_BYTES) return key;
  throw invalidField(source, 'must be 32 bytes, as base64 or as 64 hexadecimal digits');
}

function keyOfFile(file: string, mayCreate: boolean): Buffer {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    if (mayCreate) return createKeyFile(file);
    throw invalidField(
      file,
      `is missing, and the store holds secrets of it; put it back or set ${VARIABLE}`,
    );
  }
  // Copies and restores loosen it; whoever reads it and the store has every secret.
  chmodSync(file, 0o600);
  return parseKey(text, file);
}

/** On disk, entry of the folder included, before anything is sealed with it. */
function createKeyFile(file: string): Buffer {
  const key = randomBytes(MASTER_KEY_BYTES);
  const fd = openSync(file, 'wx', 0o600);
  try {
    writeSync(fd, `${key.toString('base64')}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  const folder = openSync(path.dirname(file), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return key;
}
