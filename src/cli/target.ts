/**
 * Which daemon a command talks to, and with which credential: flags, then POINTSMAN_…, then
 * DATABRICKS_…, then the local state directory. A credential goes only to the host that it belongs
 * to: the token file of the state directory is never sent elsewhere, nor is DATABRICKS_TOKEN when
 * DATABRICKS_HOST names another.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { loadConfig } from '../config/config.js';
import { formatListenAddress } from '../config/listen-address.js';
import { DEMO_STATE_FOLDER, STATE_FILES } from '../config/state-files.js';
import { messageOf } from '../core/errors.js';
import { CliError, EXIT_USAGE, type Io } from './io.js';

const HEALTH_TIMEOUT_MS = 1_000;

/** Options that every command that talks to a daemon takes. */
export interface TargetOptions {
  readonly host?: string;
  readonly token?: string;
  readonly config?: string;
  readonly stateDir?: string;
}

export interface Target {
  /** Without a trailing slash. */
  readonly url: string;
  /** Empty: none was found; the daemon will say 401. */
  readonly token: string;
  /** Of the data port, without a trailing slash, where the local configuration names one. */
  readonly dataUrl: string | null;
  /** Where the URL came from, for messages. */
  readonly source: string;
  /** Where a token was looked for, for messages. */
  readonly tokenHint: string;
  /** Behind a command that is to be copied, with a blank in front; never a token. */
  readonly flags: string;
}

export async function findTarget(options: TargetOptions, io: Io): Promise<Target> {
  const { env } = io;
  const explicit = explicitHost(options, env);
  if (explicit === null) return localTarget(options, io);
  const url = normalizeHost(explicit.host, explicit.source);
  const flags = targetFlags(options);
  return { url, dataUrl: null, source: explicit.source, flags, ...explicitToken(url, options, io) };
}

function explicitHost(
  options: TargetOptions,
  env: Io['env'],
): { host: string; source: string } | null {
  if (options.host !== undefined) return { host: options.host, source: '--host' };
  // A named state directory or configuration asks for the local daemon.
  if (options.stateDir !== undefined || options.config !== undefined) return null;
  for (const source of ['POINTSMAN_HOST', 'DATABRICKS_HOST']) {
    const host = env[source];
    if (host !== undefined && host !== '') return { host, source };
  }
  return null;
}

function explicitToken(
  url: string,
  options: TargetOptions,
  io: Io,
): Pick<Target, 'token' | 'tokenHint'> {
  const { env } = io;
  const tokenHint = 'Give the admin token with --token or POINTSMAN_ADMIN_TOKEN.';
  const given = givenToken(options, env);
  if (given !== '') return { token: given, tokenHint };
  for (const stateDir of stateDirs(options, io)) {
    if (readLine(join(stateDir, STATE_FILES.adminUrl)) !== url) continue;
    const token = readLine(join(stateDir, STATE_FILES.adminToken));
    if (token !== null) return { token, tokenHint };
  }
  const databricksHost = env['DATABRICKS_HOST'] ?? '';
  const belongs = databricksHost === '' || normalizeHost(databricksHost, 'DATABRICKS_HOST') === url;
  return { token: belongs ? (env['DATABRICKS_TOKEN'] ?? '') : '', tokenHint };
}

/** Empty when none is given: a variable that is set to nothing is none. */
function givenToken(options: TargetOptions, env: Io['env']): string {
  return options.token || env['POINTSMAN_ADMIN_TOKEN'] || '';
}

async function localTarget(options: TargetOptions, io: Io): Promise<Target> {
  const dirs = stateDirs(options, io);
  const [first = ''] = dirs;
  const running = dirs.filter((dir) => existsSync(join(dir, STATE_FILES.adminUrl)));
  const stateDir = running.length > 1 ? await firstAnswering(running) : (running[0] ?? first);
  const url = readLine(join(stateDir, STATE_FILES.adminUrl));
  const tokenFile = join(stateDir, STATE_FILES.adminToken);
  const token = givenToken(options, io.env) || (readLine(tokenFile) ?? '');
  const flags = targetFlags(options);
  const dataUrl = readConfig(options, io).data_plane.public_url.replace(/\/$/, '') || null;
  if (url === null) {
    // A mistyped directory must not look like a daemon that is down, or like a wrong token.
    return {
      url: configuredUrl(options, io),
      dataUrl,
      token,
      source: `the configuration, as no daemon has run in ${stateDir}`,
      flags,
      tokenHint: `No daemon has run in ${stateDir}; name its state directory with --state-dir, or use --token.`,
    };
  }
  return {
    url,
    dataUrl,
    token,
    source: `the state directory ${stateDir}`,
    flags,
    tokenHint: `The local token is in ${tokenFile}; or use --token or POINTSMAN_ADMIN_TOKEN.`,
  };
}

/** The flags that chose the daemon; what variables say holds for the next command by itself. */
function targetFlags({ host, stateDir, config }: TargetOptions): string {
  const given = { host, 'state-dir': stateDir, config };
  return Object.entries(given)
    .map(([flag, value]) => (value === undefined ? '' : ` --${flag} ${shellWord(value)}`))
    .join('');
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Folders in which a local daemon may have left its URL: the configured one, and the demo's. */
export function stateDirs(options: TargetOptions, io: Io): string[] {
  const config = readConfig(options, io);
  const own = config.sources.get('state_dir') !== 'default';
  return own ? [config.state_dir] : [config.state_dir, join(config.state_dir, DEMO_STATE_FOLDER)];
}

function configuredUrl(options: TargetOptions, io: Io): string {
  const [address] = readConfig(options, io).admin.listen;
  return `http://${address === undefined ? '127.0.0.1' : formatListenAddress(address)}`;
}

function readConfig(options: TargetOptions, io: Io): ReturnType<typeof loadConfig> {
  const file = options.config ?? (io.env['POINTSMAN_CONFIG'] || undefined);
  return loadConfig({ file, flags: { 'state-dir': options.stateDir }, env: io.env });
}

/** A daemon that was killed leaves its URL behind; the one that answers is meant. */
async function firstAnswering(dirs: readonly string[]): Promise<string> {
  for (const dir of dirs) {
    const url = readLine(join(dir, STATE_FILES.adminUrl));
    if (url === null) continue;
    try {
      const { statusCode, body } = await request(`${url}/healthz`, {
        signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS),
      });
      await body.dump();
      if (statusCode === 200) return dir;
    } catch {
      // Nobody there: the next folder may be the live one, and if none is, the caller's call says
      // so.
    }
  }
  return dirs[0] ?? '';
}

function normalizeHost(host: string, source: string): string {
  const text = /^https?:\/\//i.test(host) ? host : `http://${host}`;
  try {
    return new URL(text).origin;
  } catch (error) {
    const problem = `${source}: ${JSON.stringify(host)} is not a URL (${messageOf(error)})`;
    throw new CliError(problem, 'Write it like http://127.0.0.1:8081.', EXIT_USAGE);
  }
}

/** First line of a small file; null when it cannot be read. */
function readLine(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CliError(`Cannot read ${file}: ${messageOf(error)}`);
  }
}
