/**
 * The daemon's own two tokens: files of mode 0600 in the state directory, made on first start. The variable
 * POINTSMAN_ADMIN_TOKEN is valid beside them while it is set and is never stored.
 */
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { invalidField } from '../core/errors.js';
import { createTokenText } from '../core/ids.js';
import { STATE_FILES } from '../config/state-files.js';
import { hashToken, type TokenCredential } from './credentials.js';

/** Principals of the two tokens; an admin may do all, `query` may invoke. */
export const ADMIN_PRINCIPAL = 'admin';
export const QUERY_PRINCIPAL = 'query';

const VARIABLE = 'POINTSMAN_ADMIN_TOKEN';
/** 128 bits in hexadecimal. Workers do not slow down who guesses. */
const TOKEN_CHARS_MIN = 32;

/**
 * @throws Error that names the file when a token file cannot be made, or holds no token; PointsmanError that names the
 *   variable when it holds none.
 */
export function loadLocalTokens(
  stateDir: string,
  env: Readonly<Record<string, string | undefined>>,
): TokenCredential[] {
  const admin = readOrCreate(path.join(stateDir, STATE_FILES.adminToken));
  const query = readOrCreate(path.join(stateDir, STATE_FILES.queryToken));
  const credentials = [
    { tokenSha256: hashToken(admin), principal: ADMIN_PRINCIPAL },
    { tokenSha256: hashToken(query), principal: QUERY_PRINCIPAL },
  ];
  const fromEnv = env[VARIABLE];
  if (fromEnv !== undefined && fromEnv !== '') {
    if (fromEnv.length < TOKEN_CHARS_MIN) {
      const least = `must have at least ${String(TOKEN_CHARS_MIN)} characters`;
      throw invalidField(VARIABLE, `${least}; "openssl rand -hex 32" makes one`);
    }
    credentials.push({ tokenSha256: hashToken(fromEnv), principal: ADMIN_PRINCIPAL });
  }
  return credentials;
}

function readOrCreate(file: string): string {
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const token = readFileSync(file, 'latin1').trim();
    // Copies and restores loosen it; whoever reads it may do all.
    chmodSync(file, 0o600);
    if (token.length < TOKEN_CHARS_MIN) {
      const least = `of at least ${String(TOKEN_CHARS_MIN)} characters`;
      throw new Error(`${file} holds no token ${least}; remove it to get a new one`);
    }
    return token;
  }
  try {
    const token = createTokenText();
    writeSync(fd, `${token}\n`);
    fsyncSync(fd);
    return token;
  } finally {
    closeSync(fd);
  }
}
