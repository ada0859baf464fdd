/**
 * Comparing JSON data: entity tags, equality and the paths that differ. Key order never matters.
 */
import { createHash } from 'node:crypto';
import { joinPath } from '../config/validate.js';
import { PointsmanError } from '../core/errors.js';

/** JSON text with sorted keys; keys whose value is undefined are left out, as in JSON.stringify. */
export function canonicalJson(value: unknown): string {
  if (value === undefined) return 'null';
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  const object = value as Record<string, unknown>;
  let text = '';
  for (const key of Object.keys(object).sort()) {
    const item = object[key];
    if (item === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${text}}`;
}

/** Whether the canonical texts are the same, without making them. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return typeof a !== 'object' && typeof b !== 'object' && canonicalJson(a) === canonicalJson(b);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item ?? null, b[index] ?? null));
  }
  const one = a as Record<string, unknown>;
  const other = b as Record<string, unknown>;
  for (const key of Object.keys(one)) {
    const held = one[key] === undefined || Object.hasOwn(other, key);
    if (!held || !sameJson(one[key], other[key])) return false;
  }
  return Object.keys(other).every((key) => other[key] === undefined || Object.hasOwn(one, key));
}

const TAG_CHARS = 22;
const tags = new WeakMap<object, string>();

/** Quoted entity tag of an immutable record; computed once per record. */
export function etagOf(record: object): string {
  const known = tags.get(record);
  if (known !== undefined) return known;
  const tag = hashTag(canonicalJson(record));
  tags.set(record, tag);
  return tag;
}

export function hashTag(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, TAG_CHARS)}"`;
}

/**
 * Holds a change to its `If-Match`: a tag, a list of tags, or `*`.
 * @param etag null when the resource does not exist.
 * @throws PointsmanError RESOURCE_CONFLICT
 */
export function checkIfMatch(ifMatch: string | undefined, etag: string | null, what: string): void {
  if (ifMatch === undefined) return;
  const wanted = ifMatch.split(',').map((part) => part.trim());
  if (etag !== null && (wanted.includes('*') || wanted.includes(etag))) return;
  throw new PointsmanError(
    'RESOURCE_CONFLICT',
    etag === null
      ? `${what} does not exist, but If-Match was given.`
      : `${what} has changed since it was read: its ETag is ${etag}, If-Match says ${ifMatch}.`,
  );
}

/**
 * Paths at which two JSON values differ, e.g. `config.traffic_config.routes[0].traffic_percentage`.
 */
export function differingPaths(a: unknown, b: unknown, path = ''): string[] {
  if (sameJson(a, b)) return [];
  if (Array.isArray(a) && Array.isArray(b)) {
    const paths: string[] = [];
    for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
      paths.push(...differingPaths(a[index], b[index], joinPath(path, index)));
    }
    return paths;
  }
  if (isPlain(a) && isPlain(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => differingPaths(a[key], b[key], joinPath(path, key)));
  }
  return [path];
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
