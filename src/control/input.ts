/**
 * Readers of a request body's fields. Each knows the field's path and throws 400
 * INVALID_PARAMETER_VALUE naming it. `null` counts as absent. Clients send numbers as strings and
 * fields that we do not know (reference, sections 1.6 and 1.7), so unknown keys pass unless the
 * caller asks for `onlyKeys`.
 */
import { checkUnicode } from '../config/json-text.js';
import { joinPath } from '../config/validate.js';
import { invalidField } from '../core/errors.js';
import { NAME_CHARS_MAX } from '../core/limits.js';
import { isName } from '../core/names.js';
import type { Json, JsonObject } from './control-plane.js';

export class Fields {
  readonly #object: Record<string, unknown>;
  readonly path: string;

  /** @throws PointsmanError when `value` is no object. */
  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw invalidField(path === '' ? 'body' : path, 'must be an object');
    }
    this.#object = value as Record<string, unknown>;
    this.path = path;
  }

  at(key: string): string {
    return joinPath(this.path, key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? (this.#object[key] ?? undefined) : undefined;
  }

  keys(): string[] {
    return Object.keys(this.#object);
  }

  /** @throws PointsmanError for the first key that is not listed. */
  onlyKeys(known: readonly string[]): void {
    const unknown = this.keys().find((key) => !known.includes(key));
    if (unknown !== undefined) throw invalidField(this.at(unknown), 'unknown key');
  }

  object(key: string): Fields | null {
    const value = this.get(key);
    return value === undefined ? null : new Fields(value, this.at(key));
  }

  list(key: string): unknown[] | null {
    const value = this.get(key);
    if (value === undefined) return null;
    if (!Array.isArray(value)) throw invalidField(this.at(key), 'must be a list');
    return value as unknown[];
  }

  objects(key: string): Fields[] | null {
    const list = this.list(key);
    return list?.map((value, index) => new Fields(value, joinPath(this.at(key), index))) ?? null;
  }

  string(key: string, charsMax = Infinity): string | null {
    const value = this.get(key);
    if (value === undefined) return null;
    if (typeof value !== 'string') throw invalidField(this.at(key), 'must be a string');
    if (value.length > charsMax) {
      throw invalidField(this.at(key), `takes at most ${String(charsMax)} characters`);
    }
    return value;
  }

  /** As `checkText` wants it. */
  requiredText(key: string): string {
    const value = this.string(key);
    if (value === null) throw invalidField(this.at(key), 'missing');
    return checkText(value, this.at(key));
  }

  boolean(key: string): boolean | null {
    const value = this.get(key);
    if (value === undefined) return null;
    if (typeof value !== 'boolean') throw invalidField(this.at(key), 'must be true or false');
    return value;
  }

  oneOf(key: string, allowed: readonly string[]): string | null {
    const value = this.string(key);
    if (value !== null && !allowed.includes(value)) {
      throw invalidField(this.at(key), `must be one of ${allowed.join(', ')}`);
    }
    return value;
  }

  /** An integer, also as decimal text (`"90"`). */
  integer(key: string, minimum: number, maximum: number): number | null {
    const value = this.get(key);
    if (value === undefined) return null;
    const number = typeof value === 'string' && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
      throw invalidField(this.at(key), integerRule(minimum, maximum));
    }
    if (number < minimum || number > maximum) {
      throw invalidField(this.at(key), integerRule(minimum, maximum));
    }
    return number;
  }

  /** A copy of the field as plain JSON data. */
  jsonObject(key: string): JsonObject | null {
    const value = this.get(key);
    if (value === undefined) return null;
    return structuredClone(new Fields(value, this.at(key)).#object) as { [key: string]: Json };
  }
}

/** @throws PointsmanError when a value is longer than that as JSON. */
export function checkBytes(value: unknown, bytesMax: number, path: string): void {
  if (Buffer.byteLength(JSON.stringify(value)) > bytesMax) {
    throw invalidField(path, `takes at most ${String(bytesMax)} bytes, as JSON`);
  }
}

function integerRule(minimum: number, maximum: number): string {
  return maximum === Number.MAX_SAFE_INTEGER
    ? `must be an integer of at least ${String(minimum)}`
    : `must be an integer from ${String(minimum)} to ${String(maximum)}`;
}

export const TEXT_CHARS_MAX = 255;
/** Terminals and logs act on these: C0, C1, and the line and paragraph separators. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/** A name or another short text: 1 to 255 characters that can be printed and stored as they are. */
export function checkText(value: string, path: string): string {
  if (value === '') throw invalidField(path, 'must not be empty');
  if (value.length > TEXT_CHARS_MAX) {
    throw invalidField(path, `takes at most ${String(TEXT_CHARS_MAX)} characters`);
  }
  if (CONTROL.test(value)) throw invalidField(path, 'must not contain control characters');
  checkUnicode(path, value);
  return value;
}

/** What users and groups may be called, and service principals as well. */
export function checkPrincipalName(value: string, path: string): string {
  checkText(value, path);
  if (value.trim() !== value) throw invalidField(path, 'must not begin or end with a space');
  return value;
}

/** The rule for names of endpoints, served entities and deployments. */
export function checkName(value: string, path: string): string {
  if (!isName(value)) {
    throw invalidField(
      path,
      `must be 1 to ${String(NAME_CHARS_MAX)} letters, digits, "-" or "_", ` +
        `not ${JSON.stringify(value.slice(0, NAME_CHARS_MAX))}`,
    );
  }
  return value;
}
