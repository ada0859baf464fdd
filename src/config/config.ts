/**
 * Reads the daemon's configuration: flag over POINTSMAN_… variable over file over default.
 * Everything that can be wrong is found here, before a socket is opened; each error names the key,
 * the value and what the key takes. The result is complete and never changes afterwards.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import Value from 'typebox/value';
import { PointsmanError, invalidField, messageOf } from '../core/errors.js';
import { nearestOf } from '../core/nearest.js';
import {
  formatListenAddress,
  isLoopback,
  overlap,
  tryParseListenAddress,
  type ListenAddress,
} from './listen-address.js';
import { completeIssuers, type IssuerValues } from './issuers.js';
import { CONFIG_LEAVES, rangeOf, type ConfigValues, type Leaf } from './schema.js';
import { decodeUtf8 } from './text-position.js';
import { parseYaml } from './yaml-text.js';

export type ConfigSource = 'flag' | 'variable' | 'file' | 'default';

/** The settings as the daemon uses them: addresses parsed, paths absolute. */
export interface Config {
  readonly data_plane: Readonly<Omit<ConfigValues['data_plane'], 'listen'>> & Listeners;
  readonly admin: Readonly<Omit<ConfigValues['admin'], 'listen'>> & Listeners;
  readonly auth: Readonly<Omit<ConfigValues['auth'], 'issuers'>> & {
    /** Complete; paths absolute. */
    readonly issuers: readonly IssuerValues[];
  };
  readonly log: Readonly<ConfigValues['log']>;
  /** Absolute. */
  readonly state_dir: string;
  readonly workspace_id: string;
  readonly update_deadline_ms: number;
  /** Absolute; empty: none (also when only the default file is meant and it does not exist). */
  readonly manifest: string;
  readonly core_dumps: boolean;
  /** Where each setting came from, by dotted key. */
  readonly sources: ReadonlyMap<string, ConfigSource>;
  /** Settings that have no effect yet, or not the one hoped for; one sentence each, for the log. */
  readonly warnings: readonly string[];
}

interface Listeners {
  readonly listen: readonly ListenAddress[];
}

export interface ConfigInput {
  /** Path of the YAML file; relative to the working directory. */
  readonly file?: string | undefined;
  /** By flag name without dashes, e.g. `data-plane-workers`. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @throws PointsmanError INVALID_PARAMETER_VALUE or MALFORMED_REQUEST */
export function loadConfig(input: ConfigInput): Config {
  const fromFile = input.file === undefined ? {} : readConfigFile(input.file);
  const sources = new Map<string, ConfigSource>();
  const values: Record<string, unknown> = {};
  for (const leaf of CONFIG_LEAVES) {
    const { value, source, spelledAs } = pickValue(leaf, input, fromFile);
    if (!Value.Check(leaf.schema, value)) throw invalidSetting(leaf, spelledAs, value);
    sources.set(leaf.key, source);
    setAt(values, leaf.path, value);
  }
  const baseDir = input.file === undefined ? process.cwd() : dirname(resolve(input.file));
  // Every leaf was checked against its part of the schema and none is missing.
  const config = complete(values as ConfigValues, sources, baseDir);
  checkTogether(config);
  return { ...config, warnings: [...warningsOf(config), ...unknownVariables(input.env)] };
}

function readConfigFile(file: string): Record<string, unknown> {
  let content: unknown;
  try {
    content = parseYaml(decodeUtf8(readFileSync(file)));
  } catch (error) {
    if (error instanceof PointsmanError) {
      throw new PointsmanError(error.code, `${file}: ${error.message}`, { cause: error });
    }
    throw invalidField('--config', `cannot read ${file}: ${messageOf(error)}`);
  }
  if (content === null) return {};
  if (!isRecord(content)) throw invalidField(file, 'must be a mapping of settings');
  checkKeys(content, []);
  return content;
}

/** Refuses keys that no leaf lies under, wherever they stand. */
function checkKeys(record: Record<string, unknown>, path: readonly string[]): void {
  const depth = path.length;
  const leaves = CONFIG_LEAVES.filter((leaf) =>
    path.every((name, index) => leaf.path[index] === name),
  );
  const known = [...new Set(leaves.flatMap((leaf) => leaf.path[depth] ?? []))];
  for (const [name, value] of Object.entries(record)) {
    const key = [...path, name].join('.');
    if (!known.includes(name)) throw unknownKey(key, name, known);
    if (leaves.some((leaf) => leaf.key === key)) continue;
    if (value === null) continue;
    if (!isRecord(value)) throw invalidField(key, `must be a mapping, not ${show(value)}`);
    checkKeys(value, [...path, name]);
  }
}

function unknownKey(key: string, name: string, known: readonly string[]): PointsmanError {
  const elsewhere = CONFIG_LEAVES.find((leaf) => leaf.path.at(-1) === name);
  const nearest = nearestOf(name, known) ?? elsewhere?.key ?? null;
  const hint = nearest === null ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`;
  return invalidField(key, `unknown key; ${hint}`);
}

interface PickedValue {
  readonly value: unknown;
  readonly source: ConfigSource;
  /** What the operator wrote: the flag, the variable or the key. */
  readonly spelledAs: string;
}

function pickValue(leaf: Leaf, input: ConfigInput, fromFile: Record<string, unknown>): PickedValue {
  const flag = leaf.flag === null ? undefined : input.flags[leaf.flag];
  if (leaf.flag !== null && flag !== undefined) {
    return { value: parseText(leaf, flag), source: 'flag', spelledAs: `--${leaf.flag}` };
  }
  const variable = leaf.variable === null ? undefined : input.env[leaf.variable];
  if (leaf.variable !== null && variable !== undefined && variable !== '') {
    return { value: parseText(leaf, variable), source: 'variable', spelledAs: leaf.variable };
  }
  const value = getAt(fromFile, leaf.path);
  if (value !== undefined && value !== null) return { value, source: 'file', spelledAs: leaf.key };
  return { value: leaf.schema.default, source: 'default', spelledAs: leaf.key };
}

/**
 * A flag's or variable's text in the leaf's type; text that does not fit stays text and fails the
 * check.
 */
function parseText(leaf: Leaf, text: string): unknown {
  switch (leaf.kind) {
    case 'integer':
      return /^-?[0-9]{1,15}$/.test(text) ? Number(text) : text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'string or list':
      return text.includes(',') ? text.split(',').map((part) => part.trim()) : text;
    case 'string':
    case 'list':
      return text;
  }
}

function invalidSetting(leaf: Leaf, spelledAs: string, value: unknown): PointsmanError {
  const name = spelledAs === leaf.key ? leaf.key : `${leaf.key} (${spelledAs})`;
  return invalidField(name, `must be ${rangeOf(leaf)}, not ${show(value)}`);
}

type ConfigWithoutWarnings = Omit<Config, 'warnings'>;

function complete(
  values: ConfigValues,
  sources: ReadonlyMap<string, ConfigSource>,
  baseDir: string,
): ConfigWithoutWarnings {
  return {
    ...values,
    data_plane: {
      ...values.data_plane,
      listen: parseListen('data_plane', values.data_plane.listen),
    },
    admin: {
      ...values.admin,
      listen: parseListen('admin', values.admin.listen),
      allowed_hosts: hostsOf(values.admin),
    },
    auth: { ...values.auth, issuers: completeIssuers(values.auth.issuers, baseDir) },
    state_dir: resolve(baseFor('state_dir', sources, baseDir), values.state_dir),
    manifest: findManifest(values.manifest, sources, baseDir),
    sources,
  };
}

/**
 * A path in the file is relative to the file; on the command line it is relative to where one
 * stands.
 */
function baseFor(key: string, sources: ReadonlyMap<string, ConfigSource>, baseDir: string): string {
  const source = sources.get(key);
  return source === 'flag' || source === 'variable' ? process.cwd() : baseDir;
}

/** One that is named and missing is refused by who reads it: only a first start needs it. */
function findManifest(
  value: string,
  sources: ReadonlyMap<string, ConfigSource>,
  baseDir: string,
): string {
  if (value === '') return '';
  const path = resolve(baseFor('manifest', sources, baseDir), value);
  return sources.get('manifest') === 'default' && !existsSync(path) ? '' : path;
}

function parseListen(group: 'data_plane' | 'admin', value: string | string[]): ListenAddress[] {
  const texts = typeof value === 'string' ? [value] : value;
  return texts.map((text, index) => {
    const key = typeof value === 'string' ? `${group}.listen` : `${group}.listen[${String(index)}]`;
    const address = tryParseListenAddress(text);
    if (address !== null) return address;
    throw invalidField(
      key,
      `must be host:port or [IPv6]:port with a port from 0 to 65535, not ${show(text)}`,
    );
  });
}

/**
 * Names in the form in which the admin port compares them. The public URL's name joins a list that
 * is not empty; alone it must not shut out who reaches an open port by its address.
 */
function hostsOf(admin: ConfigValues['admin']): string[] {
  const onlyLoopback = parseListen('admin', admin.listen).every(({ host }) => isLoopback(host));
  const names = [...admin.allowed_hosts];
  if (admin.public_url !== '' && (onlyLoopback || names.length > 0)) {
    names.push(new URL(admin.public_url).hostname);
  }
  return names.map((name) => name.toLowerCase().replaceAll(/[[\]]/g, ''));
}

/** Rules that join two keys. */
function checkTogether(config: ConfigWithoutWarnings): void {
  const openData = config.data_plane.listen.find((address) => !isLoopback(address.host));
  if (openData && config.auth.mode === 'disabled' && !config.data_plane.allow_unauthenticated) {
    throw invalidField(
      'data_plane.listen',
      `${formatListenAddress(openData)} can be reached by others while auth.mode is disabled; ` +
        'set auth.mode: required, or allow it with data_plane.allow_unauthenticated: true',
    );
  }
  const openAdmin = config.admin.listen.find((address) => !isLoopback(address.host));
  if (openAdmin && !config.admin.allow_plaintext) {
    throw invalidField(
      'admin.listen',
      `${formatListenAddress(openAdmin)} can be reached by others without TLS; listen on a ` +
        'loopback address, or allow it with admin.allow_plaintext: true',
    );
  }
  const listeners = (['data_plane', 'admin'] as const).flatMap((group) =>
    config[group].listen.map((address) => ({ key: `${group}.listen`, address })),
  );
  for (const [index, { key, address }] of listeners.entries()) {
    const other = listeners.slice(0, index).find((one) => overlap(one.address, address));
    if (other === undefined) continue;
    const [one, two] = [other.address, address].map(formatListenAddress);
    const problem =
      one === two
        ? `${String(two)} is used twice among the listen addresses`
        : `${String(two)} and the listen address ${String(one)} overlap; give one of the two`;
    throw invalidField(key, problem);
  }
}

/** Settings that are accepted but do less than their name says in this version. */
function warningsOf(config: ConfigWithoutWarnings): string[] {
  const warnings: string[] = [];
  const openData = config.data_plane.listen.some((address) => !isLoopback(address.host));
  if (openData && config.data_plane.guard === 'off') {
    warnings.push(
      'data_plane.guard: without the guard the HTTP server library frames requests. Put a strict ' +
        'proxy in front of a data port that others can reach.',
    );
  }
  return warnings;
}

/** Variables of ours that are not settings: read by the command line and for secrets. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  'POINTSMAN_CONFIG',
  'POINTSMAN_HOST',
  'POINTSMAN_ADMIN_TOKEN',
  'POINTSMAN_MASTER_KEY',
]);

function unknownVariables(env: ConfigInput['env']): string[] {
  const known = CONFIG_LEAVES.flatMap((leaf) => leaf.variable ?? []);
  return Object.keys(env)
    .filter((name) => name.startsWith('POINTSMAN_'))
    .filter((name) => !known.includes(name) && !OTHER_VARIABLES.has(name))
    .map((name) => {
      const nearest = nearestOf(name, known);
      return `${name}: no such variable${nearest === null ? '' : `; did you mean ${nearest}?`}`;
    });
}

const SHOWN_CHARS_MAX = 60;

function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function getAt(record: Record<string, unknown>, path: readonly string[]): unknown {
  let value: unknown = record;
  for (const name of path) value = isRecord(value) ? value[name] : undefined;
  return value;
}

function setAt(record: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    record[name] = value;
    return;
  }
  const child = isRecord(record[name]) ? record[name] : {};
  record[name] = child;
  setAt(child, rest, value);
}
